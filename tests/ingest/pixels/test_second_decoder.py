"""An image that TensorFlow can't decode, and another decoder can, is converted; what neither can is
rejected for what it really is."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image, features

from tests.data import encoded_images as images
from tests.data.encoded_images import encode, rgb
from vitctl.data.decode import decode
from vitctl.data.tensorflow import load_tensorflow
from vitctl.ingest.pixels.prepare import prepare
from vitctl.ingest.pixels.storage import ImageStorage
from vitctl.pixels.file_kinds import kind_of
from vitctl.pixels.header import BadImageError

MAX_PIXELS = 10**6


def stored(data):
    prepared = prepare(data, storage=ImageStorage(MAX_PIXELS))
    return decode(load_tensorflow().constant(prepared.image)).numpy(), prepared.converted


def with_bad_crc(png, kind):
    """The same PNG with one bit of a chunk's checksum turned."""
    at = png.index(kind) - 4
    end = at + 12 + int.from_bytes(png[at : at + 4], "big")
    return png[: end - 1] + bytes([png[end - 1] ^ 1]) + png[end:]


def with_bad_adler(png):
    """The checksum inside the stream is wrong, that of its chunk is made right."""
    at = png.index(b"IDAT") - 4
    size = int.from_bytes(png[at : at + 4], "big")
    body = bytearray(png[at + 8 : at + 8 + size])
    body[-1] ^= 1
    return png[:at] + images.png_chunk(b"IDAT", bytes(body)) + png[at + 12 + size :]


def gif_with_empty_comment():
    data = encode(rgb().quantize(64), "GIF")
    at = data.index(b"\x2c", 13 + 3 * 2 ** ((data[10] & 7) + 1))
    return data[:at] + b"\x21\xfe\x00" + data[at:]


PNG = encode(rgb(), "PNG")
SAVED = {
    "bmp with bytes behind": (encode(rgb(), "BMP") + b"\0\0", None),
    "png without end": (PNG[:-12], "PNG that TensorFlow can't decode"),
    "png with a wrong checksum of its pixels' chunk only": (
        with_bad_crc(PNG, b"IDAT"),
        "PNG that TensorFlow can't decode",
    ),
    "gif with an empty comment": (gif_with_empty_comment(), "GIF"),
}


@pytest.mark.parametrize("name", SAVED)
def test_the_second_decoder_reads_what_is_whole(name):
    data, reason = SAVED[name]
    pixels, converted = stored(data)
    if reason is not None:
        assert converted == reason
    expected = images.pixels() if "gif" not in name else rgb().quantize(64).convert("RGB")
    assert np.array_equal(pixels, expected)


def test_kept_bytes_still_fall_back():
    prepared = prepare(PNG[:-12], storage=ImageStorage(MAX_PIXELS, keep_bytes=True))
    assert prepared.converted == "PNG that TensorFlow can't decode"


DAMAGED = {
    "both checksums of a png": (
        with_bad_crc(with_bad_adler(PNG), b"IDAT"),
        "checksum of its pixels is wrong",
    ),
    "checksum of a png's stream": (with_bad_adler(PNG), "checksum of its pixels is wrong"),
    "header of a png": (with_bad_crc(PNG, b"IHDR"), "checksum"),
    "png cut": (encode(rgb(200, 200), "PNG")[:-200], "end too early"),
    "jpeg cut": (encode(rgb(200, 200), "JPEG")[:-800], "truncated"),
    "bmp cut": (encode(rgb(), "BMP")[:-500], "truncated|decoded"),
}


def archive(kind):
    out = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w") as packed:
            packed.writestr("a.jpg", PNG)
    else:
        with tarfile.open(fileobj=out, mode="w:" + kind) as packed:
            info = tarfile.TarInfo("a.jpg")
            info.size = len(PNG)
            packed.addfile(info, io.BytesIO(PNG))
    return out.getvalue()


def brand(name, *others):
    body = name + bytes(4) + b"".join(others)
    return (8 + len(body)).to_bytes(4, "big") + b"ftyp" + body + bytes(100)


LFS = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)
OTHERS = {
    "git lfs": (LFS, "pointer of Git LFS.*git lfs pull"),
    "html": (b"<!DOCTYPE html>\n<html><head><title>404", "HTML page; download it again"),
    "html, bare": (b"\n\n<HTML><body>", "HTML page"),
    "html, byte-order mark": (b"\xef\xbb\xbf<html>", "HTML page"),
    "xml error": (b"<?xml version='1.0'?><Error><Code>AccessDenied", "XML document"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg">', "SVG drawing; render it"),
    "svg, declared": (b'<?xml version="1.0"?>\n<!-- by hand -->\n<svg width="1">', "SVG"),
    "json": (b'{"error": "not found"}', "JSON"),
    "base64": (b"/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMC", "base64"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3", "PDF"),
    "gzip": (b"\x1f\x8b\x08" + bytes(40), "gzip file; unpack"),
    "zip": (archive("zip"), "ZIP"),
    "tar": (archive(""), "tar archive"),
    "mp4": (brand(b"isom", b"avc1"), "video.*frames"),
    "quicktime": (brand(b"qt  "), "video"),
    "webm": (b"\x1a\x45\xdf\xa3" + bytes(40), "video"),
    "avi": (b"RIFF\0\1\0\0AVI LIST" + bytes(40), "video"),
    "psd": (b"8BPS\0\1" + bytes(40), "Photoshop"),
    "jxl": (b"\xff\x0a" + bytes(40), "JPEG XL"),
    "cr2": (b"II*\0\x10\0\0\0CR\2\0" + bytes(40), "header can't|known format|camera raw"),
    "dng": (encode(rgb(), "TIFF", tiffinfo={50706: b"\1\4\0\0"}), "camera raw"),
    "appledouble": (b"\0\x05\x16\x07\0\2\0\0Mac OS X" + bytes(40), "macOS"),
    "zeros": (bytes(5000), "nothing but zero bytes"),
    "no bytes": (b"", "an empty file|file is empty"),
    "numpy": (b"\x93NUMPY\1\0", "NumPy"),
    "noise": (bytes(range(128, 256)) * 20, "not an image of a known format"),
    "12-bit jpeg": (
        encode(rgb(), "JPEG").replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc1\x00\x11\x0c"),
        "12-bit",
    ),
}


@pytest.mark.parametrize("brands", [(b"heic",), (b"mif1", b"heic"), (b"heix",), (b"msf1", b"hevc")])
def test_heic_is_named_with_the_way_to_read_it(brands):
    kind = kind_of(brand(*brands))
    assert kind is not None
    assert (kind.name, kind.advice) == ("a HEIC image", "pip install 'vitctl[heic]' reads it")


def test_no_image_is_taken_for_something_else():
    """Nor is anything said of what decodes."""
    for format_ in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000"):
        assert kind_of(encode(rgb(), format_)[:4096]) is None, format_


def avif(**options):
    return encode(rgb(), "AVIF", quality=100, subsampling="4:4:4", **options)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_is_converted():
    pixels, converted = stored(avif())
    assert converted == "AVIF is not decoded in training"
    with Image.open(io.BytesIO(avif())) as image:
        assert np.array_equal(pixels, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("orientation", [1, 6])
def test_heic_is_converted_upright(orientation):
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    rgb(64, 96).save(out, "HEIF", quality=95, exif=exif.tobytes())
    pixels, converted = stored(out.getvalue())
    assert converted == "HEIF is not decoded in training"
    expected = np.rot90(images.pixels(64, 96), {1: 0, 6: -1}[orientation])
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).mean() < 4


def test_without_the_extra_heic_is_rejected_with_the_way(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(BadImageError, match=r"HEIC image; pip install 'vitctl\[heic\]'"):
        prepare(brand(b"heic", b"mif1"), storage=ImageStorage(MAX_PIXELS))


def test_without_the_extra_the_first_file_of_a_process_may_be_heic():
    """Pillow knows no format before one is asked for."""
    asks = (
        "import sys; sys.modules['pillow_heif'] = None\n"
        "from vitctl.pixels.header import BadImageError, check_head\n"
        "try: check_head(bytes.fromhex(sys.argv[1]), 4096, max_pixels=10**6)\n"
        "except BadImageError as error: print(error)"
    )
    head = brand(b"heic", b"mif1").hex()
    ended = subprocess.run(
        [sys.executable, "-c", asks, head], capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "it is a HEIC image; pip install 'vitctl[heic]' reads it"


@pytest.mark.parametrize("brands", [(b"heic", b"mif1"), (b"mif1",), (b"mif1", b"avif")])
def test_with_the_extra_nothing_more_is_to_be_installed(brands):
    pytest.importorskip("pillow_heif")
    with pytest.raises(BadImageError, match="that is damaged; copy or download it again") as error:
        prepare(brand(*brands), storage=ImageStorage(MAX_PIXELS))
    assert error.value.cause == "bytes"


def test_a_pillow_that_has_not_heard_of_avif_reads_the_rest(monkeypatch):
    """Pillow below 11.3."""
    Image.init()
    monkeypatch.delitem(Image.OPEN, "AVIF")
    pgm = b"P5 2 2 255\n" + bytes(4)
    assert prepare(pgm, storage=ImageStorage(MAX_PIXELS)).converted
    with pytest.raises(BadImageError, match=r"AVIF image; pip install 'pillow>=11.3'") as error:
        prepare(brand(b"avif"), storage=ImageStorage(MAX_PIXELS))
    assert error.value.cause == "pillow with AVIF"
    with pytest.raises(BadImageError, match="it is text"):
        prepare(b"hello", storage=ImageStorage(MAX_PIXELS))


def test_metadata_pillow_gives_up_on_costs_no_png():
    text = images.png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**25)))
    data = PNG[:33] + text + PNG[33:]
    assert prepare(data, storage=ImageStorage(MAX_PIXELS)).image == data
    alpha = encode(images.rgba(), "PNG")
    pixels, _ = stored(alpha[:33] + text + alpha[33:])
    assert np.array_equal(pixels, images.pixels())
