"""The table of formats and modes: what is stored always decodes to what Pillow sees."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.data import encoded_images as images
from tests.data.encoded_images import encode, rgb, rgba, with_orientation
from vitctl.data.header import BadImageError, read_header
from vitctl.data.tensorflow import as_it_is, load_tensorflow
from vitctl.ingest.shard_writer import prepare

MAX_PIXELS = 10**6


def _gif(**options):
    return encode(rgb().quantize(64), "GIF", **options)


def _small_first_frame():
    """A GIF whose only frame covers a part of the canvas: the canvas is patched to be wider."""
    data = bytearray(_gif())
    data[6:8] = (images.WIDTH + 5).to_bytes(2, "little")
    return bytes(data)


def _animation(format_, **options):
    frames = [rgb().rotate(angle) for angle in (90, 180)]
    return encode(rgb(), format_, save_all=True, append_images=frames, **options)


# name -> (bytes, why it is converted; None: the bytes are stored as they are)
TABLE = {
    "jpeg": (lambda: encode(rgb(), "JPEG"), None),
    "jpeg progressive": (lambda: encode(rgb(), "JPEG", progressive=True), None),
    "jpeg 4:4:4": (lambda: encode(rgb(), "JPEG", subsampling=0), None),
    "jpeg grey": (lambda: encode(rgb().convert("L"), "JPEG"), None),
    "jpeg cmyk": (lambda: encode(rgb().convert("CMYK"), "JPEG"), None),
    "jpeg upright": (lambda: with_orientation(rgb(), "JPEG", 1), None),
    "jpeg multi-picture": (
        lambda: encode(rgb(), "MPO", save_all=True, append_images=[rgb().rotate(180)]),
        None,
    ),
    "png": (lambda: encode(rgb(), "PNG"), None),
    "png 1-bit": (lambda: encode(rgb().convert("1"), "PNG"), None),
    "png grey": (lambda: encode(rgb().convert("L"), "PNG"), None),
    "png grey alpha": (lambda: encode(rgba().convert("LA"), "PNG"), None),
    "png alpha": (lambda: encode(rgba(), "PNG"), None),
    "png palette": (lambda: encode(rgb().quantize(200), "PNG"), None),
    "png palette 2-bit": (lambda: encode(rgb().quantize(4), "PNG", bits=2), None),
    "png palette one transparent": (
        lambda: encode(rgb().quantize(16), "PNG", transparency=3),
        None,
    ),
    "png palette alpha": (lambda: encode(rgba().quantize(64), "PNG"), None),
    "png 16-bit": (lambda: encode(Image.fromarray(images.sixteen_bit()), "PNG"), None),
    "png animated": (lambda: _animation("PNG"), None),
    "gif": (_gif, None),
    "gif grey": (lambda: encode(rgb().convert("L"), "GIF"), None),
    "gif interlaced": (lambda: _gif(interlace=1), None),
    "bmp": (lambda: encode(rgb(), "BMP"), None),
    "webp": (lambda: encode(rgb(), "WEBP", quality=80), None),
    "webp lossless": (lambda: encode(rgb(), "WEBP", lossless=True), None),
    "one pixel": (lambda: encode(rgb(1, 1), "PNG"), None),
    "one pixel jpeg": (lambda: encode(rgb(1, 1), "JPEG"), None),
    "gif transparent": (lambda: _gif(transparency=5), "GIF with transparency"),
    "gif animated": (lambda: _animation("GIF"), "animation (first frame kept)"),
    "gif part of canvas": (_small_first_frame, "GIF that TensorFlow decodes in part"),
    "bmp 1-bit": (lambda: encode(rgb().convert("1"), "BMP"), "BMP other than 24-bit"),
    "bmp grey": (lambda: encode(rgb().convert("L"), "BMP"), "BMP other than 24-bit"),
    "bmp palette": (lambda: encode(rgb().convert("P"), "BMP"), "BMP other than 24-bit"),
    "bmp 32-bit": (lambda: encode(rgba(), "BMP"), "BMP other than 24-bit"),
    "bmp 565": (lambda: images.bmp(16, compression=3), "BMP other than 24-bit"),
    "bmp top down": (lambda: images.bmp(24, top_down=True), None),
    "webp alpha": (lambda: encode(rgba(), "WEBP", lossless=True), "WebP with transparency"),
    "webp animated": (
        lambda: _animation("WEBP", lossless=True),
        "animation (first frame kept)",
    ),
    "tiff": (lambda: encode(rgb(), "TIFF"), "TIFF is not decoded in training"),
    "tiff 1-bit": (lambda: encode(rgb().convert("1"), "TIFF"), "TIFF is not decoded in training"),
    "tiff cmyk": (lambda: encode(rgb().convert("CMYK"), "TIFF"), "TIFF is not decoded in training"),
    "tiff 16-bit": (
        lambda: encode(Image.fromarray(images.sixteen_bit()), "TIFF"),
        "TIFF is not decoded in training",
    ),
    "ppm": (lambda: encode(rgb(), "PPM"), "PPM is not decoded in training"),
    "jpeg 2000": (lambda: encode(rgb(), "JPEG2000"), "JPEG2000 is not decoded in training"),
    **{
        f"{format_.lower()} turned {orientation}": (
            lambda f=format_, o=orientation, options=options: with_orientation(
                rgb(), f, o, **options
            ),
            "EXIF rotation",
        )
        for format_, options in (("JPEG", {}), ("PNG", {}), ("WEBP", {"lossless": True}))
        for orientation in (2, 3, 4, 5, 6, 7, 8)
    },
}


def seen_by_pillow(data):
    """uint8[h, w, 3]: the independent reading. 16-bit is told apart: Pillow would clip it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data)) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I;16"):
                grey = np.asarray(upright).astype(int) // 256
                return np.stack([grey] * 3, -1)
            return np.asarray(upright.convert("RGB"))


def seen_in_training(data):
    from vitctl.data.decode import decode

    return decode(load_tensorflow().constant(data)).numpy()


@pytest.mark.parametrize("name", TABLE)
def test_what_is_stored_decodes_to_what_pillow_sees(name):
    make, expected_reason = TABLE[name]
    data = make()
    stored, reason = prepare(data, max_pixels=MAX_PIXELS)
    assert reason == expected_reason
    assert (stored == data) == (reason is None)
    seen = seen_in_training(stored)
    assert seen.dtype == np.uint8
    assert np.array_equal(seen, seen_by_pillow(data))


@pytest.mark.parametrize("name", TABLE)
def test_header_says_what_a_full_decode_says(name):
    data = TABLE[name][0]()
    header = read_header(data, max_pixels=MAX_PIXELS)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert (header.width, header.height) == image.size


def test_the_same_function_in_a_graph():
    """What tf.data runs is what the shard check ran."""
    from vitctl.data.decode import decode

    tf = load_tensorflow()
    encoded = [TABLE[name][0]() for name in ("jpeg", "png alpha", "gif", "bmp", "webp")]
    graph = tf.data.Dataset.from_tensor_slices(encoded).map(as_it_is(decode))
    for data, image in zip(encoded, graph, strict=True):
        assert np.array_equal(image.numpy(), seen_in_training(data))


BAD = {
    "empty": (b"", "empty"),
    "text": (b"hello, world" * 10, "known format"),
    "zeros": (bytes(1000), "known format"),
    "bomb": (images.bomb(), "60000 x 60000 pixels, more than the limit"),
    "png cut": (encode(rgb(200, 200), "PNG")[:-400], "decoded"),
    "jpeg cut": (encode(rgb(200, 200), "JPEG")[:-400], "decoded"),
    "webp cut": (encode(rgb(200, 200), "WEBP")[:-200], "decoded|header"),
    "gif cut": (_gif()[:-300], "decoded"),
    "bmp cut": (encode(rgb(), "BMP")[:-300], "decoded"),
    "header only": (encode(rgb(), "JPEG")[:40], "header|format"),
    "webp header cut": (encode(rgb(), "WEBP")[:22], "ends too early"),
    "tiff of floats": (
        encode(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"),
        "no known range",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_images_have_a_reason(name):
    data, reason = BAD[name]
    with pytest.raises(BadImageError, match=reason) as error:
        prepare(data, max_pixels=MAX_PIXELS)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


def test_a_webp_bomb_is_measured_before_pillow_allocates_its_canvas():
    data = bytearray(encode(rgba(), "WEBP"))  # extended header: canvas size in bytes 24 to 29
    assert data[12:16] == b"VP8X"
    data[24:30] = b"\xff\x3f\x00\xff\x3f\x00"
    with pytest.raises(BadImageError, match="16384 x 16384 pixels"):
        read_header(bytes(data), max_pixels=MAX_PIXELS)


def test_the_limit_is_on_pixels_not_on_pillows_terms():
    """More than Pillow allows by default (179 million), if we are told to."""
    header = read_header(images.bomb(), max_pixels=10**10)
    assert header.width * header.height == 3_600_000_000


def test_rotation_in_a_png_behind_its_pixels():
    """EXIF may follow the image data, where a look at the header alone doesn't see it."""
    plain, turned = encode(rgb(), "PNG"), with_orientation(rgb(), "PNG", 6)
    at = turned.index(b"eXIf") - 4
    chunk = turned[at : at + 12 + int.from_bytes(turned[at : at + 4], "big")]
    data = plain[:-12] + chunk + plain[-12:]
    stored, reason = prepare(data, max_pixels=MAX_PIXELS)
    assert reason == "EXIF rotation"
    assert np.array_equal(seen_in_training(stored), np.rot90(images.pixels(), -1))
