"""The head/body weight decay heat map (the paper's figure 5, left).

Numbers are printed in the cells; cividis rises evenly in lightness for every kind of sight and in
grey print.
"""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from vitctl.figures.style import Theme, dress, figure


def decay_heat_map(
    head: NDArray[np.float64],
    body: NDArray[np.float64],
    accuracy: NDArray[np.float64],
    theme: Theme,
    *,
    metric: str,
) -> Figure:
    """Accuracy (fractions) over the decay of the head (up) and of the body (right).

    Arrays [n] of runs; of several runs of one pair the best is drawn. The best cell is framed.
    """
    heads, bodies = np.unique(head), np.unique(body)
    grid = np.full((len(heads), len(bodies)), np.nan)
    for h, b, value in zip(head, body, accuracy, strict=True):
        cell = int(np.searchsorted(heads, h)), int(np.searchsorted(bodies, b))
        grid[cell] = np.nanmax([grid[cell], value])
    drawn = figure(theme, width=1.9 + 0.62 * len(bodies), height=1.5 + 0.48 * len(heads))
    ax = drawn.subplots()
    scale = mpl.colormaps["cividis"]
    low, high = float(np.nanmin(grid)), float(np.nanmax(grid))
    picture = ax.imshow(grid, origin="lower", aspect="auto", cmap=scale, vmin=low, vmax=high)
    for i, j in np.ndindex(*grid.shape):
        if np.isfinite(grid[i, j]):
            share = (grid[i, j] - low) / max(high - low, 1e-12)
            ax.text(
                j,
                i,
                f"{100 * grid[i, j]:.3g}",
                ha="center",
                va="center",
                fontsize=9,
                color="#111111" if share > 0.5 else "#ffffff",
            )
    for i, j in np.argwhere(grid == high):
        ax.add_patch(
            Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, edgecolor=theme.law, linewidth=2.4)
        )
    ax.set_xticks(range(len(bodies)), [f"{value:g}" for value in bodies])
    ax.set_yticks(range(len(heads)), [f"{value:g}" for value in heads])
    dress(
        ax,
        theme,
        title=f"{metric} (%) by weight decay; best framed",
        x="weight decay of the body",
        y="weight decay of the head",
    )
    ax.grid(False)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    bar = drawn.colorbar(picture, ax=ax, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=theme.muted, labelcolor=theme.ink, labelsize=8.5)
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    return drawn
