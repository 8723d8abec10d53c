"""Policies against closed forms in NumPy, and against Pillow where both are one library's."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps
from pydantic import ValidationError

from tests.data import encoded_images as images
from tests.data.encoded_images import encode, png, png_chunk, rgb, rgba, with_orientation
from tests.data.icc_profiles import ADOBE_RGB, encoded_srgb, grey_profile, in_srgb, rgb_profile
from tests.ingest.pixels.test_convert import TABLE, seen_by_pillow, seen_in_training
from vitctl.ingest.pixels.policy import PixelPolicy
from vitctl.ingest.pixels.prepare import prepare
from vitctl.ingest.pixels.storage import ImageStorage
from vitctl.pixels.header import BadImageError

MAX_PIXELS = 10**6
sides = st.integers(1, 5000)


def stored(data, **policy):
    return prepare(data, storage=ImageStorage(MAX_PIXELS, policy=PixelPolicy(**policy)))


def opened(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def photo(height=60, width=90):
    """Something that compresses as photos do: smooth shapes with a little noise."""
    y, x = np.mgrid[:height, :width] / 20
    waves = np.stack([np.sin(x + y), np.cos(x * y / 2), np.sin(2 * x - y)], -1)
    noise = np.random.default_rng(0).normal(0, 4, waves.shape)
    return Image.fromarray(np.clip(128 + 90 * waves + noise, 0, 255).astype(np.uint8))


# ---- Sides


@given(width=sides, height=sides, limit=sides)
def test_sides_are_at_most_what_was_asked_for_in_the_same_proportions(width, height, limit):
    for name, side in (("max_side", max), ("max_short_side", min)):
        small = PixelPolicy(**{name: limit}).size(width, height)
        assert small <= (width, height)
        if side(width, height) <= limit:
            assert small == (width, height)
        else:
            assert side(small) == limit
            scale = limit / side(width, height)
            for new, old in zip(small, (width, height), strict=True):
                assert abs(new - max(1, old * scale)) <= 0.5 + 1e-9


def lanczos(pixels, size):
    """float64[h, w, 3] -> [height, width, 3]: the kernel of three lobes, as wide as the pixels of
    the result (so nothing aliases), one axis after the other."""
    for axis, new in ((1, size[0]), (0, size[1])):
        old = pixels.shape[axis]
        scale = old / new
        centres = (np.arange(new) + 0.5) * scale
        distances = (np.arange(old) + 0.5 - centres[:, None]) / scale
        weights = np.where(np.abs(distances) < 3, np.sinc(distances) * np.sinc(distances / 3), 0)
        weights /= weights.sum(axis=1, keepdims=True)
        pixels = np.moveaxis(np.tensordot(weights, pixels, (1, axis)), 0, axis)
        pixels = np.clip(pixels, 0, 255)
    return pixels


@pytest.mark.parametrize(
    ("limit", "size"), [({"max_side": 30}, (30, 20)), ({"max_short_side": 13}, (20, 13))]
)
def test_shrinking_is_lanczos_without_aliases(limit, size):
    image = photo()
    prepared = stored(encode(image, "PNG"), **limit)
    assert prepared.treatments == ("shrunk", "encoded")
    small = seen_in_training(prepared.image)
    assert small.shape == (size[1], size[0], 3)
    # Pillow rounds to 8 bits between the two axes, and its weights to 22.
    assert np.abs(small - lanczos(np.asarray(image, float), size)).max() < 1.6


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_photo_is_as_if_all_of_it_was_shrunk(orientation):
    """Of 1201 x 803 pixels half is decoded, whose proportions are others by rounding."""
    large = photo().resize((1201, 803), Image.Resampling.BICUBIC)
    data = with_orientation(large, "JPEG", orientation, quality=95)
    small = seen_in_training(stored(data, max_side=120, encode="png").image)
    whole = np.asarray(ImageOps.exif_transpose(opened(data)), float)
    assert small.shape == ((120, 80, 3) if orientation == 6 else (80, 120, 3))
    assert np.abs(small - lanczos(whole, small.shape[1::-1])).mean() < 0.6


def test_a_pattern_of_single_pixels_becomes_grey():
    checked = np.indices((64, 64)).sum(axis=0) % 2 * 255
    image = Image.fromarray(checked.astype(np.uint8)).convert("RGB")
    small = seen_in_training(stored(encode(image, "PNG"), max_side=16).image)
    assert np.abs(small.astype(int) - 127).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["JPEG", "PNG"])
def test_what_is_shrunk_is_upright(format_, orientation):
    data = with_orientation(rgb(), format_, orientation)
    prepared = stored(data, max_side=20, encode="png")
    turned = orientation != 1
    assert prepared.treatments == (*["turned"] * turned, "shrunk", "encoded")
    upright = ImageOps.exif_transpose(opened(data))
    size = (20, 12) if orientation < 5 else (12, 20)
    expected = np.asarray(upright.resize(size, Image.Resampling.LANCZOS))
    assert np.array_equal(seen_in_training(prepared.image), expected)


def test_smaller_images_are_left_alone():
    data = encode(rgb(), "JPEG")
    prepared = stored(data, max_side=images.WIDTH, srgb=True, background="white")
    assert prepared.image == data
    assert prepared.treatments == ()


# ---- Formats


@pytest.mark.parametrize("name", TABLE)
def test_every_image_as_png(name):
    """Whatever it was, it decodes to what Pillow sees of it."""
    data = TABLE[name][0]()
    prepared = stored(data, encode="png")
    assert opened(prepared.image).format == "PNG"
    assert prepared.converted is None
    assert np.array_equal(seen_in_training(prepared.image), seen_by_pillow(data))


@pytest.mark.parametrize("format_", ["jpeg", "webp"])
@pytest.mark.parametrize(
    "name",
    ["jpeg cmyk", "png", "png grey", "png 16-bit", "gif animated", "tiff 1-bit", "webp alpha"],
)
def test_every_image_in_a_format_that_loses(name, format_):
    """As Pillow writes and reads what it sees."""
    data = TABLE[name][0]()
    prepared = stored(data, encode=format_, quality=98)
    assert opened(prepared.image).format == format_.upper()
    image = Image.fromarray(seen_by_pillow(data).astype(np.uint8))
    expected = opened(encode(image, format_.upper(), quality=98)).convert("RGB")
    pixels = seen_in_training(prepared.image)
    # A grey JPEG is not the grey of one in colours, by rounding.
    assert np.abs(pixels.astype(int) - np.asarray(expected)).max() <= (
        2 if format_ == "jpeg" else 0
    )


def test_quality_says_how_much_is_lost():
    data = encode(photo(), "PNG")
    sizes, errors = [], []
    for quality in (50, 75, 95):
        prepared = stored(data, quality=quality)
        assert opened(prepared.image).format == "JPEG"
        sizes.append(len(prepared.image))
        difference = seen_in_training(prepared.image).astype(float) - np.asarray(photo())
        errors.append(np.abs(difference).mean())
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)
    again = opened(prepared.image).quantization
    assert again == opened(encode(photo(), "JPEG", quality=95)).quantization


@pytest.mark.parametrize("shape", [(600, 800, 3), (8, 16_000, 3)], ids=["noise", "thin"])
@pytest.mark.parametrize("quality", [94, 100])
def test_what_no_quality_makes_small_is_encoded(shape, quality):
    """More bytes than pixels: Pillow's buffer is too small for a JPEG that is written at once."""
    noise = np.random.default_rng(0).integers(0, 2, shape, np.uint8) * np.uint8(255)
    small = stored(encode(Image.fromarray(noise), "PNG"), quality=quality)
    assert len(small.image) > noise.size // 3
    assert opened(small.image).size == (shape[1], shape[0])


def test_a_file_that_would_grow_keeps_its_bytes():
    small = encode(photo(200, 300), "JPEG", quality=40)
    prepared = stored(small, quality=90)
    assert (prepared.image, prepared.treatments) == (small, ())
    large = encode(photo(), "JPEG", quality=98)
    prepared = stored(large, quality=60)
    assert len(prepared.image) < len(large)
    assert prepared.treatments == ("encoded",)
    # Of another format, it is not of the one that was asked for.
    assert opened(stored(small, encode="webp", quality=100).image).format == "WEBP"


def test_png_as_png_keeps_its_bytes_unless_a_reader_gets_it_wrong():
    data = encode(rgb(), "PNG")
    assert stored(data, encode="png").image == data
    palette = encode(rgb().quantize(200), "PNG")
    assert stored(palette, encode="png").treatments == ("encoded",)


@pytest.mark.parametrize(
    ("format_", "becomes"),
    [("JPEG", "JPEG"), ("WEBP", "JPEG"), ("JPEG2000", "JPEG"), ("PNG", "PNG"), ("TIFF", "PNG")],
)
def test_photos_that_shrink_stay_photos(format_, becomes):
    prepared = stored(encode(photo(), format_), max_side=40)
    assert opened(prepared.image).format == becomes


def test_a_cut_file_is_refused_as_ever():
    for format_ in ("JPEG", "PNG"):
        data = encode(photo(200, 200), format_)[:-400]
        with pytest.raises(BadImageError, match=r"decoded|end too early"):
            stored(data, max_side=20)
        with pytest.raises(BadImageError, match=r"decoded|end too early"):
            stored(data, quality=80)


def test_a_changed_pixel_of_a_png_is_noticed():
    data = bytearray(encode(photo(), "PNG", compress_level=0))
    data[len(data) // 2] ^= 1
    with pytest.raises(BadImageError, match="checksum of its pixels"):
        stored(bytes(data), max_side=20)


def test_a_side_that_a_format_cannot_have():
    with pytest.raises(BadImageError, match="20000 x 2 pixels, and a side of a webp"):
        stored(encode(rgb(2, 20_000), "PNG"), encode="webp")


# ---- Background


def composed(colours, alpha, background):
    """uint8[h, w, 3], uint8[h, w]: in whole numbers, halves up."""
    colours, alpha = colours.astype(int), alpha.astype(int)[..., None]
    return (2 * (alpha * colours + (255 - alpha) * np.array(background)) + 255) // 510


TRANSPARENT = {
    "png": lambda: encode(rgba(), "PNG"),
    "png grey": lambda: encode(rgba().convert("LA"), "PNG"),
    "png palette": lambda: encode(rgb().quantize(16), "PNG", transparency=3),
    "png palette alpha": lambda: encode(rgba().quantize(64), "PNG"),
    "webp": lambda: encode(rgba(), "WEBP", lossless=True, exact=True),
    "gif": lambda: encode(rgb().quantize(64), "GIF", transparency=5),
    "tiff": lambda: encode(rgba(), "TIFF"),
}


@pytest.mark.parametrize("name", TRANSPARENT)
def test_transparent_images_are_laid_on_a_colour(name):
    data = TRANSPARENT[name]()
    prepared = stored(data, background="#ff8010", encode="png")
    assert prepared.treatments == ("composed", "encoded")
    whole = np.asarray(opened(data).convert("RGBA"))
    expected = composed(whole[..., :3], whole[..., 3], (255, 128, 16))
    assert np.array_equal(seen_in_training(prepared.image), expected)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_transparent_grey_value_of_any_depth(bits):
    values = np.arange(4 * 8).reshape(4, 8) % 2**bits
    if bits == 16:
        values = values * 2000
    key = int(values[0, 1])
    transparent = png_chunk(b"tRNS", struct.pack(">H", key))
    data = png(values, bits=bits, colour=0, before_pixels=transparent)
    pixels = seen_in_training(stored(data, background="#00ff00").image)
    hidden = values == key
    assert (pixels[hidden] == [0, 255, 0]).all()
    grey = values >> 8 if bits == 16 else values * 255 // (2**bits - 1)
    assert np.array_equal(pixels[~hidden], np.repeat(grey[~hidden][:, None], 3, axis=1))


def test_a_transparent_colour():
    values = np.asarray(rgb())
    key = values[0, 0].tolist()
    transparent = png_chunk(b"tRNS", struct.pack(">3H", *key))
    data = png(values, bits=8, colour=2, before_pixels=transparent)
    pixels = seen_in_training(stored(data, background="white").image)
    hidden = (values == key).all(axis=-1)
    assert hidden.any()
    assert np.array_equal(pixels, np.where(hidden[..., None], 255, values))


def test_an_opaque_image_is_not_counted():
    opaque = rgb()
    opaque.putalpha(255)
    prepared = stored(encode(opaque, "PNG"), background="white")
    assert prepared.treatments == ()
    assert prepared.converted == "PNG with transparency"


# ---- Colours


def cube():
    """All over the colours, as an image."""
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    return np.stack(np.meshgrid(steps, steps, steps), -1).reshape(27, 27, 3)


@pytest.mark.parametrize("format_", ["PNG", "TIFF", "WEBP"])
def test_colours_of_a_profile_are_those_of_its_formula(format_):
    options = {"lossless": True} if format_ == "WEBP" else {}
    data = encode(Image.fromarray(cube()), format_, icc_profile=rgb_profile(), **options)
    prepared = stored(data, srgb=True, encode="png")
    assert prepared.treatments == ("to sRGB", "encoded")
    pixels, expected = seen_in_training(prepared.image), in_srgb(cube())
    assert np.abs(expected - cube()).max() > 30  # the profile matters
    # LittleCMS works with 16-bit tables, whose slope is steepest near black.
    assert np.abs(pixels - expected).max() < 1.6
    assert "icc_profile" not in opened(prepared.image).info


def test_profiles_of_grey():
    ramp = np.tile(np.arange(256, dtype=np.uint8), (3, 1))
    data = encode(Image.fromarray(ramp), "PNG", icc_profile=grey_profile(gamma=1.0))
    prepared = stored(data, srgb=True)
    assert prepared.treatments == ("to sRGB", "encoded")
    assert opened(prepared.image).mode == "L"
    expected = 255 * encoded_srgb(ramp / 255.0)
    assert np.abs(seen_in_training(prepared.image)[..., 0] - expected).max() < 1.6


def test_a_grey_image_with_a_profile_of_colours():
    ramp = np.tile(np.arange(256, dtype=np.uint8), (3, 1))
    data = encode(Image.fromarray(ramp), "JPEG", icc_profile=rgb_profile(gamma=1.0), quality=100)
    pixels = seen_in_training(stored(data, srgb=True, encode="png").image)
    expected = 255 * encoded_srgb(np.asarray(opened(data)) / 255.0)
    assert np.abs(pixels[..., 0] - expected).max() < 1.6


def test_a_profile_of_srgb_changes_no_byte():
    from PIL import ImageCms

    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encode(rgb(), "JPEG", icc_profile=srgb)
    prepared = stored(data, srgb=True)
    assert (prepared.image, prepared.treatments) == (data, ())


@pytest.mark.parametrize(
    "profile",
    [b"no profile", rgb_profile()[:200], grey_profile(gamma=2.0)],
    ids=["text", "cut", "grey"],
)
def test_a_profile_that_cannot_be_used_is_counted_and_ignored(profile):
    data = encode(rgb(), "JPEG", icc_profile=profile)
    prepared = stored(data, srgb=True)
    assert (prepared.image, prepared.treatments) == (data, ("profile ignored",))


def test_colours_first_then_the_background_then_smaller():
    image = Image.fromarray(cube())
    image.putalpha(128)
    data = encode(image, "PNG", icc_profile=rgb_profile())
    prepared = stored(data, srgb=True, background="#ff0000", max_side=9)
    assert prepared.treatments == ("composed", "to sRGB", "shrunk", "encoded")
    flat = composed(np.rint(in_srgb(cube())), np.full((27, 27), 128, np.uint8), (255, 0, 0))
    assert (
        np.abs(seen_in_training(prepared.image) - lanczos(flat.astype(float), (9, 9))).max() < 2.6
    )


# ---- What is refused


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ({"max_side": 5, "max_short_side": 5}, "two ways to shrink"),
        ({"encode": "png", "quality": 90}, "PNG loses nothing"),
        ({"background": "no colour"}, "is no colour"),
        ({"background": "#ffffff80"}, "transparent itself"),
        ({"max_side": 0}, "greater than or equal to 1"),
        ({"quality": 101}, "less than or equal to 100"),
    ],
)
def test_policies_that_contradict_themselves(policy, reason):
    with pytest.raises(ValidationError, match=reason):
        PixelPolicy(**policy)


def test_one_policy_has_one_way_to_be_written():
    assert PixelPolicy(background="white") == PixelPolicy(background="#FFF")
    assert PixelPolicy(quality=90) == PixelPolicy(encode="jpeg", quality=90)


def test_the_primaries_are_those_of_a_white_at_d50():
    np.testing.assert_allclose(ADOBE_RGB.sum(axis=1), [0.9642, 1.0, 0.8249], atol=2e-4)
