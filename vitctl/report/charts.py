"""Charts as SVG in the page: readable without a script, at any width, by a screen reader.

A chart is three drawings: numbers of the y axis, the plot, numbers of the x axis. Lines lie in a
coordinate system that is stretched to the width of the screen; letters and marks are not stretched.
The script reads the same numbers from the page, and draws them anew where one zooms.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from vitctl.report.html import Content, Html, details, element, name_of, shortened, table
from vitctl.report.scales import Scale, Write, percent, plain, scale_of
from vitctl.report.thinning import Floats
from vitctl.text.quantities import shown_digits

WIDE = 1000.0
"""Units of the stretched coordinate system, across and down."""
_STYLES = 8
"""Colours, each with a pattern of dashes of its own."""
_X_TICKS, _Y_TICKS = 6, 6
_ROWS = 9


@dataclass(frozen=True)
class Trace:
    """One series of a chart.

    x, y        float64[n], finite, by ascending x
    low, high   float64[n] around y: a band; None without one
    style       its colour and dashes, from 0; the same run has the same in all charts
    marks       each point is marked, as measurements are that lie far apart
    joined      points are joined by a line
    names       of the points, for who asks
    """

    name: str
    x: Floats
    y: Floats
    low: Floats | None = None
    high: Floats | None = None
    style: int = 0
    marks: bool = False
    joined: bool = True
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chart:
    """What is drawn, over what, and how both axes are written."""

    title: str
    x_title: str
    y_title: str
    lines: tuple[Trace, ...]
    log_x: bool = False
    log_y: bool = False
    share: bool = False
    note: Content = None

    @property
    def write(self) -> Write:
        return percent if self.share else plain


def draw(chart: Chart) -> Html | None:
    """The chart with its legend, and its numbers in a table to unfold; None without a point."""
    lines = [line for line in chart.lines if len(line.x)]
    if not lines:
        return None
    x = scale_of([v for line in lines for v in (*line.x,)], log=chart.log_x, room=0.01)
    y = scale_of(
        [v for line in lines for side in (line.y, line.low, line.high) if side is not None
         for v in side],
        log=chart.log_y,
        write=chart.write,
    )  # fmt: skip
    if chart.share and y.high > 1 and not y.log and max(max(line.y) for line in lines) <= 1:
        y = Scale(y.low, 1.0 + 0.02 * (1.0 - y.low), write=y.write)
    return element(
        "figure",
        element("figcaption", chart.title),
        element("p", f"{chart.y_title}{' (logarithmic)' if y.log else ''}", class_="axis"),
        element(
            "div",
            _y_axis(y),
            _plot(chart, lines, x, y),
            _x_axis(x),
            class_="plot",
            data_chart=True,
        ),
        element("p", f"{chart.x_title}{' (logarithmic)' if x.log else ''}", class_="axis across"),
        _legend(lines) if len(lines) > 1 else None,
        None if chart.note is None else element("p", chart.note, class_="note"),
        details("Numbers of this chart", _numbers(chart, lines)),
        _data(chart, lines, x, y),
        class_="chart",
    )


def _plot(chart: Chart, lines: Sequence[Trace], x: Scale, y: Scale) -> Html:
    described = "; ".join(
        f"{line.name}: from {_value(chart, line.y[0])} to {_value(chart, line.y[-1])}"
        for line in lines[:6]
    )
    grid = [
        element("line", x1="0", x2="100%", y1=_down(y, v), y2=_down(y, v), class_="grid")
        for v, _ in y.ticks(_Y_TICKS)
    ] + [
        element("line", x1=_right(x, v), x2=_right(x, v), y1="0", y2="100%", class_="grid")
        for v, _ in x.ticks(_X_TICKS)
    ]
    curves = [element("g", _curve(line, x, y), class_=f"s{line.style % _STYLES}") for line in lines]
    marks = [
        element(
            "g",
            [
                element("circle", cx=_right(x, a), cy=_down(y, b), r="3.5")
                for a, b in zip(line.x, line.y, strict=True)
            ],
            [_bar(line, i, x, y) for i in range(len(line.x))] if _has_bars(line) else None,
            class_=f"s{line.style % _STYLES} marks",
        )
        for line in lines
        if line.marks
    ]
    return element(
        "svg",
        element("title", f"{chart.title}: {chart.y_title} over {chart.x_title}"),
        element("desc", described),
        grid,
        element(
            "svg",
            curves,
            class_="curves",
            viewbox=f"0 0 {WIDE:g} {WIDE:g}",
            preserveaspectratio="none",
            width="100%",
            height="100%",
        ),
        marks,
        class_="area",
        role="img",
        xmlns="http://www.w3.org/2000/svg",
    )


def _has_bars(line: Trace) -> bool:
    return line.marks and not line.joined and line.low is not None and line.high is not None


def _bar(line: Trace, i: int, x: Scale, y: Scale) -> Html:
    assert line.low is not None
    assert line.high is not None
    at = _right(x, line.x[i])
    return element(
        "line", x1=at, x2=at, y1=_down(y, line.low[i]), y2=_down(y, line.high[i]), class_="bar"
    )


def _curve(line: Trace, x: Scale, y: Scale) -> Html:
    band = None
    if line.low is not None and line.high is not None and line.joined:
        low = _points(line.x, line.low, x, y)
        high = _points(line.x[::-1], line.high[::-1], x, y)
        band = element("polygon", points=f"{low} {high}", class_="band")
    if not line.joined:
        return Html(band or "")
    return Html(
        (band or "") + element("polyline", points=_points(line.x, line.y, x, y), class_="line")
    )


def _points(xs: Floats, ys: Floats, x: Scale, y: Scale) -> str:
    return " ".join(
        f"{_short(WIDE * x.at(a))},{_short(WIDE * (1 - y.at(b)))}"
        for a, b in zip(xs.tolist(), ys.tolist(), strict=True)
    )


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _right(x: Scale, value: float) -> str:
    return f"{_short(1000 * x.at(value) / 10)}%"


def _down(y: Scale, value: float) -> str:
    return f"{100 * (1 - y.at(value)):.2f}%"


def _y_axis(y: Scale) -> Html:
    return element(
        "svg",
        [
            element("text", label, x="100%", y=_down(y, value), dy="0.32em", text_anchor="end")
            for value, label in y.ticks(_Y_TICKS)
        ],
        class_="ys",
        aria_hidden="true",
    )


def _x_axis(x: Scale) -> Html:
    def anchor(share: float) -> str:
        return "start" if share < 0.05 else "end" if share > 0.95 else "middle"

    return element(
        "svg",
        [
            element("text", label, x=_right(x, value), y="14", text_anchor=anchor(x.at(value)))
            for value, label in x.ticks(_X_TICKS)
        ],
        class_="xs",
        aria_hidden="true",
    )


def _legend(lines: Sequence[Trace]) -> Html:
    return element(
        "ul",
        [
            element(
                "li",
                element(
                    "svg",
                    element("line", x1="0", x2="26", y1="6", y2="6", class_="line")
                    if line.joined
                    else None,
                    element("circle", cx="13", cy="6", r="3.5") if line.marks else None,
                    class_=f"key s{line.style % _STYLES}{' marks' if line.marks else ''}",
                    width="26",
                    height="12",
                    aria_hidden="true",
                ),
                " ",
                name_of(line.name),
            )
            for line in lines
        ],
        class_="legend",
    )


def _numbers(chart: Chart, lines: Sequence[Trace]) -> Html:
    """A few points of each line: who cannot see the picture reads these."""
    rows = []
    for line in lines:
        count = len(line.x)
        places = sorted({round(i * (count - 1) / (_ROWS - 1)) for i in range(_ROWS)})
        for i in places:
            band = ""
            if line.low is not None and line.high is not None and line.low[i] != line.high[i]:
                band = f"{_value(chart, line.low[i])} to {_value(chart, line.high[i])}"
            rows.append(
                (
                    name_of(line.names[i] if line.names else line.name),
                    plain([float(line.x[i])])[0],
                    _value(chart, line.y[i]),
                    band,
                )
            )
    return table(
        f"{chart.title}: some points of each line",
        ("line", chart.x_title, chart.y_title, "range"),
        rows,
        numbers=(1, 2, 3),
        hidden_caption=True,
    )


def _value(chart: Chart, value: float) -> str:
    return f"{100 * value:.1f} %" if chart.share else shown_digits(value, least=4)


def _data(chart: Chart, lines: Sequence[Trace], x: Scale, y: Scale) -> Html:
    """What the script reads: the numbers, and both axes."""

    def numbers(values: Floats | None) -> list[float] | None:
        return None if values is None else [float(f"{v:.6g}") for v in values.tolist()]

    content = {
        "x": {"low": x.low, "high": x.high, "log": x.log, "title": chart.x_title},
        "y": {"low": y.low, "high": y.high, "log": y.log, "share": chart.share},
        "lines": [
            {
                "name": shortened(line.name),
                "x": numbers(line.x),
                "y": numbers(line.y),
                "low": numbers(line.low),
                "high": numbers(line.high),
                "style": line.style % _STYLES,
                "marks": line.marks,
                "joined": line.joined,
                "names": [shortened(name) for name in line.names],
            }
            for line in lines
        ],
    }
    return data_block(content)


def data_block(content: object) -> Html:
    """JSON in the page; a browser runs nothing of it, and nothing in it ends its element."""
    written = json.dumps(content, allow_nan=False, separators=(",", ":"), ensure_ascii=True)
    for character in "<>&":
        written = written.replace(character, f"\\u{ord(character):04x}")
    return Html(f'<script type="application/json">{written}</script>')
