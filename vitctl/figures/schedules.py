"""Learning rates of the trunks, each with the cooldowns that branch off it (the paper's figure 7).

An open-ended trunk is trained once; every duration is a short branch. A linear schedule knows its
end, so every duration is a run of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from vitctl.figures.style import LINES, MARKERS, Theme, dress, figure, legend, ordered_colours
from vitctl.optim.schedules import Kind, ScheduleConfig, value

_SAMPLES = 400


@dataclass(frozen=True)
class Branches:
    """What is drawn: schedules that end at `ends` steps, the last `cooldown_steps` cooling."""

    warmup_steps: int
    timescale_steps: int
    drop_end_steps: int
    cooldown_steps: int
    lengths: Sequence[int]


PAPER = Branches(
    warmup_steps=10_000,
    timescale_steps=10_000,
    drop_end_steps=50_000,
    cooldown_steps=25_000,
    lengths=(221_900, 443_900, 517_900),
)
"""Figure 7: 3, 6 and 7 epochs of JFT-300M at batch 4096."""

_PANELS: tuple[tuple[Kind, str, float], ...] = (
    ("rsqrt", "reciprocal square root", 1.0),
    ("constant", "constant, after a drop to a tenth", 1.0),
    ("trapezoid", "trapezoid, an eighth of the peak", 0.125),
    ("linear", "linear: a run for each duration", 1.0),
)


def schedules(branches: Branches, theme: Theme) -> Figure:
    """Four panels, one a trunk: learning rate in units of the peak over steps."""
    drawn = figure(theme, width=8.2, height=5.4)
    panels = drawn.subplots(2, 2, sharex=True)
    for ax, (kind, title, peak) in zip(panels.ravel(), _PANELS, strict=True):
        _panel(ax, branches, theme, kind=kind, peak=peak)
        dress(ax, theme, title=title)
        ax.set_ylim(0, peak * 1.08)
        ax.xaxis.set_major_formatter(
            FuncFormatter(lambda step, _: f"{step / 1000:g}k" if step else "0")
        )
    for ax in panels[-1]:
        ax.set_xlabel("steps", color=theme.ink, fontsize=10)
    for ax in panels[:, 0]:
        ax.set_ylabel("learning rate / rsqrt peak", color=theme.ink, fontsize=10)
    first = panels[0, 0]
    legend(first, theme, *first.get_legend_handles_labels(), loc="upper right")
    return drawn


def _panel(ax: Axes, branches: Branches, theme: Theme, *, kind: Kind, peak: float) -> None:
    colours = ordered_colours(len(branches.lengths), theme)
    longest = max(branches.lengths)
    if kind != "linear":
        trunk = _config(branches, kind=kind, peak=peak, end=None)
        _line(ax, trunk, 0, longest, color=theme.muted, linewidth=4.5, alpha=0.45, label="trunk")
    for i, (end, colour) in enumerate(zip(branches.lengths, colours, strict=True)):
        branch = _config(branches, kind=kind, peak=peak, end=end)
        begin = 0 if kind == "linear" else end - branches.cooldown_steps
        label = f"ends at {end / 1000:g}k"
        style = LINES[i % len(LINES)]
        _line(ax, branch, begin, end, color=colour, linewidth=1.8, linestyle=style, label=label)
        ax.plot(end, 0, marker=MARKERS[i % len(MARKERS)], color=colour, markersize=6, clip_on=False)


def _config(branches: Branches, *, kind: Kind, peak: float, end: int | None) -> ScheduleConfig:
    cooled = kind != "linear" and end is not None
    return ScheduleConfig(
        kind=kind,
        peak_lr=peak,
        warmup_steps=branches.warmup_steps,
        timescale_steps=branches.timescale_steps,
        drop_end_steps=branches.drop_end_steps,
        total_steps=end,
        cooldown_steps=branches.cooldown_steps if cooled else None,
    )


def _line(ax: Axes, config: ScheduleConfig, begin: int, end: int, **look: object) -> None:
    corners = [begin, end, config.warmup_steps, config.drop_end_steps]
    inside = [step for step in corners if begin <= step <= end]
    steps = np.unique(np.concatenate([np.linspace(begin, end, _SAMPLES).astype(int), inside]))
    ax.plot(steps, [value(config, step=int(step)) for step in steps], **look)  # type: ignore[arg-type]
