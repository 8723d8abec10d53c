"""The one decoder. Training, evaluation and the check at shard time all use it.

So nothing that was committed to a dataset fails later, or looks different in training than it did
when it was checked.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from vitctl.data.tensorflow import load_tensorflow

if TYPE_CHECKING:
    from tensorflow import Tensor

# The accurate inverse DCT agrees with Pillow bit for bit (all of grey, RGB and CMYK, measured with
# TensorFlow 2.21); TensorFlow's default is off by up to 12 of 255 and 5 % faster.
ACCURATE_DCT = "INTEGER_ACCURATE"

JPEG = b"\xff\xd8\xff"
"""What `tf.io.is_jpeg` looks for."""

JPEG_SCALES = (1, 2, 4, 8)
"""A JPEG can be decoded at one n-th of its size, each side rounded up, by making fewer pixels of
its blocks of 8 x 8: what libjpeg does at each, and Pillow (`draft`), bit for bit."""


def decode(data: Tensor) -> Tensor:
    """Encoded image, string[] -> uint8[h, w, 3]. Works eagerly and inside a graph.

    Fails with `tf.errors.InvalidArgumentError` on bytes that are not a whole image.
    """
    tf = load_tensorflow()
    image = tf.cond(
        tf.io.is_jpeg(data),
        lambda: tf.io.decode_jpeg(data, channels=3, dct_method=ACCURATE_DCT),
        lambda: tf.io.decode_image(data, channels=3, expand_animations=False),
    )
    image.set_shape([None, None, 3])
    return image


def jpeg_size(data: Tensor) -> Tensor:
    """int32[2] (height, width) of a JPEG in full, string[], by its header."""
    return load_tensorflow().io.extract_jpeg_shape(data)[:2]


def decode_jpeg(data: Tensor, *, size: Tensor, least: int) -> Tensor:
    """A whole JPEG, string[] of `size` = int32[2] (height, width) -> uint8[h, w, 3], at the
    smallest of `JPEG_SCALES` at which both of its sides still have `least` pixels; in full where
    they have not."""
    tf = load_tensorflow()

    def at(scale: int) -> Tensor:
        return tf.io.decode_jpeg(data, channels=3, ratio=scale, dct_method=ACCURATE_DCT)

    return tf.switch_case(
        _smallest_scale(lambda scale: -(-size // scale), least=least),
        [partial(at, scale) for scale in JPEG_SCALES],
    )


def decode_jpeg_window(data: Tensor, window: Tensor, *, least: int | None = None) -> Tensor:
    """Decode only `window` = int32[4] (top, left, height, width) -> uint8[height, width, 3].

    The blocks outside are skipped. Beside the window's edges the result may differ from cropping
    the whole image where colours are stored at half resolution: their interpolation sees no
    neighbours there.

    With `least`, at the smallest of `JPEG_SCALES` at which both sides of the window still have so
    many pixels. Its edges are then rounded to pixels of the smaller picture, so each moves by at
    most half of one of these.
    """
    tf = load_tensorflow()

    def at(scale: int, part: Tensor) -> Tensor:
        return tf.io.decode_and_crop_jpeg(
            data, part, channels=3, ratio=scale, dct_method=ACCURATE_DCT
        )

    if least is None:
        return at(1, window)
    begin, end = window[:2], window[:2] + window[2:]

    def edges(scale: int) -> tuple[Tensor, Tensor]:
        # Halves round up, so the far edge is at most that of the picture, whose size rounds up too.
        half = scale // 2
        return (begin + half) // scale, (end + half) // scale

    def size(scale: int) -> Tensor:
        first, last = edges(scale)
        return last - first

    def window_at(scale: int) -> Tensor:
        return at(scale, tf.concat([edges(scale)[0], size(scale)], 0))

    return tf.switch_case(
        _smallest_scale(size, least=least), [partial(window_at, scale) for scale in JPEG_SCALES]
    )


def _smallest_scale(size_at: Callable[[int], Tensor], *, least: int) -> Tensor:
    """int32[]: the place in `JPEG_SCALES` of the smallest scale at which both sides of what is
    decoded, `size_at(scale)` = int32[2], have `least` pixels; 0, all of them, where none has."""
    tf = load_tensorflow()
    fits = tf.stack([tf.reduce_all(size_at(scale) >= least) for scale in JPEG_SCALES])
    return tf.reduce_max(tf.where(fits, tf.range(len(JPEG_SCALES)), 0))
