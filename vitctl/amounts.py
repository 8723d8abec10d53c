"""Times, rates and shares in a few words."""

from __future__ import annotations

from vitctl.events import Left

_PREFIXES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"))


def duration(seconds: float) -> str:
    """`8 s`, `3 min 20 s`, `1 h 05 min`, `2 d 7 h`: two units at most."""
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
    return f"{days} d {hours} h"


def flops(per_second: float) -> str:
    """`12.3 TFLOP/s`."""
    for scale, prefix in _PREFIXES:
        if per_second >= scale:
            return f"{per_second / scale:.3g} {prefix}FLOP/s"
    return f"{per_second:.3g} FLOP/s"


def rate(per_second: float) -> str:
    """Three digits, or all before the point: `0.52`, `98.7`, `12,345`."""
    return f"{per_second:,.0f}" if per_second >= 100 else f"{per_second:.3g}"


def percent(share: float, *, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f} %"


def eta(left: Left) -> str:
    """`1 h 12 min`, and the range where it is one to speak of."""
    likely, low, high = (duration(value) for value in (left.likely, left.low, left.high))
    return likely if low == high else f"{likely} ({low} to {high})"
