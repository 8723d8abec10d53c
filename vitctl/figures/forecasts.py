"""The forms of the law, each fitted to the cheap runs, over the expensive ones they predict."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vitctl.figures.style import (
    LINES,
    Theme,
    dress,
    figure,
    log_values,
    ordered_colours,
    outside,
)
from vitctl.scaling.laws import Law
from vitctl.scaling.names import FREE
from vitctl.scaling.summary import ExtrapolationSummary, FitReport


def forecasts(summary: FitReport, theme: Theme) -> Figure | None:
    """One panel for each budget with runs above it; None of a fit without one, or that was made
    before the laws of its forecasts were recorded."""
    tests = summary.drawable_forecasts
    if not tests:
        return None
    drawn = figure(theme, width=3.6 + 4.2 * len(tests), height=4.4)
    panels = drawn.subplots(1, len(tests), sharey=True, squeeze=False)[0]
    for number, (ax, test) in enumerate(zip(panels, reversed(tests), strict=True)):
        _panel(ax, summary, test, theme, named=number == 0)
    outside(drawn, theme, *panels[0].get_legend_handles_labels())
    return drawn


def _panel(
    ax: Axes, summary: FitReport, test: ExtrapolationSummary, theme: Theme, *, named: bool
) -> None:
    """The frontier on both sides of a budget, and each form's law fitted to the left of it."""
    frontier = summary.frontier
    compute = np.array([row.compute for row in frontier])
    error = np.array([row.error for row in frontier])
    cheap = compute <= test.below
    axis = np.geomspace(compute.min(), compute.max(), 121)
    scores = {one.form: one.rmse for one in test.forecasts}
    ax.axvspan(test.below, compute.max() * 1.3, color=theme.muted, alpha=0.12, linewidth=0)
    colours = ordered_colours(len(FREE), theme)
    laws = {one.form: one.law for one in test.forecasts}
    for number, (form, colour) in enumerate(zip(FREE, colours, strict=True)):
        one = laws.get(form)
        if one is None:
            continue
        label = f"{form}, fitted to the cheap runs"
        if form == summary.form:
            label += " (the form of the fit)"
        ax.plot(
            axis,
            Law(one.a, one.b, one.c, one.d).error(axis),
            color=theme.law if form == summary.form else colour,
            linewidth=2.2 if form == summary.form else 1.4,
            linestyle=LINES[number % len(LINES)],
            label=label,
        )
    style: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 5.5}
    ax.plot(compute[cheap], error[cheap], color=theme.ink, label="frontier, fitted", **style)
    ax.plot(
        compute[~cheap],
        error[~cheap],
        markerfacecolor=theme.paper,
        markeredgecolor=theme.ink,
        label="frontier, held out",
        **style,
    )
    ax.set_xscale("log")
    ax.set_xlim(compute.min() / 1.3, compute.max() * 1.3)
    best = min((rmse for rmse in scores.values() if rmse is not None), default=None)
    winners = [form for form, rmse in scores.items() if rmse is not None and rmse == best]
    noun, unit = summary.measure, summary.compute_unit
    dress(
        ax,
        theme,
        title=f"up to {test.below:.4g}, {test.predicted} held out"
        + (f": {winners[0]} is best" if winners else ""),
        x=unit if unit == "compute" else f"compute ({unit})",
        y=noun if named else "",
    )
    if named:
        log_values(ax, float(error.min()) * 0.9, float(error.max()), measure=noun)
