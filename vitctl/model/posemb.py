"""Position embeddings: fixed sines and cosines, and the resampling of learned ones.

Both run once, on the host, in float64, and are rounded to fp32 at the end. Tokens are row-major.
"""

from __future__ import annotations

from typing import assert_never

import numpy as np
from jaxtyping import Float

from vitctl.model.config import ModelConfig


def fixed(config: ModelConfig) -> Float[np.ndarray, "1 n d"] | None:
    """The position embeddings that are no parameters of a model; None where they are learned."""
    match config.position:
        case "learned":
            return None
        case "sincos2d":
            span = config.position_grid
            return sincos2d(
                rows=config.grid,
                columns=config.grid,
                width=config.width,
                spanning=None if span is None else (span, span),
            )
        case _:
            assert_never(config.position)


def sincos2d(
    *, rows: int, columns: int, width: int, spanning: tuple[int, int] | None = None
) -> Float[np.ndarray, "1 n d"]:
    """Fixed two-dimensional position embeddings (MoCo v3, https://arxiv.org/abs/2104.02057).

    Frequencies are 10000^(-i/(width/4 - 1)); features are sin and cos of the column, then sin and
    cos of the row, a quarter of the width each.

    Args:
      spanning: (rows, columns) of the grid whose coordinates, 0 to rows - 1, this one covers more
        or less finely, its corners in place; None counts 0, 1, 2, ... A model that was trained on
        a smaller grid has seen no coordinates beyond it.

    Raises:
      ValueError: 4 does not divide the width, or it is under 8.
    """
    if width % 4 or width < 8:
        raise ValueError(f"expected a width of at least 8 that 4 divides, got {width}")
    omega = 10_000.0 ** -(np.arange(width // 4) / (width // 4 - 1))
    old_rows, old_columns = spanning or (rows, columns)
    x, c = np.meshgrid(
        _coordinates(old_rows, new=rows), _coordinates(old_columns, new=columns), indexing="ij"
    )
    row = x.reshape(-1, 1) * omega
    column = c.reshape(-1, 1) * omega
    features = [np.sin(column), np.cos(column), np.sin(row), np.cos(row)]
    return np.concatenate(features, axis=1)[None].astype(np.float32)


def resample(
    position: Float[np.ndarray, "1 n d"],
    *,
    old_grid: tuple[int, int],
    new_grid: tuple[int, int],
) -> Float[np.ndarray, "1 m d"]:
    """Bilinear resampling between (rows, columns) grids, corners kept exactly in place.

    The same numbers as `scipy.ndimage.zoom(order=1)`, which the public reference uses on square
    grids; ours takes the grids explicitly, so that others come out right too. No antialiasing.

    Raises:
      ValueError: `position` has not one row for each cell of `old_grid`.
    """
    if position.ndim != 3 or position.shape[0] != 1 or position.shape[1] != np.prod(old_grid):
        raise ValueError(f"expected [1, {np.prod(old_grid)}, d], got {list(position.shape)}")
    if old_grid == new_grid:
        return np.asarray(position)
    cells = np.asarray(position, np.float64).reshape(*old_grid, position.shape[2])
    rows = _interpolation(old_grid[0], new=new_grid[0])
    columns = _interpolation(old_grid[1], new=new_grid[1])
    cells = np.einsum("ax,bc,xcd->abd", rows, columns, cells, optimize=True)
    return cells.reshape(1, -1, position.shape[2]).astype(position.dtype)


def _coordinates(old: int, *, new: int) -> Float[np.ndarray, " new"]:
    """`new` points from 0 to old - 1, evenly; one is at 0. As many as before are 0, 1, 2, ..."""
    return np.arange(new) * ((old - 1) / (new - 1)) if new > 1 else np.zeros(1)


def _interpolation(old: int, *, new: int) -> Float[np.ndarray, "new old"]:
    """The matrix of aligned-corner linear interpolation; one new point is the first old one."""
    at = _coordinates(old, new=new)
    low = np.clip(np.floor(at).astype(int), 0, max(old - 2, 0))
    matrix = np.zeros((new, old))
    matrix[np.arange(new), low] = 1.0 - (at - low)
    matrix[np.arange(new), np.minimum(low + 1, old - 1)] += at - low
    return matrix
