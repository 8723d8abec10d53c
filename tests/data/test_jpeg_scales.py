"""JPEGs decoded at 1/2, 1/4 or 1/8, against Pillow's own decoder and arithmetic in Python."""

from __future__ import annotations

import io
import itertools
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from tests.data.encoded_images import encode
from vitctl.data.config import AugmentConfig
from vitctl.data.decode import JPEG_SCALES, decode_jpeg, decode_jpeg_window, jpeg_size
from vitctl.data.preprocess import crop, least_side, resized_crop, train_image
from vitctl.data.tensorflow import as_it_is, load_tensorflow


def picture(height, width):
    """Waves in all channels, with noise."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 37 + y / 91), np.cos(y / 23), np.sin((x + y) / 51)], -1)
    noise = np.random.default_rng(0).normal(0, 12, (height, width, 3))
    return Image.fromarray(np.clip(127 + 100 * waves + noise, 0, 255).astype(np.uint8))


def by_pillow(data, scale):
    """uint8[h, w, 3] at one `scale`-th, each side rounded up, as libjpeg gives it."""
    with Image.open(io.BytesIO(data)) as file:
        width, height = file.size
        file.draft(file.mode, (width // scale, height // scale))
        assert file.size == (-(-width // scale), -(-height // scale))
        return np.asarray(file.convert("RGB"))


def scales_of_windows(windows, size, *, least):
    """Of (top, left, height, width) the scale and the window there, by exact fractions."""
    for top, left, height, width in windows:
        for scale in reversed(JPEG_SCALES):
            rows, columns = (
                [int(Fraction(edge, scale) + Fraction(1, 2)) for edge in (first, first + extent)]
                for first, extent in ((top, height), (left, width))
            )
            assert rows[1] <= -(-size[0] // scale)
            assert columns[1] <= -(-size[1] // scale)
            if scale == 1 or min(rows[1] - rows[0], columns[1] - columns[0]) >= least:
                yield scale, slice(*rows), slice(*columns)
                break


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_windows_are_those_of_pillows_smaller_picture(subsampling, progressive, mode):
    """Bit for bit inside; two pixels beside an edge only where colours have fewer columns than
    brightness at that scale: 4:2:2 below 1/8, and 4:2:0 in full."""
    tf = load_tensorflow()
    size = (333, 417)
    options = {"quality": 90, "subsampling": subsampling, "progressive": progressive}
    data = encode(picture(*size).convert(mode), "JPEG", **options)
    assert jpeg_size(data).numpy().tolist() == [*size]
    whole = {scale: by_pillow(data, scale).astype(int) for scale in JPEG_SCALES}
    rng = np.random.default_rng(1)
    windows = []
    for _ in range(40):
        height, width = (int(rng.integers(1, side + 1)) for side in size)
        top, left = int(rng.integers(0, size[0] - height + 1)), int(rng.integers(417 - width + 1))
        windows.append((top, left, height, width))
    windows += [(0, 0, *size), (332, 416, 1, 1)]
    scales = set()
    expected = scales_of_windows(windows, size, least=20)
    for window, (scale, rows, columns) in zip(windows, expected, strict=True):
        scales.add(scale)
        made = decode_jpeg_window(tf.constant(data), tf.constant(window), least=20).numpy()
        error = np.abs(made.astype(int) - whole[scale][rows, columns])
        assert error[2:-2, 2:-2].max(initial=0) == 0
        coarse_colours = {0: (), 1: (1, 2, 4), 2: (1,)}[subsampling] if mode == "RGB" else ()
        assert error.max() <= (24 if scale in coarse_colours else 0)
    assert scales == {1, 2, 4, 8}


@pytest.mark.parametrize("least", [1, 52, 53, 104, 167, 168, 400])
def test_whole_pictures_are_pillows_smaller_ones(least):
    tf = load_tensorflow()
    data = encode(picture(333, 417), "JPEG")
    scale = max(n for n in JPEG_SCALES if n == 1 or -(-333 // n) >= least)
    made = decode_jpeg(tf.constant(data), size=jpeg_size(data), least=least).numpy()
    assert np.array_equal(made, by_pillow(data, scale))


CROPS = [
    AugmentConfig(jpeg_oversampling=1.0),
    AugmentConfig(jpeg_oversampling=1.5),
    AugmentConfig(crop="resize", jpeg_oversampling=1.0),
    AugmentConfig(crop="simple", jpeg_oversampling=1.0),
]


def in_full(augment):
    return augment.model_copy(update={"jpeg_oversampling": None})


@pytest.mark.parametrize("augment", CROPS)
def test_what_is_decoded_smaller_is_still_as_large_as_asked(augment):
    """And less than four times as large where it could be smaller still."""
    tf = load_tensorflow()
    data = tf.constant(encode(picture(400, 533), "JPEG"))
    least = least_side(32, augment)
    assert least == (37 if augment.crop == "simple" else 32 * augment.jpeg_oversampling)
    smaller = 0
    for seed in itertools.product(range(20), [1]):
        sizes = [
            crop(data, tf.constant(seed), resolution=32, augment=how).shape[:2]
            for how in (augment, in_full(augment))
        ]
        (height, width), full = sizes
        if min(full) >= 2 * least + 2:
            smaller += 1
            assert least <= min(height, width) < 2 * least + 1 or (height, width) == (
                -(-full[0] // 8),
                -(-full[1] // 8),
            )
            scale = round(full[0] / height)
            assert scale in JPEG_SCALES[1:]
            assert max(abs(scale * height - full[0]), abs(scale * width - full[1])) <= scale
    assert smaller >= 10


@pytest.mark.parametrize("augment", CROPS)
@pytest.mark.parametrize("format_", ["PNG", "BMP", "GIF"])
def test_other_formats_are_decoded_in_full(augment, format_):
    seeds = [[n, 7] for n in range(4)]
    data = encode(picture(200, 260), format_)
    assert all(
        np.array_equal(*(image_of(data, seed, how) for how in (augment, in_full(augment))))
        for seed in seeds
    )


def image_of(data, seed, augment, resolution=16):
    tf = load_tensorflow()
    return train_image(
        tf.constant(data), tf.constant(seed), resolution=resolution, augment=augment
    ).numpy()


@pytest.mark.parametrize("augment", CROPS)
@pytest.mark.parametrize("size", [(16, 16_000), (16_000, 16), (30, 40), (1, 1)])
def test_images_without_pixels_to_spare_are_those_in_full(augment, size):
    """Long ones among them, whose long side alone would allow it."""
    data = encode(picture(*size), "JPEG")
    for seed in ([3, 4], [5, 6]):
        one, other = (image_of(data, seed, how, 16) for how in (augment, in_full(augment)))
        assert one.shape == (16, 16, 3)
        assert np.array_equal(one, other)


@pytest.mark.parametrize("augment", CROPS)
def test_graph_and_eager_agree_bitwise(augment):
    tf = load_tensorflow()
    data = encode(picture(300, 420), "JPEG")
    seeds = np.array([[n, 9] for n in range(6)], np.int32)
    images = tf.data.Dataset.from_tensor_slices(seeds).map(
        as_it_is(lambda seed: train_image(data, seed, resolution=24, augment=augment)),
        num_parallel_calls=2,
    )
    for seed, image in zip(seeds, images, strict=True):
        assert np.array_equal(image_of(data, seed, augment, 24), image.numpy())


@pytest.mark.parametrize("augment", [AugmentConfig(jpeg_oversampling=1.0), CROPS[2], CROPS[3]])
def test_a_crop_is_of_the_same_place(augment):
    """Of a ramp, each colour is a place: half a pixel of the smaller picture at each edge, and
    what eight bits round. A window elsewhere or of another size is many levels off."""
    height, width = 512, 768
    y, x = np.mgrid[:height, :width]
    ramp = np.stack([x * 255 / width, y * 255 / height, 0 * x + 128], -1)
    data = encode(Image.fromarray(np.round(ramp).astype(np.uint8)), "JPEG", quality=98)
    tf = load_tensorflow()
    for seed in itertools.product(range(12), [2]):
        images, sizes = [], []
        for how in (augment, in_full(augment)):
            one = (tf.constant(data), tf.constant(seed))
            images.append(resized_crop(*one, resolution=32, augment=how).numpy())
            sizes.append(crop(*one, resolution=32, augment=how).shape[:2])
        scale = round(sizes[1][0] / sizes[0][0])
        # What quality 98 and two resizes round, and how far half a pixel at the edge goes.
        bound = 2.5 + (scale / 2) * 255 / height
        assert np.abs(images[0] - images[1])[1:-1, 1:-1].max() <= bound


def test_the_setting_is_in_ids_only_where_it_is_set():
    assert "jpeg_oversampling" not in AugmentConfig().model_dump()
    assert AugmentConfig(jpeg_oversampling=2).model_dump()["jpeg_oversampling"] == 2.0
    assert least_side(224, AugmentConfig()) is None


@pytest.mark.parametrize("given", [{"jpeg_oversampling": 0.9}, {"jpeg_oversampling": 9}])
def test_ranges_are_checked(given):
    with pytest.raises(ValidationError):
        AugmentConfig(**given)


def test_crops_that_are_not_resized_refuse_it():
    with pytest.raises(ValidationError, match="crops that are resized, and crop is none"):
        AugmentConfig(crop="none", jpeg_oversampling=1)
