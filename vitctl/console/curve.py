"""A curve drawn in characters: numbers in, lines of text out.

Braille characters hold two by four dots each; where only ASCII can be shown, one is one dot.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence

from vitctl.text.quantities import apart

Point = tuple[float, float]

_BRAILLE = 0x2800
# Bit of the dot at (column, row) of a braille character (Unicode chapter 21, "Braille").
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
# From this ratio of highest to lowest on, a curve on a linear axis is a cliff and a floor.
_LOG_RATIO = 8.0


def unicode_shown(environment: Mapping[str, str] | None = None) -> bool:
    """Whether a terminal is likely to show more than ASCII: not if the locale names another
    character set. None named is taken for UTF-8, as in most containers."""
    environment = os.environ if environment is None else environment
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        if value := environment.get(name):
            return "utf" in value.lower()
    return True


def curve(
    points: Sequence[Point], *, columns: int, rows: int, last_x: float, braille: bool = True
) -> list[str]:
    """`rows` lines of at most `columns` characters: y from top (highest) to bottom, x from the
    first point to `last_x`, which lies right of what is there while a run goes on.

    The axis of y is labelled at both ends, with digits enough to tell them apart, and once in the
    middle where nothing changes; it is logarithmic where the values span a factor of 8.
    Several points on one column are shown by their mean and joined to the next column's.
    """
    finite = [(x, y) for x, y in points if math.isfinite(y)]
    if len(finite) < 2 or rows < 2:
        return []
    low, high = min(y for _, y in finite), max(y for _, y in finite)
    log = low > 0 and high / low >= _LOG_RATIO
    labels = _labels(low, high, rows=rows, log=log)
    margin = max(map(len, labels))
    across = columns - margin - 2
    if across < 8:
        return []
    dots_x, dots_y = (2, 4) if braille else (1, 1)
    heights = _heights(finite, cells=across * dots_x, last_x=last_x, log=log)
    grid = _joined(heights, cells_x=across * dots_x, cells_y=rows * dots_y)
    lines = _as_braille(grid, across, rows) if braille else _as_ascii(grid, across, rows)
    edge = "┤" if braille else "|"
    bar = "│" if braille else "|"
    return [
        f"{label:>{margin}} {edge if label else bar}{line}".rstrip()
        for label, line in zip(labels, lines, strict=True)
    ]


def _labels(low: float, high: float, *, rows: int, log: bool) -> list[str]:
    """A label for each row, mostly empty; no two are the same."""
    labels = [""] * rows
    if low == high:
        labels[(rows - 1) // 2] = f"{high:.3g}"
    elif log and rows > 2:
        middle = math.sqrt(low) * math.sqrt(high)
        labels[0], labels[rows // 2], labels[-1] = apart((high, middle, low))
    else:
        labels[0], labels[-1] = apart((high, low))
    return labels


def thinned(points: list[Point], *, most: int) -> list[Point]:
    """At most `most` points: neighbours become their mean, the oldest and the newest stay."""
    while len(points) > most:
        inner = points[1:-1]
        pairs = [
            tuple(sum(values) / len(values) for values in zip(*inner[i : i + 2], strict=True))
            for i in range(0, len(inner), 2)
        ]
        points = [points[0], *pairs, points[-1]]
    return points


def _heights(points: Sequence[Point], *, cells: int, last_x: float, log: bool) -> dict[int, float]:
    """column -> mean height in 0..1 of the points on it."""
    first_x = points[0][0]
    width = max(last_x, points[-1][0]) - first_x
    values = [math.log(y) if log else y for _, y in points]
    low, high = min(values), max(values)
    sums: dict[int, tuple[float, int]] = {}
    for (x, _), value in zip(points, values, strict=True):
        column = min(cells - 1, int((x - first_x) / width * cells)) if width > 0 else 0
        height = (value - low) / (high - low) if high > low else 0.5
        total, count = sums.get(column, (0.0, 0))
        sums[column] = (total + height, count + 1)
    return {column: total / count for column, (total, count) in sums.items()}


def _joined(heights: Mapping[int, float], *, cells_x: int, cells_y: int) -> set[tuple[int, int]]:
    """Dots (x, y from the top) of a line through the heights, without gaps."""

    def row(height: float) -> int:
        return round((1 - height) * (cells_y - 1))

    dots = set()
    columns = sorted(heights)
    for column, following in zip(columns, [*columns[1:], columns[-1]], strict=True):
        for x in range(column, max(following, column + 1)):
            before, after = (
                heights[column]
                + (heights[following] - heights[column]) * (at - column) / (following - column)
                if following > column
                else heights[column]
                for at in (x, min(x + 1, following))
            )
            top, bottom = sorted((row(before), row(after)))
            # The dot where the next column begins is that column's own.
            if top != bottom:
                top, bottom = (top, bottom - 1) if row(after) > row(before) else (top + 1, bottom)
            dots |= {(x, y) for y in range(top, bottom + 1)}
    return {(x, y) for x, y in dots if 0 <= x < cells_x}


def _as_braille(dots: set[tuple[int, int]], columns: int, rows: int) -> list[str]:
    cells = [[0] * columns for _ in range(rows)]
    for x, y in dots:
        cells[y // 4][x // 2] |= _DOTS[x % 2][y % 4]
    return ["".join(chr(_BRAILLE + bits) if bits else " " for bits in line) for line in cells]


def _as_ascii(dots: set[tuple[int, int]], columns: int, rows: int) -> list[str]:
    return ["".join("*" if (x, y) in dots else " " for x in range(columns)) for y in range(rows)]
