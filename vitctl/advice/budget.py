"""A budget as people write it: hours of the devices, money, compute or images."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from vitctl.errors import UsageError
from vitctl.text.quoting import quoted
from vitctl.text.suggestions import suggest

Unit = Literal["hours", "device-hours", "chip-hours", "money", "core-days", "flops", "images"]

_EXAMPLES = "write 200h, 3d, 3200 device-hours, $500, 30 core-days, 1e21 FLOPs or 2B images"
_TIMES = {"min": 1 / 60, "h": 1.0, "d": 24.0, "w": 168.0}
_SPELLED = {
    "min": "min", "mins": "min", "minute": "min", "minutes": "min",
    "h": "h", "hr": "h", "hrs": "h", "hour": "h", "hours": "h",
    "d": "d", "day": "d", "days": "d", "w": "w", "week": "w", "weeks": "w",
}  # fmt: skip
_OF_ONE: dict[str, Unit] = {
    "device": "device-hours", "gpu": "device-hours", "tpu": "chip-hours", "chip": "chip-hours",
}  # fmt: skip
_PREFIXES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15, "e": 1e18, "z": 1e21,
             "y": 1e24}  # fmt: skip
_COUNTS = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9}
_LEAST = 1e-9
"""Of any unit: far below a step, far above where a quotient of two is zero."""
_SYMBOLS = "$€£¥"
_WORDS = ("hours", "days", "device-hours", "gpu-hours", "chip-hours", "core-days", "flops",
          "images", "usd", "eur")  # fmt: skip
_NUMBER = r"(?P<number>\d[\d_]*(?:\.\d+)?(?:e[+-]?\d+)?)"


@dataclass(frozen=True)
class Budget:
    """`amount` of `unit`: hours on all devices together, hours of one device or chip, money, days
    of a TPUv3 core by the paper's throughput, FLOPs (three forward passes an image), or images
    seen. `text`: as the user wrote it."""

    amount: float
    unit: Unit
    text: str

    @property
    def needs_devices(self) -> bool:
        """Whether it says something of certain devices only."""
        return self.unit in ("hours", "device-hours", "chip-hours", "money")


def parse_budget(text: str) -> Budget:
    """The budget that `text` stands for.

    >>> parse_budget("3d")
    Budget(amount=72.0, unit='hours', text='3d')
    >>> parse_budget("30 core-days").unit
    'core-days'

    Raises UsageError for anything else, with the nearest unit.
    """
    plain = text.strip().lower()
    money = re.fullmatch(rf"[{_SYMBOLS}]\s*{_NUMBER}(?P<scale>[kmb]?)", plain)
    if money:
        return _budget(_number(money["number"]) * _COUNTS[money["scale"]], "money", text)
    match = re.fullmatch(rf"{_NUMBER}\s*(?P<unit>[a-z{_SYMBOLS}][a-z0-9 _{_SYMBOLS}-]*)", plain)
    if match is None:
        raise UsageError(f"--budget {quoted(text[:40])} is no amount with a unit", hint=_EXAMPLES)
    number = _number(match["number"])
    unit = re.sub(r"[\s_-]+", "-", match["unit"].strip())
    return _of_unit(number, unit, text)


def _of_unit(number: float, unit: str, text: str) -> Budget:
    if unit in _SPELLED:
        return _budget(number * _TIMES[_SPELLED[unit]], "hours", text)
    if core := re.fullmatch(r"(?:tpu-?v3-)?core-(.+)", unit):
        time = _SPELLED.get(core[1])
        if time is not None:
            return _budget(number * _TIMES[time] / 24, "core-days", text)
    if one := re.fullmatch(r"(device|gpu|tpu|chip)-?(.+)", unit):
        time = _SPELLED.get(one[2])
        if time is not None:
            return _budget(number * _TIMES[time], _OF_ONE[one[1]], text)
    if flops := re.fullmatch(r"([kmgtpezy]?)-?flops?", unit):
        return _budget(number * _PREFIXES[flops[1]], "flops", text)
    if images := re.fullmatch(r"([kmb]?)-?images?", unit):
        return _budget(number * _COUNTS[images[1]], "images", text)
    if unit in _SYMBOLS or re.fullmatch(r"usd|eur|gbp|chf|jpy|cny|inr|dollars?|euros?", unit):
        return _budget(number, "money", text)
    raise UsageError(
        f"--budget {quoted(text[:40])}: there is no unit {quoted(unit)}",
        hint=suggest(unit, _WORDS, otherwise=_EXAMPLES),
    )


def _budget(amount: float, unit: Unit, text: str) -> Budget:
    if not _LEAST <= amount < float("inf"):
        raise UsageError(f"--budget {quoted(text[:40])} is nothing to train with", hint=_EXAMPLES)
    return Budget(amount, unit, text.strip())


def _number(text: str) -> float:
    return float(text.replace("_", ""))


def parse_error(text: str | float) -> float:
    """An error rate to reach, `0.15` or `15%`, as a fraction. UsageError for anything else."""
    plain = str(text).strip()
    percent = plain.endswith("%")
    try:
        value = float(plain.removesuffix("%")) / (100.0 if percent else 1.0)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise UsageError(
            f"--error {quoted(plain[:40])} is no error rate between 0 and 1",
            hint=f"{value:g} % is {value:g}%, or {value / 100:g}"
            if not percent and 1 <= value < 100
            else "write 0.15 or 15%",
        )
    return value
