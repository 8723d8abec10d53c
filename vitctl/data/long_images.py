"""A square of an image that is many times longer than it is wide, resized.

To resize such an image until its short side fits, and to cut a square out afterwards, makes the
long side as long as it likes: 1 x 30,000 pixels scored at 224 px are 23.6 GB of float32, of which
3 in 100,000 are used. Here the source pixels of the square are cut out first, with the filter's
margin, so that nothing is larger than the decoded image or the result. The filters are those of
`tf.image.resize` (bilinear at pixel centres with repeated edges; area averaging), one axis after
the other: both are separable.

Only images beyond `LONG` take this way. Positions are float64 here and float32 in TensorFlow's
kernels, so the two agree only as far as float32 tells neighbouring positions apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vitctl.data.tensorflow import load_tensorflow

if TYPE_CHECKING:
    from tensorflow import Tensor

LONG = 16
"""Long side over short side, above which an image is cropped before it is resized. Below, at most
so many times the memory of the result goes into what is cut off, and TensorFlow's own resize is
kept bit for bit."""


def centre_of_long(image: Tensor, *, side: int, resolution: int) -> Tensor:
    """uint8[h, w, 3] resized so that its short side is `side`, the middle of that
    -> float32[resolution, resolution, 3]."""
    tf = load_tensorflow()
    middle = lambda spare: tf.floor(spare / 2)  # noqa: E731
    return square_of_long(image, side=side, resolution=resolution, first_of=middle)


def square_of_long(
    image: Tensor, *, side: int, resolution: int, first_of: Callable[[Tensor], Tensor]
) -> Tensor:
    """uint8[h, w, 3] resized so that its short side is `side`, a square of that
    -> float32[resolution, resolution, 3].

    `first_of` gives the square's top left pixel, of how many pixels are cut off in all: whole
    numbers, float64[2] (height, width), of float64[2].
    """
    tf = load_tensorflow()
    size = tf.cast(tf.shape(image)[:2], tf.float64)
    short = tf.reduce_min(size)
    # In float64: the long side may pass the largest int32.
    resized = tf.round(size * side / short)
    first = first_of(resized - resolution)
    wanted = first[:, None] + tf.range(resolution, dtype=tf.float64)
    scale = size / resized
    return tf.cond(
        side > short,
        lambda: _bilinear(image, wanted=wanted, scale=scale),
        lambda: _area(image, wanted=wanted, scale=scale),
    )


def _bilinear(image: Tensor, *, wanted: Tensor, scale: Tensor) -> Tensor:
    """`wanted` are float64[2, n] pixels of the resized image along height and width, `scale` is
    how many pixels of the image one of them is."""
    tf = load_tensorflow()
    last = tf.shape(image)[:2, None] - 1
    at = (wanted + 0.5) * scale[:, None] - 0.5
    floor = tf.floor(at)
    share = tf.cast(at - floor, tf.float32)
    lower = tf.maximum(tf.cast(floor, tf.int32), 0)
    upper = tf.minimum(tf.cast(tf.math.ceil(at), tf.int32), last)
    first_row = lower[:, 0]
    window = tf.cast(_cut(image, first_row, upper[:, -1] + 1), tf.float32)
    lower, upper = lower - first_row[:, None], upper - first_row[:, None]
    for axis in (0, 1):
        low, high = (tf.gather(window, index[axis], axis=axis) for index in (lower, upper))
        shares = tf.reshape(share[axis], [-1, 1, 1] if axis == 0 else [1, -1, 1])
        window = low + (high - low) * shares
    return window


def _area(image: Tensor, *, wanted: Tensor, scale: Tensor) -> Tensor:
    """The mean over each wanted pixel's area, as a difference of prefix sums."""
    tf = load_tensorflow()
    size = tf.cast(tf.shape(image)[:2, None], tf.float64)
    begin, end = (tf.minimum(edge * scale[:, None], size) for edge in (wanted, wanted + 1))
    first_row = tf.cast(tf.floor(begin[:, 0]), tf.int32)
    # Whole numbers to begin with: exact, and half the memory.
    means = tf.cast(_cut(image, first_row, tf.cast(tf.math.ceil(end[:, -1]), tf.int32)), tf.int32)
    origin = tf.cast(first_row[:, None], tf.float64)
    begin, end = begin - origin, end - origin

    def integral(values: Tensor, edges: Tensor) -> Tensor:
        """Of the rows of `values` from the first up to each of the `edges`."""
        sums = tf.pad(tf.cumsum(values, axis=0), [[1, 0], [0, 0], [0, 0]])
        floor = tf.floor(edges)
        index = tf.cast(floor, tf.int32)
        low = tf.cast(tf.gather(sums, index), tf.float64)
        high = tf.gather(sums, tf.minimum(index + 1, tf.shape(values)[0]))
        return low + (tf.cast(high, tf.float64) - low) * (edges - floor)[:, None, None]

    for axis in (0, 1):
        sums = integral(means, end[axis]) - integral(means, begin[axis])
        means = tf.transpose(sums / (end[axis] - begin[axis])[:, None, None], [1, 0, 2])
    return tf.cast(means, tf.float32)


def _cut(image: Tensor, begin: Tensor, end: Tensor) -> Tensor:
    """The pixels from `begin` to `end`, int32[2] (height, width)."""
    return image[begin[0] : end[0], begin[1] : end[1]]
