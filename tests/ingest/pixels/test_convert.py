"""The table of formats and modes: what is stored always decodes to what Pillow sees."""

from __future__ import annotations

import importlib.util
import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.data import encoded_images as images
from tests.data.encoded_images import encode, rgb, rgba, with_orientation
from vitctl.data.tensorflow import as_it_is, load_tensorflow
from vitctl.ingest.pixels.prepare import prepare
from vitctl.ingest.pixels.storage import ImageStorage
from vitctl.pixels import header as headers
from vitctl.pixels.header import BadImageError, open_image, read_header

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


def _ycck():
    """The marker says that the first three channels are luminance and colour."""
    data = bytearray(encode(rgb().convert("CMYK"), "JPEG"))
    at = data.index(b"Adobe") + 11
    assert data[at] == 0
    data[at] = 2
    return bytes(data)


# name -> (bytes, why training needs a PNG, why another reader does; None: the bytes are stored)
TABLE = {
    "jpeg": (lambda: encode(rgb(), "JPEG"), None, None),
    "jpeg progressive": (lambda: encode(rgb(), "JPEG", progressive=True), None, None),
    "jpeg 4:4:4": (lambda: encode(rgb(), "JPEG", subsampling=0), None, None),
    "jpeg grey": (lambda: encode(rgb().convert("L"), "JPEG"), None, None),
    "jpeg cmyk": (lambda: encode(rgb().convert("CMYK"), "JPEG"), None, "CMYK JPEG"),
    "jpeg ycck": (_ycck, None, "CMYK JPEG"),
    "jpeg upright": (lambda: with_orientation(rgb(), "JPEG", 1), None, None),
    "jpeg multi-picture": (
        lambda: encode(rgb(), "MPO", save_all=True, append_images=[rgb().rotate(180)]),
        None,
        None,
    ),
    "png": (lambda: encode(rgb(), "PNG"), None, None),
    "png 1-bit": (lambda: encode(rgb().convert("1"), "PNG"), None, "1-bit PNG"),
    "png grey": (lambda: encode(rgb().convert("L"), "PNG"), None, None),
    "png grey alpha": (lambda: encode(rgba().convert("LA"), "PNG"), None, "PNG with transparency"),
    "png alpha": (lambda: encode(rgba(), "PNG"), None, "PNG with transparency"),
    "png palette": (lambda: encode(rgb().quantize(200), "PNG"), None, "PNG with a palette"),
    "png palette 2-bit": (
        lambda: encode(rgb().quantize(4), "PNG", bits=2),
        None,
        "PNG with a palette",
    ),
    "png palette one transparent": (
        lambda: encode(rgb().quantize(16), "PNG", transparency=3),
        None,
        "PNG with a palette",
    ),
    "png palette alpha": (lambda: encode(rgba().quantize(64), "PNG"), None, "PNG with a palette"),
    "png 16-bit": (
        lambda: encode(Image.fromarray(images.sixteen_bit()), "PNG"),
        None,
        "16-bit PNG",
    ),
    "png animated": (lambda: _animation("PNG"), None, None),
    "gif": (_gif, None, "GIF"),
    "gif grey": (lambda: encode(rgb().convert("L"), "GIF"), None, "GIF"),
    "gif interlaced": (lambda: _gif(interlace=1), None, "GIF"),
    "bmp": (lambda: encode(rgb(), "BMP"), None, None),
    "webp": (lambda: encode(rgb(), "WEBP", quality=80), None, None),
    "webp lossless": (lambda: encode(rgb(), "WEBP", lossless=True), None, None),
    "one pixel": (lambda: encode(rgb(1, 1), "PNG"), None, None),
    "one pixel jpeg": (lambda: encode(rgb(1, 1), "JPEG"), None, None),
    "gif transparent": (lambda: _gif(transparency=5), "GIF with transparency", "GIF"),
    "gif animated": (lambda: _animation("GIF"), "animation (first frame kept)", "GIF"),
    "gif part of canvas": (_small_first_frame, None, "GIF"),
    "bmp 1-bit": (lambda: encode(rgb().convert("1"), "BMP"), "BMP other than 24-bit", None),
    "bmp grey": (lambda: encode(rgb().convert("L"), "BMP"), "BMP other than 24-bit", None),
    "bmp palette": (lambda: encode(rgb().convert("P"), "BMP"), "BMP other than 24-bit", None),
    "bmp 32-bit": (lambda: encode(rgba(), "BMP"), "BMP other than 24-bit", None),
    "bmp 565": (lambda: images.bmp(16, compression=3), "BMP other than 24-bit", None),
    "bmp top down": (lambda: images.bmp(24, top_down=True), None, None),
    "webp alpha": (lambda: encode(rgba(), "WEBP", lossless=True), "WebP with transparency", None),
    "webp animated": (
        lambda: _animation("WEBP", lossless=True),
        "animation (first frame kept)",
        None,
    ),
    "tiff": (lambda: encode(rgb(), "TIFF"), "TIFF is not decoded in training", None),
    "tiff 1-bit": (
        lambda: encode(rgb().convert("1"), "TIFF"),
        "TIFF is not decoded in training",
        None,
    ),
    "tiff cmyk": (
        lambda: encode(rgb().convert("CMYK"), "TIFF"),
        "TIFF is not decoded in training",
        None,
    ),
    "tiff 16-bit": (
        lambda: encode(Image.fromarray(images.sixteen_bit()), "TIFF"),
        "TIFF is not decoded in training",
        None,
    ),
    "ppm": (lambda: encode(rgb(), "PPM"), "PPM is not decoded in training", None),
    "jpeg 2000": (lambda: encode(rgb(), "JPEG2000"), "JPEG2000 is not decoded in training", None),
    **{
        f"{format_.lower()} turned {orientation}": (
            lambda f=format_, o=orientation, options=options: with_orientation(
                rgb(), f, o, **options
            ),
            "turned upright (EXIF or XMP)",
            None,
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
    make, training, other = TABLE[name]
    data = make()
    prepared = prepare(data, storage=ImageStorage(MAX_PIXELS))
    assert prepared.converted == (training or other)
    assert prepared.differs is None
    assert (prepared.image == data) == (prepared.converted is None)
    decoded = seen_in_training(prepared.image)
    assert decoded.dtype == np.uint8
    assert np.array_equal(decoded, seen_by_pillow(data))


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row[2]])
def test_bytes_can_be_kept_unless_training_needs_others(name):
    make, training, other = TABLE[name]
    data = make()
    unchanged = prepare(data, storage=ImageStorage(MAX_PIXELS, keep_bytes=True))
    in_part = "GIF that TensorFlow decodes in part" if name == "gif part of canvas" else None
    assert unchanged.converted == (training or in_part)
    assert unchanged.differs == (None if unchanged.converted else other)
    assert (unchanged.image == data) == (unchanged.converted is None)
    assert np.array_equal(seen_in_training(unchanged.image), seen_by_pillow(data))


@pytest.mark.parametrize("name", TABLE)
def test_other_readers_see_what_training_sees(name):
    """TensorFlow Datasets' own ways to decode, of what is stored by default."""
    stored = prepare(TABLE[name][0](), storage=ImageStorage(MAX_PIXELS)).image
    output = seen_in_training(stored)
    for reader, decoded in readers(stored).items():
        assert np.array_equal(decoded, output), reader


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row[2] and not row[1]])
def test_the_table_converts_only_what_some_reader_gets_wrong(name):
    data = TABLE[name][0]()
    output = seen_by_pillow(data)
    assert not all(np.array_equal(decoded, output) for decoded in readers(data).values())


def readers(data):
    """What TensorFlow Datasets makes of an image, by the ways it has here."""
    features = pytest.importorskip("tensorflow_datasets").features
    image = features.Image(shape=(None, None, 3))
    decoded = {"Pillow": image.decode_example_np_with_pil(data, 3)}
    if importlib.util.find_spec("cv2"):
        decoded["OpenCV"] = image.decode_example_np_with_opencv(data, 3)
    return decoded


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
    "text": (b"hello, world" * 10, "it is text"),
    "zeros": (bytes(1000), "nothing but zero bytes"),
    "bomb": (images.bomb(), "60000 x 60000 pixels, more than the limit"),
    "png cut": (encode(rgb(200, 200), "PNG")[:-400], "end too early"),
    "jpeg cut": (encode(rgb(200, 200), "JPEG")[:-400], "decoded"),
    "webp cut": (encode(rgb(200, 200), "WEBP")[:-200], "decoded|header"),
    "gif cut": (_gif()[:-300], "decoded"),
    "bmp cut": (encode(rgb(), "BMP")[:-300], "decoded"),
    "header only": (encode(rgb(), "JPEG")[:40], "header|format"),
    "webp header cut": (encode(rgb(), "WEBP")[:22], "ends too early"),
    "tiff of floats": (
        encode(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"),
        "floating point numbers without a known range",
    ),
}


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
    prepared = prepare(data, storage=ImageStorage(MAX_PIXELS))
    assert prepared.converted == "turned upright (EXIF or XMP)"
    assert np.array_equal(seen_in_training(prepared.image), np.rot90(images.pixels(), -1))


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"\xff\xd8\xff", b"\0"),
        (b"\xff\xd8\xff", b"\xff"),
        (b"P6 #", b"x"),
        (encode(rgb(), "PNG")[:33], bytes(4) + b"teSt" + zlib.crc32(b"teSt").to_bytes(4)),
    ],
)
def test_a_header_without_end_is_left(begin, piece, monkeypatch):
    """Of hundreds of MiB Pillow reads byte after byte for minutes."""
    monkeypatch.setattr(headers, "_MOST_READS", 500)
    with pytest.raises(BadImageError, match="more than 500 pieces"):
        read_header(begin + 1000 * piece, max_pixels=10**6)


def test_pixels_may_be_of_more_pieces_than_a_header(monkeypatch):
    """Pillow reads a BMP in runs (RLE8) byte by byte."""
    monkeypatch.setattr(headers, "_MOST_READS", 100)
    side = 64
    runs = bytes(byte for x in range(side) for byte in (1, x)) + b"\0\0"
    pixels, palette = runs * side + b"\0\1", bytes(v for x in range(256) for v in (x, x, x, 0))
    offset = 14 + 40 + len(palette)
    data = b"BM" + struct.pack("<IHHI", offset + len(pixels), 0, 0, offset)
    data += struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(pixels), 0, 0, 256, 0)
    with open_image(data + palette + pixels) as image:
        assert np.array_equal(np.asarray(image), np.tile(np.arange(side), (side, 1)))
