from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from tests.data import encoded_images as images
from tests.data.encoded_images import encode, rgb
from vitctl.data.config import AugmentConfig, EvalPreprocess, RandAugmentConfig
from vitctl.data.preprocess import eval_image, small_size, train_image
from vitctl.data.tensorflow import as_it_is, load_tensorflow

PLAIN = AugmentConfig(flip=False)
WHOLE = AugmentConfig(crop="resize", flip=False)
SIMPLE = AugmentConfig(crop="simple", flip=False)
# One layer: sixteen branches take seconds to trace.
FULL = AugmentConfig(randaugment=RandAugmentConfig(layers=1))


def augmented(data, *, seeds, augment, resolution=16):
    """float32[n, r, r, 3] through tf.data, as in training."""
    tf = load_tensorflow()
    dataset = tf.data.Dataset.from_tensor_slices(np.asarray(seeds, np.int32)).map(
        as_it_is(lambda seed: train_image(data, seed, resolution=resolution, augment=augment)),
        num_parallel_calls=2,
    )
    return np.stack([image.numpy() for image in dataset])


def seeds(n):
    return [[i, 1000 + i] for i in range(n)]


@pytest.mark.parametrize(
    ("augment", "format_"),
    [(PLAIN, "PNG"), (PLAIN, "JPEG"), (WHOLE, "JPEG"), (SIMPLE, "JPEG"), (FULL, "PNG")],
)
def test_eager_and_graph_agree_bitwise(augment, format_):
    tf = load_tensorflow()
    data = encode(rgb(), format_)
    graph = augmented(data, seeds=seeds(4), augment=augment)
    for seed, image in zip(seeds(4), graph, strict=True):
        eager = train_image(tf.constant(data), tf.constant(seed), resolution=16, augment=augment)
        assert np.array_equal(eager.numpy(), image)


def test_the_seed_decides_everything():
    data = encode(rgb(), "PNG")
    twice = augmented(data, seeds=[[1, 2], [1, 2], [1, 3]], augment=AugmentConfig())
    assert np.array_equal(twice[0], twice[1])
    assert not np.array_equal(twice[0], twice[2])


def test_values_are_minus_one_to_one():
    black, white = (np.full((9, 9, 3), value, np.uint8) for value in (0, 255))
    from PIL import Image

    for pixels, value in ((black, -1.0), (white, 1.0)):
        output = augmented(encode(Image.fromarray(pixels), "PNG"), seeds=seeds(2), augment=PLAIN)
        assert (output == value).all()


def windows(data, height, width, *, augment, n=400):
    """Recover each random window from an image whose pixels are their own coordinates.

    A bilinear resize of a linear ramp is that ramp: the sample spacing gives the window's size.
    """
    output = augmented(data, seeds=seeds(n), augment=augment, resolution=32)
    pixels = (output + 1) * 127.5
    # Central pixels only: at the border the resize clamps.
    rows = (pixels[:, 24, 16, 1] - pixels[:, 8, 16, 1]) / 16 * 32
    columns = (pixels[:, 16, 24, 0] - pixels[:, 16, 8, 0]) / 16 * 32
    return rows / 255 * height, columns / 255 * width


def ramp(height, width):
    from PIL import Image

    y, x = np.mgrid[:height, :width]
    image = np.stack([x * 255 / width, y * 255 / height, 0 * x], -1)
    return Image.fromarray(np.round(image).astype(np.uint8))


def test_inception_windows_have_the_asked_area_and_aspect():
    height, width = 200, 255
    augment = AugmentConfig(area_min=0.3, area_max=0.6, flip=False)
    rows, columns = windows(encode(ramp(height, width), "PNG"), height, width, augment=augment)
    area, aspect = rows * columns / (height * width), columns / rows
    # Quantised pixels blur the estimate by about a level in 16 samples.
    assert area.min() > 0.28
    assert area.max() < 0.63
    assert aspect.min() > 0.72
    assert aspect.max() < 1.39
    # They vary over the whole range, not about one value.
    assert area.std() > 0.06
    assert aspect.std() > 0.1


def test_simple_crops_are_squares_of_the_area_average_at_any_place():
    """Of 32 x 48 px 28 x 28: 5 by 21 places, each as likely as any other."""
    pixels = images.pixels(64, 96)
    small = pixels.reshape(32, 2, 48, 2, 3).astype(np.float64).mean((1, 3)) / 127.5 - 1
    squares = np.lib.stride_tricks.sliding_window_view(small, (28, 28), axis=(0, 1))
    squares = np.moveaxis(squares, 2, -1)
    output = augmented(encode(rgb(64, 96), "PNG"), seeds=seeds(400), augment=SIMPLE, resolution=28)
    distance = np.abs(squares[None, :, :, 0, 0] - output[:, None, None, 0, 0]).sum(-1)
    places = np.array([np.unravel_index(one.argmin(), one.shape) for one in distance])
    for image, (top, left) in zip(output, places, strict=True):
        assert np.abs(image - squares[top, left]).max() < 1e-5
    rows, columns = (np.bincount(places[:, i], minlength=n) for i, n in ((0, 5), (1, 21)))
    # Binomials of 400: five deviations of 8 about 80, and of 4.3 about 19.
    assert np.abs(rows - 80).max() < 40
    assert np.abs(columns - 400 / 21).max() < 5 * 4.3
    assert columns.min() > 0


def test_simple_crops_of_another_ratio_and_of_what_is_enlarged():
    """10 x 15 to 35 x 52: the 28 x 28 that fit are of scoring's bilinear image."""
    data, seed = map(load_tensorflow().constant, (encode(rgb(10, 15), "PNG"), [0, 1]))
    augment = AugmentConfig(crop="simple", crop_ratio=1.25, flip=False)
    image = train_image(data, seed, resolution=28, augment=augment).numpy()
    whole = bilinear(images.pixels(10, 15), 35, 52) / 127.5 - 1
    squares = np.lib.stride_tricks.sliding_window_view(whole, (28, 28), axis=(0, 1))
    distance = np.abs(np.moveaxis(squares, 2, -1) - image).max((2, 3, 4))
    assert distance.shape == (8, 25)
    assert distance.min() < 1e-5


def test_a_ratio_of_other_crops_is_refused():
    with pytest.raises(ValidationError, match="crop_ratio is of crop=simple, and crop is resize"):
        AugmentConfig(crop="resize", crop_ratio=1.2)
    assert "crop_ratio" not in AugmentConfig().model_dump(), "ids of settings without it stay"
    assert AugmentConfig(crop="simple", crop_ratio=1.2).model_dump()["crop_ratio"] == 1.2


def test_a_jpeg_is_cropped_where_a_png_is():
    """Without colour subsampling the partial decode is the crop of the whole one, exactly."""
    from vitctl.data.decode import decode

    tf = load_tensorflow()
    jpeg = encode(rgb(150, 170), "JPEG", subsampling=0, quality=95)
    whole = tf.io.encode_png(decode(tf.constant(jpeg))).numpy()
    assert np.array_equal(
        augmented(jpeg, seeds=seeds(20), augment=PLAIN),
        augmented(whole, seeds=seeds(20), augment=PLAIN),
    )


def test_flip_mirrors_half_of_the_time():
    data = encode(rgb(), "PNG")
    plain = augmented(data, seeds=[[0, 0]], augment=WHOLE)[0]
    pixels = augmented(data, seeds=seeds(400), augment=AugmentConfig(crop="resize"))
    mirrored = np.array([np.array_equal(image, plain[:, ::-1]) for image in pixels])
    straight = np.array([np.array_equal(image, plain) for image in pixels])
    assert (mirrored ^ straight).all()
    # Binomial(400, 1/2): deviation 10.
    assert abs(mirrored.sum() - 200) < 50


def test_crop_none_wants_the_exact_size():
    tf = load_tensorflow()
    augment = AugmentConfig(crop="none", flip=False)
    pixels = augmented(encode(rgb(16, 16), "PNG"), seeds=seeds(1), augment=augment)[0]
    assert np.array_equal(np.round((pixels + 1) * 127.5), images.pixels(16, 16))
    with pytest.raises(tf.errors.InvalidArgumentError, match="16 x 16"):
        augmented(encode(rgb(16, 17), "PNG"), seeds=seeds(1), augment=augment)


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "GIF"])
def test_an_image_of_one_pixel_is_fine(format_):
    data = load_tensorflow().constant(encode(rgb(1, 1), format_))
    pixels = train_image(data, load_tensorflow().constant([1, 2]), resolution=16, augment=FULL)
    assert pixels.shape == (16, 16, 3)
    assert np.isfinite(pixels.numpy()).all()
    scored = eval_image(data, resolution=16, preprocess=EvalPreprocess()).numpy()
    assert np.ptp(scored.reshape(-1, 3), axis=0).max() == 0


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [(100, 200, (32, 64)), (200, 100, (64, 32)), (50, 50, (32, 32)), (3, 1000, (32, 10667))],
)
def test_small_side_keeps_the_aspect(height, width, expected):
    tf = load_tensorflow()
    assert tuple(small_size(tf.constant([height, width]), 32).numpy()) == expected


def test_scoring_enlarges_as_training_does():
    tf = load_tensorflow()
    data = tf.constant(encode(rgb(8, 8), "PNG"))
    scored = eval_image(data, resolution=16, preprocess=EvalPreprocess(ratio=1.0))
    trained = train_image(data, tf.constant([0, 0]), resolution=16, augment=WHOLE)
    np.testing.assert_allclose(scored, trained, atol=1e-6)


def test_scoring_takes_the_centre_of_the_area_average():
    """28 of 32 pixels at 8/7: 2x2 means, then rows and columns 2 to 29."""
    tf = load_tensorflow()
    pixels = images.pixels(64, 96)
    output = eval_image(
        tf.constant(encode(rgb(64, 96), "PNG")), resolution=28, preprocess=EvalPreprocess()
    ).numpy()
    small = pixels.reshape(32, 2, 48, 2, 3).astype(np.float64).mean((1, 3))
    expected = small[2:30, 10:38] / 127.5 - 1
    assert np.abs(output - expected).max() < 1e-5


def bilinear(pixels, height, width):
    """Bilinear resampling at pixel centres without antialiasing, edges repeated, by scipy."""
    from scipy import ndimage

    rows = (np.arange(height) + 0.5) * pixels.shape[0] / height - 0.5
    columns = (np.arange(width) + 0.5) * pixels.shape[1] / width - 0.5
    places = np.meshgrid(rows, columns, indexing="ij")
    channels = [
        ndimage.map_coordinates(pixels[..., i].astype(float), places, order=1, mode="nearest")
        for i in range(3)
    ]
    return np.stack(channels, -1)


def test_scoring_enlarges_bilinearly():
    """10 x 15 to 32 x 48, of which the middle 28 x 28."""
    data = load_tensorflow().constant(encode(rgb(10, 15), "PNG"))
    pixels = eval_image(data, resolution=28, preprocess=EvalPreprocess()).numpy()
    expected = bilinear(images.pixels(10, 15), 32, 48)[2:30, 10:38]
    assert np.abs(pixels - (expected / 127.5 - 1)).max() < 1e-5


@pytest.mark.parametrize("size", [(64, 96), (8, 9)])
def test_fewshot_squashes(size):
    data = load_tensorflow().constant(encode(rgb(*size), "PNG"))
    squash = EvalPreprocess(resize="squash")
    pixels = eval_image(data, resolution=28, preprocess=squash).numpy()
    expected = bilinear(images.pixels(*size), 32, 32)[2:30, 2:30]
    assert np.abs(pixels - (expected / 127.5 - 1)).max() < 1e-5


@pytest.mark.parametrize("resolution", [8, 31, 224])
def test_ratio_one_cuts_nothing(resolution):
    data = encode(rgb(8, 8), "PNG")
    for resize in ("small", "squash"):
        pixels = eval_image(
            load_tensorflow().constant(data),
            resolution=resolution,
            preprocess=EvalPreprocess(resize=resize, ratio=1.0),
        ).numpy()
        assert pixels.shape == (resolution, resolution, 3)
        if resolution == 8:
            assert np.allclose((pixels + 1) * 127.5, images.pixels(8, 8), atol=1e-4)


def test_ranges_are_checked():
    with pytest.raises(ValueError, match="area_min"):
        AugmentConfig(area_min=0.5, area_max=0.2)
    with pytest.raises(ValueError, match="aspect_min"):
        AugmentConfig(aspect_min=2.0)
