"""Counts as people write them (20k, 1.2M) and the one place where durations become steps."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Literal

from vitctl.errors import UsageError

_SCALE = {"": 1, "k": 1_000, "m": 1_000_000, "b": 1_000_000_000}

Unit = Literal["steps", "images", "epochs"]


def parse_count(text: str | int, *, name: str) -> int:
    """`20k` -> 20000, `1.2M` -> 1200000, `3B` -> 3e9. Whole numbers only; else UsageError."""
    if isinstance(text, int):
        return text
    match = re.fullmatch(r"([0-9][0-9_]*(?:\.[0-9]+)?)([kKmMbB]?)", text.strip())
    value = Decimal(match[1].replace("_", "")) * _SCALE[match[2].lower()] if match else None
    if value is None or value != value.to_integral_value():
        raise UsageError(
            f"{name} {text!r} is not a whole number", hint="write 500, 20k, 1.2M or 3B"
        )
    return int(value)


def parse_amount(text: str | float, *, name: str) -> float:
    """Like `parse_count`, fractions allowed (epochs)."""
    try:
        return float(parse_count(text, name=name)) if isinstance(text, str) else float(text)
    except UsageError:
        pass
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise UsageError(f"{name} {text!r} is not a positive number", hint="write 90 or 0.5")
    return value


def show_count(value: int) -> str:
    """20000 -> `20k`, 1200000 -> `1.2M`; exact or in full, so that it can be pasted back."""
    for suffix, scale in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        scaled = Decimal(value) / scale
        if value >= scale and scaled == scaled.quantize(Decimal("0.1")):
            return f"{scaled.normalize():f}{suffix}"
    return str(value)


def to_steps(amount: float, unit: Unit, *, batch: int, examples: int) -> int:
    """Steps of `batch` images that see at least `amount` of a unit (1 epoch = `examples`)."""
    if unit == "steps":
        return int(amount)
    images = amount if unit == "images" else amount * examples
    return max(1, -(-round(images) // batch))
