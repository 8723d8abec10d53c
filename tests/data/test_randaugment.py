"""Each operation against Pillow or scipy, then the draw of operations."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from scipy import ndimage

from tests.data.encoded_images import rgb
from vitctl.data import randaugment as ra
from vitctl.data.config import RandAugmentConfig
from vitctl.data.tensorflow import as_it_is, load_tensorflow


def photo(height=40, width=48, seed=0):
    """Smooth noise of a limited range, so that contrast operations have something to do."""
    noise = np.random.default_rng(seed).uniform(40, 210, (height // 8, width // 8, 3))
    image = Image.fromarray(noise.astype(np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    return np.asarray(image)


IMAGES = {"photo": photo(), "gradient": np.asarray(rgb()), "flat": np.full((9, 9, 3), 77, np.uint8)}


def enhance(kind, factor):
    return lambda image: kind(image).enhance(factor)


# name -> (ours, Pillow's, greatest difference). One level is allowed where Pillow keeps less
# precision on the way: a rounded scale of contrast, integer weights of luminance.
AGAINST_PILLOW = {
    "autocontrast": (ra.autocontrast, ImageOps.autocontrast, 1),
    "equalize": (ra.equalize, ImageOps.equalize, 0),
    "invert": (ra.invert, ImageOps.invert, 0),
    **{
        f"posterize {bits}": (
            lambda image, bits=bits: ra.posterize(image, bits),
            lambda image, bits=bits: ImageOps.posterize(image, bits),
            0,
        )
        for bits in (1, 2, 4, 8)
    },
    **{
        f"solarize {threshold}": (
            lambda image, threshold=threshold: ra.solarize(image, threshold),
            lambda image, threshold=threshold: ImageOps.solarize(image, threshold),
            0,
        )
        for threshold in (0, 100, 256)
    },
    **{
        f"{name} {factor}": (
            lambda image, function=function, factor=factor: function(image, factor),
            enhance(kind, factor),
            1,
        )
        for name, function, kind in (
            ("color", ra.color, ImageEnhance.Color),
            ("contrast", ra.contrast, ImageEnhance.Contrast),
            ("brightness", ra.brightness, ImageEnhance.Brightness),
            ("sharpness", ra.sharpness, ImageEnhance.Sharpness),
        )
        for factor in (0.0, 0.1, 1.0, 1.9)
    },
}


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("name", AGAINST_PILLOW)
def test_colour_operations_are_pillows(name, image):
    ours, theirs, tolerance = AGAINST_PILLOW[name]
    tf = load_tensorflow()
    pixels = ours(tf.constant(IMAGES[image])).numpy()
    expected = np.asarray(theirs(Image.fromarray(IMAGES[image])))
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - expected).max() <= tolerance


def test_solarize_add():
    tf = load_tensorflow()
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, -1)
    for addition in (0, 110, 150, 330):
        expected = np.where(image < 128, np.minimum(255, image.astype(int) + addition), image)
        assert np.array_equal(ra.solarize_add(tf.constant(image), addition).numpy(), expected)


def test_posterizing_to_no_bits_is_black():
    tf = load_tensorflow()
    assert not ra.posterize(tf.constant(IMAGES["photo"]), 0).numpy().any()


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 2), (7, 2), (3, 3)])
def test_tiny_images_survive_every_operation(size):
    tf = load_tensorflow()
    image = tf.constant(photo()[: size[0], : size[1]])
    for operation in ra.OPERATIONS.values():
        pixels = operation(image, 1.0, tf.constant(-1.0), tf.constant([0.9, 0.1]))
        assert pixels.shape == image.shape
        assert pixels.dtype == tf.uint8


def by_scipy(image, matrix):
    """Output pixel (x, y) takes input (a x + b y + c, d x + e y + f), linear, grey outside."""
    a, b, c, d, e, f = matrix
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float64)
    places = [d * x + e * y + f, a * x + b * y + c]
    channels = [
        ndimage.map_coordinates(
            image[..., i].astype(np.float64), places, order=1, mode="grid-constant", cval=128
        )
        for i in range(3)
    ]
    return np.stack(channels, -1)


GEOMETRY = {
    "shear_x": (lambda t: ra.shear_x(t, 0.3), lambda h, w: (1, 0.3, 0, 0, 1, 0)),
    "shear_y": (lambda t: ra.shear_y(t, -0.3), lambda h, w: (1, 0, 0, -0.3, 1, 0)),
    "translate_x": (lambda t: ra.translate_x(t, 0.25), lambda h, w: (1, 0, w / 4, 0, 1, 0)),
    "translate_y": (lambda t: ra.translate_y(t, -0.3), lambda h, w: (1, 0, 0, 0, 1, -0.3 * h)),
}


@pytest.mark.parametrize("name", GEOMETRY)
def test_shear_and_translate_are_scipys(name):
    ours, matrix = GEOMETRY[name]
    image = IMAGES["photo"]
    pixels = ours(load_tensorflow().constant(image)).numpy()
    # Rounding to uint8 is half a level; float32 coordinates add little.
    assert np.abs(pixels - by_scipy(image, matrix(*image.shape[:2]))).max() <= 0.51


@pytest.mark.parametrize("degrees", [30.0, -30.0, 90.0, 180.0])
def test_rotate_is_pillows(degrees):
    """Pillow's bilinear rotation about the centre; beside the border it fills differently."""
    image = photo(41, 41)
    pixels = ra.rotate(load_tensorflow().constant(image), degrees).numpy()
    expected = np.asarray(
        Image.fromarray(image).rotate(degrees, Image.Resampling.BILINEAR, fillcolor=(128, 128, 128))
    )
    y, x = np.mgrid[:41, :41] - 20
    inside = np.hypot(x, y) < 19
    assert np.abs(pixels.astype(int) - expected)[inside].max() <= 1


def test_cutout_is_a_grey_square():
    tf = load_tensorflow()
    image = tf.constant(IMAGES["photo"])
    pixels = ra.cutout(image, 0.25, tf.constant([0.5, 0.0])).numpy()
    # Half sides 10 of 40 rows and 12 of 48 columns, about row 20 and column 0.
    expected = IMAGES["photo"].copy()
    expected[10:30, :12] = 128
    assert np.array_equal(pixels, expected)


def test_at_zero_strength_geometry_changes_nothing():
    tf = load_tensorflow()
    image = tf.constant(IMAGES["photo"])
    for name in ("rotate", "shear_x", "shear_y", "translate_x", "translate_y", "cutout"):
        pixels = ra.OPERATIONS[name](image, 0.0, tf.constant(1.0), tf.constant([0.3, 0.6]))
        assert np.array_equal(pixels.numpy(), IMAGES["photo"]), name


def test_every_operation_is_drawn_equally_often():
    """With one layer on one image, the results are the operations' own; count which was drawn."""
    tf = load_tensorflow()
    image = tf.constant(photo(24, 24))
    config = RandAugmentConfig(layers=1, magnitude=7)
    table = {}
    for name, operation in ra.OPERATIONS.items():
        if name == "cutout":
            continue
        for sign in (1.0, -1.0):
            result = operation(image, 0.7, tf.constant(sign), tf.constant([0.5, 0.5]))
            table[result.numpy().tobytes()] = name
    draws = 800
    seeds = np.stack([np.arange(draws), np.arange(draws) * 7 + 1], -1).astype(np.int32)
    outcome = tf.data.Dataset.from_tensor_slices(seeds).map(
        as_it_is(lambda seed: ra.randaugment(image, seed, config=config))
    )
    names = [table.get(result.numpy().tobytes(), "cutout") for result in outcome]
    counts = np.array([names.count(name) for name in ra.OPERATIONS])
    assert counts.sum() == draws
    # Binomial(800, 1/16): mean 50, deviation 6.8.
    assert (np.abs(counts - 50) < 5 * 6.8).all()
