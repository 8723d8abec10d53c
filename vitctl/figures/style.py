"""How pictures look: two themes, colours for colour-blind readers, marks for grey print.

Meaning never rests on colour: series differ in marker or line style too, and carry their name.
Ordered series (models by size) take their colour from cividis or viridis, which rise evenly in
lightness; unordered ones from Okabe and Ito's palette (https://jfly.uni-koeln.de/color/).
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from vitctl.pixels.picture_mark import SOFTWARE, mark
from vitctl.scaling.laws import CEILING
from vitctl.scaling.names import Measure

ThemeName = Literal["light", "dark"]
Format = Literal["svg", "png"]

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "d")
LINES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2)))


@dataclass(frozen=True)
class Theme:
    """Colours of paper and ink, and the part of the lightness scale that shows on that paper."""

    name: ThemeName
    paper: str
    ink: str
    muted: str
    grid: str
    law: str
    printed: str
    scale: tuple[float, float]


THEMES: dict[ThemeName, Theme] = {
    "light": Theme(
        name="light",
        paper="#ffffff",
        ink="#17181c",
        muted="#5b6068",
        grid="#e2e4e8",
        law="#d55e00",
        printed="#0072b2",
        scale=(0.0, 0.78),
    ),
    "dark": Theme(
        name="dark",
        paper="#14161a",
        ink="#eceef1",
        muted="#a5abb4",
        grid="#2d3139",
        law="#e69f00",
        printed="#56b4e9",
        scale=(0.3, 1.0),
    ),
}


def ordered_colours(n: int, theme: Theme) -> list[str]:
    """`n` colours of rising lightness."""
    low, high = theme.scale
    scale = mpl.colormaps["viridis"]
    return [to_hex(scale(low + (high - low) * i / max(1, n - 1))) for i in range(n)]


def figure(theme: Theme, *, width: float = 7.0, height: float = 4.6) -> Figure:
    """An empty figure in inches, laid out to fit its labels."""
    return Figure(figsize=(width, height), facecolor=theme.paper, layout="constrained")


def dress(ax: Axes, theme: Theme, *, title: str = "", x: str = "", y: str = "") -> None:
    """Colours, grid and labels of one pair of axes."""
    ax.set_facecolor(theme.paper)
    ax.grid(True, color=theme.grid, linewidth=0.8)
    ax.set_axisbelow(True)
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(theme.muted)
    ax.tick_params(which="both", colors=theme.muted, labelcolor=theme.ink, labelsize=9)
    ax.set_title(title, color=theme.ink, fontsize=11, loc="left", pad=10)
    ax.set_xlabel(x, color=theme.ink, fontsize=10)
    ax.set_ylabel(y, color=theme.ink, fontsize=10)


def legend(
    ax: Axes, theme: Theme, handles: Sequence[Any], labels: Sequence[str], *, loc: Any = "best"
) -> None:
    """A legend without a box, in the theme's ink."""
    ax.legend(handles, labels, frameon=False, fontsize=8.5, labelcolor=theme.ink, loc=loc)


def outside(drawn: Figure, theme: Theme, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """The same, right of the axes, which make room for it."""
    drawn.legend(
        handles,
        labels,
        frameon=False,
        fontsize=8.5,
        labelcolor=theme.ink,
        loc="outside right upper",
    )


def log_values(ax: Axes, low: float, high: float, *, measure: Measure) -> None:
    """A logarithmic y axis of errors `low`..`high` (fractions), labelled in plain percent, or of
    losses, labelled as they are."""

    def write(value: float, _: object = None) -> str:
        return f"{100 * value:g} %" if measure == "error" else f"{value:g}"

    if low <= 0:  # no logarithm; a whole linear axis
        ax.set_ylim(0, high * 1.06)
        ax.yaxis.set_major_formatter(FuncFormatter(write))
        return
    ceiling = CEILING[measure] or math.inf
    ax.set_yscale("log")
    ax.set_ylim(low * 0.94, high * 1.06)
    bottom, top = ax.get_ylim()
    for steps in (
        (1, 2, 5),
        (1, 1.5, 2, 3, 4, 6, 8),
        (1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 4, 5, 6, 8),
    ):
        decades = range(math.floor(math.log10(bottom)), math.ceil(math.log10(top)) + 1)
        ticks = [s * 10.0**p for p in decades for s in steps]
        ticks = [tick for tick in ticks if bottom <= tick <= min(top, ceiling)]
        if len(ticks) >= 5:
            break
    if len(ticks) < 3:  # a narrow range: let matplotlib choose
        ax.set_yscale("linear")
        ax.yaxis.set_major_formatter(FuncFormatter(write))
        return
    ax.yaxis.set_major_locator(FixedLocator(ticks))
    ax.yaxis.set_major_formatter(FuncFormatter(write))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_minor_formatter(NullFormatter())


def label_ends(
    ax: Axes, labels: Sequence[tuple[str, float, float, str]], theme: Theme, *, gap: float = 0.034
) -> None:
    """Names beside the right ends (name, x, y, colour) of lines, moved apart where they collide.

    `gap` is the least distance of two names, as a share of the axes' height.
    """
    to_axes = ax.transData + ax.transAxes.inverted()
    placed = sorted(((to_axes.transform((x, y))[1], name, x, y, c) for name, x, y, c in labels))
    heights: list[float] = []
    for height, *_ in placed:
        heights.append(max(height, heights[-1] + gap) if heights else height)
    # Names pushed past the top slide back down, keeping their distance.
    ceiling = 0.985
    for i in range(len(heights) - 1, -1, -1):
        heights[i] = min(heights[i], ceiling)
        ceiling = heights[i] - gap
    for height, (_, name, x, y, colour) in zip(heights, placed, strict=True):
        ax.annotate(
            name,
            xy=(x, y),
            xytext=(1.02, height),
            textcoords="axes fraction",
            fontsize=8.5,
            color=theme.ink,
            va="center",
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.8, "shrinkB": 3},
            annotation_clip=False,
        )


def render(drawn: Figure, *, form: Format, title: str, description: str) -> bytes:
    """The picture's bytes, the same for the same numbers: no date, no random ids."""
    out = io.BytesIO()
    colour = drawn.get_facecolor()
    if form == "png":
        FigureCanvasAgg(drawn)
        # matplotlib writes the software first, as the mark must be.
        metadata: dict[str, Any] = {
            SOFTWARE: mark("scaling plot"),
            "Title": title,
            "Description": description,
        }
        drawn.savefig(out, format="png", dpi=200, facecolor=colour, metadata=metadata)
    else:
        FigureCanvasSVG(drawn)
        metadata = {"Title": title, "Description": description, "Date": None, "Creator": "vitctl"}
        with mpl.rc_context({"svg.hashsalt": title, "svg.fonttype": "path"}):
            drawn.savefig(out, format="svg", facecolor=colour, metadata=metadata)
    return out.getvalue()
