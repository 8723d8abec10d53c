"""Image and seed -> float32[h, w, 3] in [-1, 1], in TensorFlow.

Every random number is a stateless function of the example's seed, so the result doesn't depend on
the number of threads, the batch size or what was read before. Works eagerly and inside `tf.data`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from vitctl.data.config import CROP_RATIO, AugmentConfig, EvalPreprocess
from vitctl.data.decode import decode, decode_jpeg, decode_jpeg_window, jpeg_size
from vitctl.data.long_images import LONG, centre_of_long, square_of_long
from vitctl.data.randaugment import randaugment
from vitctl.data.tensorflow import load_tensorflow

if TYPE_CHECKING:
    from tensorflow import Tensor

# One number per use of randomness, folded into the example's seed.
_CROP, _FLIP, _RANDAUGMENT = 1, 2, 3


def decoded(data: Tensor, *, least: int | None = None) -> Tensor:
    """uint8[h, w, 3] of an encoded image, string[], or of pixels themselves. A JPEG may be smaller
    where its sides still have `least` pixels; None decodes it in full."""
    if not _is_encoded(data):
        return data
    if least is None:
        return decode(data)
    tf = load_tensorflow()
    image = tf.cond(
        tf.io.is_jpeg(data),
        lambda: decode_jpeg(data, size=jpeg_size(data), least=least),
        lambda: decode(data),
    )
    image.set_shape([None, None, 3])
    return image


def _is_encoded(data: Tensor) -> bool:
    tf = load_tensorflow()
    return tf.as_dtype(getattr(data, "dtype", tf.string)) == tf.string


def train_image(data: Tensor, seed: Tensor, *, resolution: int, augment: AugmentConfig) -> Tensor:
    """string[] or uint8[h, w, 3], int32[2] -> float32[resolution, resolution, 3]."""
    tf = load_tensorflow()
    image = resized_crop(data, seed, resolution=resolution, augment=augment)
    if augment.flip:
        image = tf.image.stateless_random_flip_left_right(image, _fold(seed, _FLIP))
    if augment.randaugment is not None:
        pixels = tf.cast(tf.round(image), tf.uint8)
        pixels = randaugment(pixels, _fold(seed, _RANDAUGMENT), config=augment.randaugment)
        image = tf.cast(pixels, tf.float32)
    return to_range(image)


def resized_crop(data: Tensor, seed: Tensor, *, resolution: int, augment: AugmentConfig) -> Tensor:
    """float32[resolution, resolution, 3] of 0 to 255: the image that is augmented further."""
    tf = load_tensorflow()
    image = crop(data, seed, resolution=resolution, augment=augment)
    if augment.crop == "simple":
        side = _side(resolution, augment)
        image = _random_square(image, _fold(seed, _CROP), side=side, resolution=resolution)
    elif augment.crop == "none":
        size = tf.shape(image)
        message = f"it is not {resolution} x {resolution} pixels, which crop=none asks for"
        with tf.control_dependencies(
            [tf.debugging.assert_equal(size[:2], [resolution, resolution], message)]
        ):
            image = tf.cast(image, tf.float32)
    else:
        image = tf.image.resize(image, [resolution, resolution], method="bilinear")
    image.set_shape([resolution, resolution, 3])
    return image


def crop(data: Tensor, seed: Tensor, *, resolution: int, augment: AugmentConfig) -> Tensor:
    """uint8[h, w, 3]: what is seen of an image, before it is resized; all of it where the crop is
    of the resized image."""
    least = least_side(resolution, augment)
    if augment.crop == "inception":
        return _inception_crop(data, _fold(seed, _CROP), least=least, augment=augment)
    return decoded(data, least=least)


def least_side(resolution: int, augment: AugmentConfig) -> int | None:
    """How many pixels both sides of a crop must have for its JPEG to be decoded at a smaller scale;
    None where all are decoded in full."""
    if augment.jpeg_oversampling is None:
        return None
    side = _side(resolution, augment) if augment.crop == "simple" else resolution
    return math.ceil(side * augment.jpeg_oversampling)


def _side(resolution: int, augment: AugmentConfig) -> int:
    """The smaller side of an image of which crop=simple is a square."""
    ratio = CROP_RATIO if augment.crop_ratio is None else augment.crop_ratio
    return round(resolution * ratio)


def eval_image(data: Tensor, *, resolution: int, preprocess: EvalPreprocess) -> Tensor:
    """string[] or uint8[h, w, 3] -> float32[resolution, resolution, 3], nothing random."""
    tf = load_tensorflow()
    image = _trimmed(decoded(data), preprocess.trim_border)
    side = round(resolution * preprocess.ratio)

    if preprocess.resize == "small":
        image = tf.cond(
            _is_long(image),
            lambda: centre_of_long(image, side=side, resolution=resolution),
            lambda: _centre(_resized_small(image, side), resolution),
        )
    else:
        resized = tf.image.resize(image, [side, side], method="bilinear", antialias=False)
        image = _centre(resized, resolution)
    image.set_shape([resolution, resolution, 3])
    return to_range(image)


def _trimmed(image: Tensor, border: int) -> Tensor:
    """Without so many pixels at each side."""
    if not border:
        return image
    tf = load_tensorflow()
    message = f"it is too small to cut {border} pixels off each side"
    smaller = tf.reduce_min(tf.shape(image)[:2])
    with tf.control_dependencies([tf.debugging.assert_greater(smaller, 2 * border, message)]):
        return image[border:-border, border:-border]


def _is_long(image: Tensor) -> Tensor:
    tf = load_tensorflow()
    size = tf.shape(image)[:2]
    return tf.reduce_max(size) > LONG * tf.reduce_min(size)


def _centre(image: Tensor, resolution: int) -> Tensor:
    tf = load_tensorflow()
    height, width = tf.unstack(tf.shape(image)[:2])
    top, left = (height - resolution) // 2, (width - resolution) // 2
    return image[top : top + resolution, left : left + resolution]


def _resized_small(image: Tensor, side: int) -> Tensor:
    """float32: by area averaging, as the public reference does, or bilinearly where it would have
    to enlarge: area "averaging" then repeats pixels, which a model never saw in training."""
    tf = load_tensorflow()
    before = tf.shape(image)[:2]
    size = small_size(before, side)
    return tf.cond(
        side > tf.reduce_min(before),
        lambda: tf.image.resize(image, size, method="bilinear"),
        lambda: tf.image.resize(image, size, method="area"),
    )


def small_size(size: Tensor, side: int) -> Tensor:
    """int32[2] (height, width) scaled so that the smaller one is `side`."""
    tf = load_tensorflow()
    scaled = tf.round(tf.cast(size, tf.float64) * side / tf.cast(tf.reduce_min(size), tf.float64))
    return tf.cast(scaled, tf.int32)


def to_range(image: Tensor) -> Tensor:
    """0 to 255 -> -1 to 1."""
    return image / 127.5 - 1.0


def _inception_crop(
    data: Tensor, seed: Tensor, *, least: int | None, augment: AugmentConfig
) -> Tensor:
    """uint8[h, w, 3]: a random window. Of a JPEG only the blocks it touches are decoded, with
    fewer pixels where both sides still have `least`."""
    tf = load_tensorflow()

    def window(size: Tensor) -> Tensor:
        return inception_window(size, seed, augment=augment)

    def from_jpeg() -> Tensor:
        return decode_jpeg_window(data, window(jpeg_size(data)), least=least)

    def from_other() -> Tensor:
        image = decoded(data)
        top, left, height, width = tf.unstack(window(tf.shape(image)[:2]))
        return image[top : top + height, left : left + width]

    if _is_encoded(data):
        image = tf.cond(tf.io.is_jpeg(data), from_jpeg, from_other)
    else:
        image = from_other()
    image.set_shape([None, None, 3])
    return image


def inception_window(size: Tensor, seed: Tensor, *, augment: AugmentConfig) -> Tensor:
    """int32[4]: top, left, height and width of a random window of an image of `size`, int32[2]."""
    tf = load_tensorflow()
    begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.concat([size, [3]], 0),
        tf.zeros([1, 0, 4]),
        seed,
        min_object_covered=0.0,
        aspect_ratio_range=(augment.aspect_min, augment.aspect_max),
        area_range=(augment.area_min, augment.area_max),
        use_image_if_no_bounding_boxes=True,
    )
    return tf.concat([begin[:2], extent[:2]], 0)


def window_and_flip(seed: Tensor, *, size: int, augment: AugmentConfig) -> Tensor:
    """int32[5]: top, left, height and width of what `train_image` resizes of a square image of
    `size` pixels a side, and 1 where it mirrors that; of a crop that is no part of the image as it
    is ("simple") there is none."""
    tf = load_tensorflow()
    window = tf.constant([0, 0, size, size])
    if augment.crop == "inception":
        window = inception_window(tf.constant([size, size]), _fold(seed, _CROP), augment=augment)
    mirrored = tf.constant(0)
    if augment.flip:
        # Two pixels tell.
        pixels = tf.constant([0, 1], shape=(1, 2, 1))
        pixels = tf.image.stateless_random_flip_left_right(pixels, _fold(seed, _FLIP))
        mirrored = pixels[0, 0, 0]
    return tf.concat([window, [mirrored]], 0)


def _random_square(image: Tensor, seed: Tensor, *, side: int, resolution: int) -> Tensor:
    """float32[resolution, resolution, 3] of uint8[h, w, 3] resized so that its smaller side is
    `side`: each place of the square is equally likely."""
    tf = load_tensorflow()
    place = tf.random.stateless_uniform([2], seed, dtype=tf.float64)

    def first_of(spare: Tensor) -> Tensor:
        return tf.floor(place * (spare + 1))

    def cut() -> Tensor:
        resized = _resized_small(image, side)
        spare = tf.cast(tf.shape(resized)[:2] - resolution, tf.float64)
        top, left = tf.unstack(tf.cast(first_of(spare), tf.int32))
        return resized[top : top + resolution, left : left + resolution]

    return tf.cond(
        _is_long(image),
        lambda: square_of_long(image, side=side, resolution=resolution, first_of=first_of),
        cut,
    )


def _fold(seed: Tensor, purpose: int) -> Tensor:
    tf = load_tensorflow()
    return tf.random.experimental.stateless_fold_in(seed, purpose)
