"""RandAugment in TensorFlow, stateless: Cubuk et al., "RandAugment: Practical automated data
augmentation with a reduced search space" (2020).

The sixteen operations, all as likely and always applied, and their ranges are those of
https://github.com/google-research/big_vision `pp/autoaugment.py` (`distort_image_with_randaugment`,
compared at commit 538b8a8), which the `small` recipe's source uses (Beyer, Zhai and Kolesnikov,
"Better plain ViT baselines for ImageNet-1k", 2022). Distances that are pixels of a 224 px image
there are fractions of the side here, so that they mean the same at any resolution. With
m = magnitude / 10:

    autocontrast equalize invert          no strength
    rotate                                30 m degrees, either way
    shear_x shear_y                       0.3 m, either way
    translate_x translate_y               100/224 m of the side, either way
    posterize                             keeps 4 m bits (none at m = 0)
    solarize                              inverts values from 256 m up
    solarize_add                          adds 110 m to values below 128
    color contrast brightness sharpness   blends with factor 0.1 + 1.8 m
    cutout                                a grey square of half side 40/224 m of the side

What an operation moves in from outside is grey (128).

The operations are Pillow's. There, `contrast` blends with a grey that depends on the number of
pixels, not with the image's mean, and geometry takes the nearest pixel; here it is bilinear.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from vitctl.data.config import RandAugmentConfig
from vitctl.data.tensorflow import load_tensorflow

if TYPE_CHECKING:
    from tensorflow import Tensor

_GREY = 128
_SIDE = 224
# Weights of red, green and blue in luminance: ITU-R BT.601, as Pillow's "L".
_LUMA = (0.299, 0.587, 0.114)


def randaugment(image: Tensor, seed: Tensor, *, config: RandAugmentConfig) -> Tensor:
    """uint8[h, w, 3], int32[2] -> uint8[h, w, 3]."""
    tf = load_tensorflow()
    strength = config.magnitude / 10
    for layer in range(config.layers):
        layer_seed = tf.random.experimental.stateless_fold_in(seed, layer)
        uniform = tf.random.stateless_uniform([4], layer_seed)
        choice = tf.cast(uniform[0] * len(OPERATIONS), tf.int32)
        sign = tf.where(uniform[1] < 0.5, -1.0, 1.0)
        branches = [
            functools.partial(operation, image, strength, sign, uniform[2:])
            for operation in OPERATIONS.values()
        ]
        image = tf.switch_case(tf.minimum(choice, len(OPERATIONS) - 1), branches)
    return image


# Colour


def autocontrast(image: Tensor) -> Tensor:
    """Stretch each channel to 0..255; a channel of one value stays."""
    tf = load_tensorflow()
    low = tf.cast(tf.reduce_min(image, [0, 1]), tf.float32)
    high = tf.cast(tf.reduce_max(image, [0, 1]), tf.float32)
    scale = tf.where(high > low, 255.0 / tf.maximum(high - low, 1.0), 1.0)
    offset = tf.where(high > low, low, 0.0)
    # A hair up, so that what is a whole number but for float32's rounding isn't cut off to the
    # one below; 1/255 is the smallest true distance to the next.
    return _to_uint8((tf.cast(image, tf.float32) - offset) * scale + 1e-3)


def equalize(image: Tensor) -> Tensor:
    """Flatten each channel's histogram, as Pillow does: the last bin is left out of the step."""
    tf = load_tensorflow()

    def table(channel: Tensor) -> Tensor:
        counts = tf.math.bincount(tf.cast(tf.reshape(channel, [-1]), tf.int32), minlength=256)
        present = tf.boolean_mask(counts, counts > 0)
        step = (tf.reduce_sum(present) - present[-1]) // 255
        flat = (tf.cumsum(counts, exclusive=True) + step // 2) // tf.maximum(step, 1)
        usable = (step > 0) & (tf.size(present) > 1)
        return tf.where(usable, tf.clip_by_value(flat, 0, 255), tf.range(256))

    tables = tf.cast(tf.concat([table(image[..., i]) for i in range(3)], 0), tf.uint8)
    return tf.gather(tables, tf.cast(image, tf.int32) + tf.constant([0, 256, 512]))


def invert(image: Tensor) -> Tensor:
    return 255 - image


def posterize(image: Tensor, bits: int) -> Tensor:
    """Keep the highest `bits` (0 to 8) bits of every value."""
    tf = load_tensorflow()
    return tf.bitwise.bitwise_and(image, tf.constant(0xFF & ~(0xFF >> min(8, bits)), tf.uint8))


def solarize(image: Tensor, threshold: int) -> Tensor:
    """Invert the values from `threshold` (256 and more: none) up."""
    tf = load_tensorflow()
    if threshold > 255:
        return image
    return tf.where(image < tf.constant(threshold, tf.uint8), image, 255 - image)


def solarize_add(image: Tensor, addition: int) -> Tensor:
    """Add to the values below 128, up to 255."""
    tf = load_tensorflow()
    addition = min(addition, 255)
    added = tf.minimum(image, tf.constant(255 - addition, tf.uint8)) + addition
    return tf.where(image < 128, added, image)


def color(image: Tensor, factor: float) -> Tensor:
    """0 is grey, 1 the image, above 1 more colourful."""
    return _blend(_luminance(image)[..., None], image, factor)


def contrast(image: Tensor, factor: float) -> Tensor:
    """0 is the mean luminance everywhere, 1 the image."""
    tf = load_tensorflow()
    return _blend(tf.floor(tf.reduce_mean(_luminance(image)) + 0.5), image, factor)


def brightness(image: Tensor, factor: float) -> Tensor:
    """0 is black, 1 the image."""
    return _blend(0.0, image, factor)


def sharpness(image: Tensor, factor: float) -> Tensor:
    """0 is smoothed with [[1,1,1],[1,5,1],[1,1,1]]/13, 1 the image; the border stays."""
    tf = load_tensorflow()
    values = tf.cast(image, tf.float32)

    def smooth() -> Tensor:
        # All nine neighbours once and the middle four times more, by sums of shifted rows and
        # columns: five times faster here than a depthwise convolution.
        rows = values[:-2] + values[1:-1] + values[2:]
        box = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
        inner = tf.floor((box + 4.0 * values[1:-1, 1:-1]) / 13.0 + 0.5)
        middle = tf.concat([values[1:-1, :1], inner, values[1:-1, -1:]], 1)
        return tf.concat([values[:1], middle, values[-1:]], 0)

    # An image of one or two rows or columns is all border.
    has_inside = tf.reduce_min(tf.shape(image)[:2]) > 2
    return _blend(tf.cond(has_inside, smooth, lambda: values), image, factor)


# Geometry


def affine(image: Tensor, matrix: tuple[Tensor | float, ...]) -> Tensor:
    """Output pixel (x, y) takes input pixel (a x + b y + c, d x + e y + f), bilinear, grey outside.

    Coordinates are of pixel centres, 0 to side - 1. `matrix` = (a, b, c, d, e, f).
    """
    tf = load_tensorflow()
    transform = tf.stack([tf.cast(value, tf.float32) for value in (*matrix, 0.0, 0.0)])
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(image, tf.float32)[None],
        transforms=transform[None],
        output_shape=tf.shape(image)[:2],
        fill_value=float(_GREY),
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )[0]
    return _to_uint8(tf.round(moved))


def rotate(image: Tensor, degrees: Tensor | float) -> Tensor:
    """Turn about the centre, counter-clockwise."""
    tf = load_tensorflow()
    x, y = _centre(image)
    angle = tf.cast(degrees, tf.float32) * (3.141592653589793 / 180)
    cos, sin = tf.cos(angle), tf.sin(angle)
    return affine(image, (cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y))


def shear_x(image: Tensor, amount: Tensor | float) -> Tensor:
    return affine(image, (1.0, amount, 0.0, 0.0, 1.0, 0.0))


def shear_y(image: Tensor, amount: Tensor | float) -> Tensor:
    return affine(image, (1.0, 0.0, 0.0, amount, 1.0, 0.0))


def translate_x(image: Tensor, fraction: Tensor | float) -> Tensor:
    """Move left by a fraction of the width."""
    tf = load_tensorflow()
    pixels = fraction * tf.cast(tf.shape(image)[1], tf.float32)
    return affine(image, (1.0, 0.0, pixels, 0.0, 1.0, 0.0))


def translate_y(image: Tensor, fraction: Tensor | float) -> Tensor:
    """Move up by a fraction of the height."""
    tf = load_tensorflow()
    pixels = fraction * tf.cast(tf.shape(image)[0], tf.float32)
    return affine(image, (1.0, 0.0, 0.0, 0.0, 1.0, pixels))


def cutout(image: Tensor, half_fraction: float, where: Tensor) -> Tensor:
    """A grey square of half side `half_fraction` of the side, about `where` = float32[2] (y, x)
    in 0..1; what lies outside the image is cut off."""
    tf = load_tensorflow()
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    half = tf.round(half_fraction * size)
    centre = tf.floor(where * size)
    rows = tf.abs(tf.range(size[0]) - centre[0] + 0.5) < half[0]
    columns = tf.abs(tf.range(size[1]) - centre[1] + 0.5) < half[1]
    inside = rows[:, None, None] & columns[None, :, None]
    return tf.where(inside, tf.constant(_GREY, tf.uint8), image)


Operation = Callable[["Tensor", float, "Tensor", "Tensor"], "Tensor"]

# name -> (image, m, sign, two uniform numbers) -> image
OPERATIONS: dict[str, Operation] = {
    "autocontrast": lambda image, m, sign, where: autocontrast(image),
    "equalize": lambda image, m, sign, where: equalize(image),
    "invert": lambda image, m, sign, where: invert(image),
    "rotate": lambda image, m, sign, where: rotate(image, sign * 30 * m),
    "posterize": lambda image, m, sign, where: posterize(image, int(4 * m)),
    "solarize": lambda image, m, sign, where: solarize(image, int(256 * m)),
    "color": lambda image, m, sign, where: color(image, 0.1 + 1.8 * m),
    "contrast": lambda image, m, sign, where: contrast(image, 0.1 + 1.8 * m),
    "brightness": lambda image, m, sign, where: brightness(image, 0.1 + 1.8 * m),
    "sharpness": lambda image, m, sign, where: sharpness(image, 0.1 + 1.8 * m),
    "shear_x": lambda image, m, sign, where: shear_x(image, sign * 0.3 * m),
    "shear_y": lambda image, m, sign, where: shear_y(image, sign * 0.3 * m),
    "translate_x": lambda image, m, sign, where: translate_x(image, sign * m * 100 / _SIDE),
    "translate_y": lambda image, m, sign, where: translate_y(image, sign * m * 100 / _SIDE),
    "cutout": lambda image, m, sign, where: cutout(image, m * 40 / _SIDE, where),
    "solarize_add": lambda image, m, sign, where: solarize_add(image, int(110 * m)),
}


def _luminance(image: Tensor) -> Tensor:
    tf = load_tensorflow()
    weighted = tf.linalg.matvec(tf.cast(image, tf.float32), tf.constant(_LUMA))
    return tf.floor(weighted + 0.5)


def _blend(other: Tensor | float, image: Tensor, factor: float) -> Tensor:
    """other + factor * (image - other), as uint8."""
    tf = load_tensorflow()
    values = tf.cast(image, tf.float32)
    return _to_uint8(other + factor * (values - other))


def _to_uint8(values: Tensor) -> Tensor:
    tf = load_tensorflow()
    return tf.cast(tf.clip_by_value(values, 0.0, 255.0), tf.uint8)


def _centre(image: Tensor) -> tuple[Tensor, Tensor]:
    tf = load_tensorflow()
    size = tf.cast(tf.shape(image), tf.float32)
    return (size[1] - 1) / 2, (size[0] - 1) / 2
