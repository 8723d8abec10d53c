"""`vitctl.data.preprocess.eval_image` without TensorFlow, whose import takes 5 to 10 s.

The same numbers, bit for bit: TensorFlow's kernels are repeated here operation by operation, in
float32 and in the order in which they add (tensorflow/core/kernels/image/resize_bilinear_op.cc and
resize_area_op.cc; of long images, `vitctl.data.long_images`). `tests/data/test_numpy_preprocess.py`
compares both over sizes, ratios and resolutions. Only the pixels that the centre needs are
computed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitctl.data.config import EvalPreprocess
from vitctl.data.long_images import LONG
from vitctl.errors import InputError

Pixels = NDArray[np.uint8]
Image = NDArray[np.float32]

_F = np.float32


def eval_pixels(pixels: Pixels, *, resolution: int, preprocess: EvalPreprocess) -> Image:
    """uint8[h, w, 3] -> float32[resolution, resolution, 3] in [-1, 1]. Raises InputError for one
    that is smaller than the border to cut off."""
    pixels = _trimmed(pixels, preprocess.trim_border)
    height, width = pixels.shape[:2]
    side = round(resolution * preprocess.ratio)
    if preprocess.resize == "squash":
        image = _centre_of_resized(pixels, (side, side), resolution, area=False)
    elif max(height, width) > LONG * min(height, width):
        image = _centre_of_long(pixels, side=side, resolution=resolution)
    else:
        size = _small_size(height, width, side)
        image = _centre_of_resized(pixels, size, resolution, area=side <= min(height, width))
    return image / _F(127.5) - _F(1)


def _trimmed(pixels: Pixels, border: int) -> Pixels:
    if min(pixels.shape[:2]) <= 2 * border:
        raise InputError(f"it is too small to cut {border} pixels off each side")
    return pixels[border:-border, border:-border] if border else pixels


def _small_size(height: int, width: int, side: int) -> tuple[int, int]:
    """(height, width) scaled so that the smaller one is `side`; rounds half to even."""
    short = min(height, width)
    return round(height * side / short), round(width * side / short)


def _centre_of_resized(
    pixels: Pixels, size: tuple[int, int], resolution: int, *, area: bool
) -> Image:
    """The middle of the image resized to `size`."""
    first = [(length - resolution) // 2 for length in size]
    wanted = [np.arange(begin, begin + resolution) for begin in first]
    scale = [_F(_F(old) / _F(new)) for old, new in zip(pixels.shape[:2], size, strict=True)]
    return _area(pixels, wanted, scale) if area else _bilinear(pixels, wanted, scale)


def _bilinear(pixels: Pixels, wanted: list[NDArray[Any]], scale: list[Any]) -> Image:
    """Interpolated between pixel centres, columns first."""
    edges = []
    for length, index, factor in zip(pixels.shape[:2], wanted, scale, strict=True):
        at = (index.astype(_F) + _F(0.5)) * factor - _F(0.5)
        floor = np.floor(at)
        lower = np.maximum(floor.astype(np.int64), 0)
        upper = np.minimum(np.ceil(at).astype(np.int64), length - 1)
        edges.append((lower, upper, at - floor))
    (top, bottom, down), (left, right, along) = edges
    # Rows that no wanted pixel touches are not interpolated along; each other one is once.
    rows, place = np.unique(np.concatenate([top, bottom]), return_inverse=True)
    band = pixels[rows]
    low, high = band[:, left].astype(_F), band[:, right].astype(_F)
    lines = low + (high - low) * along[None, :, None]
    upper_lines, lower_lines = lines[place[: len(top)]], lines[place[len(top) :]]
    return upper_lines + (lower_lines - upper_lines) * down[:, None, None]


def _area(pixels: Pixels, wanted: list[NDArray[Any]], scale: list[Any]) -> Image:
    """The mean over each wanted pixel's area: sums along a row, then over the rows."""
    (ys, xs), (height_scale, width_scale) = wanted, scale
    columns, column_weights = _cells(xs, width_scale)
    rows, row_weights = _cells(ys, height_scale)
    width, height = pixels.shape[1], pixels.shape[0]
    start, stop = rows.min(), min(int(rows.max()) + 1, height)
    band = pixels[start:stop]
    sums = _weighted(band, np.minimum(columns, width - 1), column_weights, axis=1)
    total = _weighted(sums, np.minimum(rows, height - 1) - start, row_weights, axis=0)
    return total * _F(1.0 / float(height_scale * width_scale))


def _cells(wanted: NDArray[Any], scale: Any) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """int64[k, n] source positions under each of n wanted pixels, and float32[k, n] how much of
    each lies under it: 0 where there are fewer than k."""
    begin, end = wanted.astype(_F) * scale, (wanted + 1).astype(_F) * scale
    first, last = np.floor(begin).astype(np.int64), np.ceil(end).astype(np.int64)
    steps = np.arange(int((last - first).max()))[:, None]
    cell = first + steps
    low, high = cell.astype(_F), (cell + 1).astype(_F)
    starts_before = np.where(high > end, scale, high - begin)
    starts_within = np.where(high > end, end - low, _F(1))
    weights = np.where(low < begin, starts_before, starts_within).astype(_F)
    return np.minimum(cell, last - 1), np.where(cell < last, weights, _F(0))


def _weighted(
    values: NDArray[Any], index: NDArray[np.int64], weights: NDArray[np.float32], *, axis: int
) -> Image:
    """The sum over k of `weights` times the values at `index`, one after the other: floating point
    sums depend on their order. Adding 0 changes none."""
    shape = (1, -1, 1) if axis == 1 else (-1, 1, 1)
    total: Image | None = None
    for cells, shares in zip(index, weights, strict=True):
        part = np.take(values, cells, axis=axis).astype(_F)
        part *= shares.reshape(shape)
        if total is None:
            total = part
        else:
            total += part
    assert total is not None
    return total


# Images many times longer than wide: positions in float64, as in `vitctl.data.long_images`.


def _centre_of_long(pixels: Pixels, *, side: int, resolution: int) -> Image:
    size = np.array(pixels.shape[:2], np.float64)
    short = size.min()
    resized = np.round(size * side / short)
    first = np.floor((resized - resolution) / 2)
    wanted = first[:, None] + np.arange(resolution, dtype=np.float64)
    scale = size / resized
    if side > short:
        return _long_bilinear(pixels, wanted, scale)
    return _long_area(pixels, wanted, scale)


def _long_bilinear(
    pixels: Pixels, wanted: NDArray[np.float64], scale: NDArray[np.float64]
) -> Image:
    last = np.array(pixels.shape[:2])[:, None] - 1
    at = (wanted + 0.5) * scale[:, None] - 0.5
    floor = np.floor(at)
    share = (at - floor).astype(_F)
    lower = np.maximum(floor.astype(np.int64), 0)
    upper = np.minimum(np.ceil(at).astype(np.int64), last)
    window: NDArray[Any] = pixels
    for axis in (0, 1):
        low, high = (np.take(window, index[axis], axis=axis).astype(_F) for index in (lower, upper))
        window = low + (high - low) * share[axis].reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
    return window


def _long_area(pixels: Pixels, wanted: NDArray[np.float64], scale: NDArray[np.float64]) -> Image:
    size = np.array(pixels.shape[:2], np.float64)[:, None]
    begin, end = (np.minimum(edge * scale[:, None], size) for edge in (wanted, wanted + 1))
    start, stop = np.floor(begin[:, 0]), np.ceil(end[:, -1])
    rows, columns = (slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    means: NDArray[Any] = pixels[rows, columns].astype(np.int32)
    begin, end = begin - start[:, None], end - start[:, None]
    for axis in (0, 1):
        sums = _integral(means, end[axis]) - _integral(means, begin[axis])
        means = (sums / (end[axis] - begin[axis])[:, None, None]).transpose(1, 0, 2)
    return means.astype(_F)


def _integral(values: NDArray[Any], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the rows of `values` from the first up to each of the `edges`."""
    # One addition after the other, as a sum along the first axis is.
    sums = np.concatenate(
        [np.zeros_like(values[:1]), np.cumsum(values, axis=0, dtype=values.dtype)]
    )
    floor = np.floor(edges)
    index = floor.astype(np.int64)
    low = sums[index].astype(np.float64)
    high = sums[np.minimum(index + 1, len(values))].astype(np.float64)
    return low + (high - low) * (edges - floor)[:, None, None]
