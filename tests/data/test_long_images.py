"""Images many times longer than wide: scored as the definition says, in memory for the result."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.encoded_images import encode
from vitctl.data.config import FEWSHOT_PREPROCESS, AugmentConfig, EvalPreprocess
from vitctl.data.long_images import LONG, centre_of_long, square_of_long
from vitctl.data.preprocess import eval_image, small_size, train_image
from vitctl.data.tensorflow import as_it_is, load_tensorflow

RESOLUTION, SIDE = 28, 32


def noise(height, width):
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


def weights(length, resized, *, first, count):
    """float64[count, length]: a row of the resampling matrix for each pixel wanted."""
    matrix = np.zeros((count, length))
    scale = length / resized
    for row, i in enumerate(range(first, first + count)):
        if scale < 1:
            at = (i + 0.5) * scale - 0.5
            floor = int(np.floor(at))
            matrix[row, max(floor, 0)] += 1 - (at - floor)
            matrix[row, min(floor + 1, length - 1)] += at - floor
        else:
            begin, end = i * scale, min((i + 1) * scale, length)
            for j in range(int(begin), min(int(np.ceil(end)), length)):
                matrix[row, j] = (min(end, j + 1) - max(begin, j)) / (end - begin)
    return matrix


def expected(pixels, *, side, resolution, share=0.5):
    """Matrices in float64: rows, then columns; nothing of TensorFlow. Of what is cut off, `share`
    lies in front of the square."""
    sizes = [round(n * side / min(pixels.shape[:2])) for n in pixels.shape[:2]]
    rows, columns = (
        weights(n, m, first=int((m - resolution) * share), count=resolution)
        for n, m in zip(pixels.shape[:2], sizes, strict=True)
    )
    return np.einsum("yh,hwc,xw->yxc", rows, pixels.astype(float), columns, optimize=True)


def scored(pixels, **options):
    tf = load_tensorflow()
    output = eval_image(
        tf.constant(encode(Image.fromarray(pixels), "PNG")),
        resolution=RESOLUTION,
        preprocess=EvalPreprocess(**options),
    )
    return (output.numpy().astype(float) + 1) * 127.5


SHAPES = [(1, 17), (1, 1000), (1000, 1), (1, 30_000), (30_000, 1), (3, 5000), (5000, 31)]
SHRUNK = [(32, 600), (600, 33), (40, 2000), (3000, 50)]


@pytest.mark.parametrize("shape", SHAPES + SHRUNK)
def test_the_centre_is_what_float64_matrices_say(shape):
    pixels = noise(*shape)
    assert np.abs(scored(pixels) - expected(pixels, side=SIDE, resolution=RESOLUTION)).max() < 1e-4


@pytest.mark.parametrize("shape", [(1, 17), (5000, 31), (32, 600), (3000, 50)])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_square_at_any_place_is_what_float64_matrices_say(shape, share):
    tf = load_tensorflow()
    pixels = noise(*shape)
    square = square_of_long(
        tf.constant(pixels),
        side=SIDE,
        resolution=RESOLUTION,
        first_of=lambda spare: tf.floor(spare * share),
    )
    wanted = expected(pixels, side=SIDE, resolution=RESOLUTION, share=share)
    assert np.abs(square.numpy() - wanted).max() < 1e-3


def test_simple_crops_of_long_images_lie_anywhere():
    """A ramp along an image of 1 x 100: the mean says where a square of 28 of 32 x 3,200 is."""
    tf = load_tensorflow()
    ramp = np.tile(np.arange(100, dtype=np.uint8)[None, :, None], (1, 1, 3))
    data = tf.constant(encode(Image.fromarray(ramp), "PNG"))
    simple = AugmentConfig(crop="simple", flip=False)
    middles = [
        (train_image(data, tf.constant([7, i]), resolution=28, augment=simple).numpy() + 1).mean()
        * 127.5
        for i in range(16)
    ]
    assert min(middles) < 25
    assert max(middles) > 75
    assert 28 < np.mean(middles) < 72  # 50 by chance, to three deviations of 7.2


@pytest.mark.parametrize("shape", [(1, 17), (9, 200), (200, 31), (32, 600), (600, 33), (40, 900)])
def test_both_ways_agree_where_both_are_possible(shape):
    """Neighbouring float32 positions at 4,096 are 5e-4 apart, and neighbours differ by up to 255
    levels."""
    tf = load_tensorflow()
    pixels = noise(*shape)
    output = centre_of_long(tf.constant(pixels), side=SIDE, resolution=RESOLUTION).numpy()
    size = small_size(tf.constant(shape), SIDE)
    method = "bilinear" if min(shape) < SIDE else "area"
    whole = tf.image.resize(pixels, size, method=method).numpy()
    top, left = ((n - RESOLUTION) // 2 for n in whole.shape[:2])
    cut = whole[top : top + RESOLUTION, left : left + RESOLUTION]
    assert np.abs(output - cut).max() < 255 * max(whole.shape) * 2**-23


@pytest.mark.parametrize("shape", [(20, 20 * LONG), (40 * LONG, 40)])
def test_up_to_the_limit_nothing_has_changed(shape):
    """TensorFlow's own resize of the whole, then its centre: bit for bit."""
    tf = load_tensorflow()
    pixels = noise(*shape)
    method = "bilinear" if min(shape) < SIDE else "area"
    whole = tf.image.resize(pixels, small_size(tf.constant(shape), SIDE), method=method)
    top, left = ((n - RESOLUTION) // 2 for n in whole.shape[:2])
    cut = whole[top : top + RESOLUTION, left : left + RESOLUTION] / 127.5 - 1.0
    output = eval_image(
        tf.constant(encode(Image.fromarray(pixels), "PNG")),
        resolution=RESOLUTION,
        preprocess=EvalPreprocess(),
    )
    assert np.array_equal(output.numpy(), cut.numpy())


def test_cropping_nothing_takes_the_middle_square():
    pixels = noise(16, 1600)
    output = scored(pixels, ratio=1.0)
    wanted = expected(pixels, side=RESOLUTION, resolution=RESOLUTION)
    assert np.abs(output - wanted).max() < 1e-4


def peak_bytes():
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("shape", [(1, 30_000), (30_000, 1), (1, 900_000), (400, 40_000)])
def test_memory_follows_the_result_and_the_file_not_the_aspect(shape):
    """Peak above what the process had before. The decoded image is there as bytes, and once more
    while TensorFlow decodes it; the result at 224 px is 0.6 MB."""
    tf = load_tensorflow()
    data = tf.constant(encode(Image.new("L", shape[::-1], 77), "PNG"))
    uses = {
        "scoring": lambda: eval_image(data, resolution=224, preprocess=EvalPreprocess()),
        "probing": lambda: eval_image(data, resolution=224, preprocess=FEWSHOT_PREPROCESS),
        "training": lambda: train_image(
            data, tf.constant([1, 2]), resolution=224, augment=AugmentConfig()
        ),
        "training by simple crops": lambda: train_image(
            data, tf.constant([1, 2]), resolution=224, augment=AugmentConfig(crop="simple")
        ),
        "squashed": lambda: train_image(
            data, tf.constant([1, 2]), resolution=224, augment=AugmentConfig(crop="resize")
        ),
    }
    for use, image in uses.items():
        image()
        Path("/proc/self/clear_refs").write_text("5")
        before = peak_bytes()
        pixels = image().numpy()
        assert np.abs((pixels + 1) * 127.5 - 77).max() < 1e-3
        decoded = 3 * shape[0] * shape[1]
        assert peak_bytes() - before < 3 * decoded + 40 * 2**20, use


def test_the_same_in_a_graph():
    tf = load_tensorflow()
    pixels = [noise(3, 500), noise(500, 40), noise(40, 40)]
    encoded = [encode(Image.fromarray(image), "PNG") for image in pixels]
    graph = tf.data.Dataset.from_tensor_slices(encoded).map(
        as_it_is(lambda data: eval_image(data, resolution=RESOLUTION, preprocess=EvalPreprocess()))
    )
    for image, output in zip(pixels, graph, strict=True):
        assert np.array_equal((output.numpy().astype(float) + 1) * 127.5, scored(image))
