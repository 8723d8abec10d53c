"""Numbers as people write and read them: counts (20k, 1.2M), durations, times, rates and shares.

The one place where a duration in images or epochs becomes steps.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from vitctl.errors import UsageError
from vitctl.events import Left
from vitctl.text.quoting import quoted

_SCALE = {"": 1, "k": 1_000, "m": 1_000_000, "b": 1_000_000_000}

_LARGEST = 10**15
"""More than any count of images or steps; Python prints no integer of over 4,300 digits."""

_IN_FULL = 10**12
"""Beyond this nobody reads digit by digit: it is a loss that explodes, not a count of images."""

Unit = Literal["steps", "images", "epochs"]


def parse_count(text: str | int, *, name: str) -> int:
    """`20k` -> 20000, `1.2M` -> 1200000, `3B` -> 3e9. Whole numbers only; else UsageError."""
    if isinstance(text, int):
        return text
    match = re.fullmatch(r"([0-9][0-9_]*(?:\.[0-9]+)?)([kKmMbB]?)", text.strip())
    value = Decimal(match[1].replace("_", "")) * _SCALE[match[2].lower()] if match else None
    if value is None or value > _LARGEST or value != value.to_integral_value():
        raise UsageError(
            f"{name} {quoted(text[:40])} is not a whole number up to 10^15",
            hint="write 500, 20k, 1.2M or 3B",
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
        raise UsageError(f"{name} {quoted(text)} is not a positive number", hint="write 90 or 0.5")
    return value


def show_count(value: int) -> str:
    """20000 -> `20k`, 1200000 -> `1.2M`; exact or in full, so that it can be pasted back."""
    for suffix, scale in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        scaled = Decimal(value) / scale
        if value >= scale and scaled == scaled.quantize(Decimal("0.1")):
            return f"{scaled.normalize():f}{suffix}"
    return str(value)


def plural(count: int, noun: str, *, grouped: bool = False) -> str:
    """`1 run`, `3 runs`, `1 class`, `2 classes`. `grouped`: `1,200 runs`, not `1200 runs`."""
    ending = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count:{',' if grouped else ''}} {noun}{ending}"


def counted(count: int, one: str, many: str | None = None) -> str:
    """`1 file`, `1,200 files`; with `many` also what is no noun alone: `1 file was`."""
    if many is None:
        return plural(count, one, grouped=True)
    return f"{count:,} {one if count == 1 else many}"


def first_few(names: Sequence[str], *, most: int) -> str:
    """`a, b, c and 1,204 more`."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def show_bytes(count: int) -> str:
    """Bytes, in units of 1024.

    >>> show_bytes(1000 * 1024)
    '1,000 KiB'
    """
    value, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
    while abs(value) >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    number = f"{value:.0f}" if units[0] == "B" else shown_digits(value, least=3)
    return f"{number} {units[0]}"


def to_steps(amount: float, unit: Unit, *, batch: int, examples: int) -> int:
    """Steps of `batch` images that see at least `amount` of a unit (1 epoch = `examples`)."""
    if unit == "steps":
        return int(amount)
    images = amount if unit == "images" else amount * examples
    return max(1, -(-round(images) // batch))


_PREFIXES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"))


def duration(seconds: float) -> str:
    """`8 s`, `3 min 20 s`, `1 h 05 min`, `2 d 7 h`: two units at most, and `1,200 d` without hours.
    What is not finite, as the time at a rate of 0, is `unknown`."""
    if not math.isfinite(seconds):
        return "unknown"
    whole = round(max(0.0, seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s" if minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if days < 100 else f"{days:,} d"


def flops(per_second: float) -> str:
    """`12.3 TFLOP/s`."""
    for scale, prefix in _PREFIXES:
        if per_second >= scale:
            return f"{rate(per_second / scale)} {prefix}FLOP/s"
    return f"{rate(per_second)} FLOP/s"


def rate(per_second: float) -> str:
    """`0.52`, `98.7`, `12,345`."""
    return shown_digits(per_second, least=3)


def shown_digits(value: float, *, least: int) -> str:
    """A number of so many digits, or of all before the point: a power of ten only for what is tiny
    or has more than twelve.

    >>> shown_digits(11851.9, least=4)
    '11,852'
    """
    whole = 10 ** (least - 1) <= abs(value) < _IN_FULL
    return f"{value:,.0f}" if whole else f"{value:.{least}g}"


def percent(share: float, *, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f} %"


def eta(left: Left) -> str:
    """`1 h 12 min`, and the range where it is one to speak of."""
    likely, low, high = (duration(value) for value in (left.likely, left.low, left.high))
    return likely if low == high else f"{likely} ({low} to {high})"


def with_interval(value: str, low: str, high: str) -> str:
    """`0.5 (0.4 to 0.6)`; the value alone where both ends are written as it is, which says nothing
    of how sure it is."""
    return value if low == value == high else f"{value} ({low} to {high})"


def apart(values: Sequence[float], *, digits: int = 3) -> list[str]:
    """Each value with the fewest significant digits, `digits` at least, by which different values
    are written differently: an axis never prints one label twice."""
    for enough in range(digits, 18):
        labels = [f"{value:.{enough}g}" for value in values]
        if len(set(labels)) == len(set(values)):
            break
    return labels
