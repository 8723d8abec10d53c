"""The paper's figures of a study, drawn from its summary (figures 2 and 3, and the residuals).

Every function takes what fit.json holds and returns a figure, or None where the table lacks a
column the picture needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from vitctl.errors import InputError
from vitctl.figures.style import (
    LINES,
    MARKERS,
    Theme,
    dress,
    figure,
    label_ends,
    legend,
    log_values,
    ordered_colours,
    outside,
)
from vitctl.scaling.laws import Law
from vitctl.scaling.summary import BestRun, FitReport, RunToLaw

_ABOUT = ("error =", "loss =", "its", "printed", "frontier")  # how labels that are no model begin

Best = Sequence[BestRun]
T = TypeVar("T")


def error_over_compute(summary: FitReport, theme: Theme) -> Figure:
    """All runs, the frontier, the law with its interval, and below the frontier's residuals."""
    drawn = figure(theme, width=7.6, height=6.0)
    top, below = drawn.subplots(2, 1, sharex=True, height_ratios=[3.4, 1])
    rows, frontier, band = summary.residuals, summary.frontier, summary.band
    _runs(top, rows, theme)
    top.fill_between(
        band.compute,
        band.low,
        band.high,
        color=theme.law,
        alpha=0.22,
        linewidth=0,
        label=f"its {100 * summary.interval_level:g} % interval",
    )
    top.plot(band.compute, band.error, color=theme.law, linewidth=2.2, label=_formula(summary))
    printed = summary.largest_run.against
    if printed is not None:
        law = Law(printed.a, printed.b, printed.c, printed.d)
        top.plot(
            band.compute,
            law.error(np.array(band.compute)),
            color=theme.printed,
            linewidth=1.4,
            linestyle=LINES[1],
            label=f"printed: {_law_text(law, digits=6)}",
        )
    top.plot(
        [row.compute for row in frontier],
        [row.error for row in frontier],
        linestyle="none",
        marker="o",
        markersize=8,
        markerfacecolor="none",
        markeredgecolor=theme.ink,
        markeredgewidth=1.1,
        label=f"frontier, {len(frontier)} of {len(rows)} runs",
    )
    top.set_xscale("log")
    noun = summary.measure
    dress(top, theme, title=f"{noun.capitalize()} over compute", y=noun)
    lowest = min(*(row.error for row in rows), *band.low)
    log_values(top, lowest, max(row.error for row in rows), measure=noun)
    handles, labels = top.get_legend_handles_labels()
    about = sorted(
        (i for i, label in enumerate(labels) if label.startswith(_ABOUT)),
        key=lambda i: [labels[i].startswith(word) for word in _ABOUT].index(True),
    )
    models = [i for i in range(len(labels)) if i not in about]
    legend(top, theme, [handles[i] for i in about], [labels[i] for i in about])
    if len(models) > 1:
        outside(drawn, theme, [handles[i] for i in models], [labels[i] for i in models])
    _residual_panel(below, summary, theme)
    return drawn


def error_by_model_size(summary: FitReport, theme: Theme) -> Figure | None:
    """The best error of each model on each training set, models by size."""
    best = summary.bottlenecks
    models = [_known(row.model) for row in best.by_model]
    if len(models) < 2:
        return None
    drawn = figure(theme, width=7.2, height=4.6)
    ax = drawn.subplots()
    noun = summary.measure
    place: dict[str | None, int] = {name: i for i, name in enumerate(models)}
    rows = summary.residuals
    ax.plot(
        [place[row.model] for row in rows],
        [row.error for row in rows],
        linestyle="none",
        marker="o",
        markersize=3,
        color=theme.muted,
        alpha=0.35,
        label="every run",
    )
    sizes = [row.data_size for row in best.by_data]
    series: list[tuple[float | None, Best]] = [
        (size, [r for r in best.by_model_and_data if r.data_size == size]) for size in sizes
    ]
    if not series:
        series = [(None, best.by_model)]
    for i, ((size, line), colour) in enumerate(
        zip(series, ordered_colours(len(series), theme), strict=True)
    ):
        _best_line(
            ax,
            [place[row.model] for row in line],
            line,
            colour=colour,
            number=i,
            style=LINES[i % len(LINES)],
            label="best" if size is None else f"best on {count(size)} images",
        )
    ax.set_xticks(range(len(models)), models)
    dress(
        ax,
        theme,
        title=f"Best {noun} by model size",
        x="model, by cost of an image" if rows[0].images else "model",
        y=f"best {noun} over all durations",
    )
    log_values(
        ax,
        min(r.error for r in rows),
        max(r.error for r in rows),
        measure=summary.measure,
    )
    _explain_short(ax, [row for _, line in series for row in line], theme)
    legend(ax, theme, *ax.get_legend_handles_labels(), loc="upper right")
    return drawn


def error_by_data_size(summary: FitReport, theme: Theme) -> Figure | None:
    """The best error of each model over the size of its training set."""
    best = summary.bottlenecks
    if len(best.by_data) < 2:
        return None
    drawn = figure(theme, width=6.8, height=4.8)
    ax = drawn.subplots()
    noun = summary.measure
    pairs = best.by_model_and_data or best.by_data
    models = [row.model for row in best.by_model] or [None]
    line_ends = []
    for i, (name, colour) in enumerate(
        zip(models, ordered_colours(len(models), theme), strict=True)
    ):
        line = [row for row in pairs if name is None or row.model == name]
        sizes = [_known(row.data_size) for row in line]
        _best_line(ax, sizes, line, colour=colour, number=i, style="-")
        if name is not None:
            line_ends.append((name, sizes[-1], line[-1].error, colour))
    ax.set_xscale("log")
    sizes = [_known(row.data_size) for row in best.by_data]
    ax.set_xticks(sizes, counts(sizes))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(min(sizes) / 1.25, max(sizes) * 1.25)
    dress(
        ax,
        theme,
        title=f"Best {noun} by size of the training set",
        x="images in the training set",
        y=f"best {noun} over all durations",
    )
    log_values(
        ax,
        min(r.error for r in pairs),
        max(r.error for r in pairs),
        measure=summary.measure,
    )
    label_ends(ax, line_ends, theme)
    if _explain_short(ax, pairs, theme):
        legend(ax, theme, *ax.get_legend_handles_labels(), loc="upper left")
    return drawn


def error_over_images(summary: FitReport, theme: Theme) -> Figure | None:
    """Each model's best error over images seen: how fast a model learns, by size."""
    rows = summary.residuals
    models = [_known(row.model) for row in summary.bottlenecks.by_model]
    if not models or rows[0].images is None:
        return None
    drawn = figure(theme, width=7.2, height=5.2)
    ax = drawn.subplots()
    noun = summary.measure
    line_ends = []
    for i, (name, colour) in enumerate(
        zip(models, ordered_colours(len(models), theme), strict=True)
    ):
        own = [row for row in rows if row.model == name]
        line = [
            min((r for r in own if r.images == images), key=lambda r: r.error)
            for images in sorted({_known(row.images) for row in own})
        ]
        ax.plot(
            [_known(row.images) for row in line],
            [row.error for row in line],
            color=colour,
            linewidth=1.6,
            marker=MARKERS[i % len(MARKERS)],
            markersize=5.5,
        )
        line_ends.append((name, _known(line[-1].images), line[-1].error, colour))
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))
    dress(
        ax,
        theme,
        title=f"{noun.capitalize()} over images seen, on each model's best training set",
        x="images seen",
        y=noun,
    )
    log_values(
        ax,
        min(r.error for r in rows),
        max(r.error for r in rows),
        measure=summary.measure,
    )
    label_ends(ax, line_ends, theme)
    return drawn


def _known(value: T | None) -> T:
    """The model or size of a run in a table by it, in which every run has one."""
    if value is None:
        raise InputError("the fit lists a best run without its model, data size or images")
    return value


def count(value: float, *, digits: int = 6) -> str:
    """1.5e9 -> 1.5B, for axes."""
    for suffix, scale in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= scale:
            return f"{value / scale:.{digits}g}{suffix}"
    return f"{value:.{digits}g}"


def counts(values: Sequence[float]) -> list[str]:
    """The same for several, with enough digits to distinguish them."""
    for digits in range(6, 18):
        labels = [count(value, digits=digits) for value in values]
        if len(set(labels)) == len(set(values)):
            break
    return labels


def _best_line(
    ax: Axes,
    x: Sequence[float],
    line: Best,
    *,
    colour: str,
    number: int,
    style: Any,
    label: str = "",
) -> None:
    """Best errors: filled and joined where the runs were long, hollow and alone where short."""
    long = [i for i, row in enumerate(line) if not row.short]
    marker = MARKERS[number % len(MARKERS)]
    ax.plot(
        [x[i] for i in long],
        [line[i].error for i in long],
        color=colour,
        linewidth=1.6,
        linestyle=style,
        marker=marker,
        markersize=6,
        label=label or None,
    )
    short = [i for i, row in enumerate(line) if row.short]
    ax.plot(
        [x[i] for i in short],
        [line[i].error for i in short],
        linestyle="none",
        marker=marker,
        markersize=6,
        markerfacecolor="none",
        markeredgecolor=colour,
    )


def _explain_short(ax: Axes, line: Best, theme: Theme) -> bool:
    """An entry for hollow marks, if there are any."""
    if not any(row.short for row in line):
        return False
    ax.plot(
        [],
        [],
        linestyle="none",
        marker="o",
        markerfacecolor="none",
        markeredgecolor=theme.muted,
        label="hollow: short runs only",
    )
    return True


def _runs(ax: Axes, rows: Sequence[RunToLaw], theme: Theme) -> None:
    names = list(dict.fromkeys(row.model for row in rows))
    cost = {
        name: min(
            (row.compute / row.images for row in rows if row.model == name and row.images),
            default=0.0,
        )
        for name in names
    }
    names.sort(key=lambda name: cost[name])
    for i, (name, colour) in enumerate(zip(names, ordered_colours(len(names), theme), strict=True)):
        own = [row for row in rows if row.model == name]
        ax.plot(
            [row.compute for row in own],
            [row.error for row in own],
            linestyle="none",
            marker=MARKERS[i % len(MARKERS)],
            markersize=4.5,
            color=colour,
            alpha=0.75,
            markeredgewidth=0,
            label=name or "run",
        )
        _error_bars(ax, own, colour)


def _error_bars(ax: Axes, rows: Sequence[RunToLaw], colour: str) -> None:
    """One standard error to both sides of the means of repeated seeds."""
    means = [(row, row.deviation) for row in rows if row.deviation]
    if means:
        ax.errorbar(
            [row.compute for row, _ in means],
            [row.error for row, _ in means],
            yerr=[deviation for _, deviation in means],
            fmt="none",
            ecolor=colour,
            elinewidth=1.0,
            capsize=2.0,
        )


def _residual_panel(ax: Axes, summary: FitReport, theme: Theme) -> None:
    is_error = summary.measure == "error"
    scale = 100 if is_error else 1
    reach = 2 * scale * summary.scatter
    ax.axhspan(-reach, reach, color=theme.law, alpha=0.14, linewidth=0)
    ax.axhline(0, color=theme.law, linewidth=1.6)
    compute = [row.compute for row in summary.frontier]
    off = [scale * row.residual for row in summary.frontier]
    ax.vlines(compute, 0, off, color=theme.muted, linewidth=0.9)
    ax.plot(compute, off, linestyle="none", marker="o", markersize=4.5, color=theme.ink)
    unit = summary.compute_unit
    x = unit if unit == "compute" else f"compute ({unit})"
    dress(ax, theme, x=x, y="off the law\n(points)" if is_error else "off the law")


def _formula(summary: FitReport) -> str:
    law = Law(summary.a, summary.b, summary.c, summary.d)
    return f"{summary.measure} = {_law_text(law, digits=3)}"


def _law_text(law: Law, *, digits: int) -> str:
    shift = f"C + {law.d:.{digits}g}" if law.d else "C"
    base = f"({shift})" if law.d else shift
    text = f"{law.a:.{digits}g} {base}$^{{-{law.b:.{digits}g}}}$"
    return text + (f" + {law.c:.{digits}g}" if law.c else "")
