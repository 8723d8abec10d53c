"""What a file says about its pixels is obeyed: container x property, against closed forms.

Files are written here byte by byte from their specifications, and what they must decode to is
computed from the numbers that went in, so neither side knows any decoder.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.data import encoded_images as images
from tests.data.encoded_images import encode, rgb, rgba, with_orientation
from vitctl.data.decode import decode
from vitctl.data.tensorflow import load_tensorflow
from vitctl.ingest.pixels.prepare import prepare
from vitctl.ingest.pixels.storage import ImageStorage
from vitctl.pixels.header import BadImageError

MAX_PIXELS = 10**6
HEIGHT, WIDTH = 8, 64


def stored(data, **options):
    """uint8[h, w, 3] as training sees what is stored."""
    image = prepare(data, storage=ImageStorage(MAX_PIXELS, **options)).image
    return decode(load_tensorflow().constant(image)).numpy()


def grey(values):
    return np.stack([values] * 3, -1)


def ramp(bits):
    """Every value of so many bits once, or as many as there is room for."""
    return np.linspace(0, 2**bits - 1, HEIGHT * WIDTH).astype(np.uint32).reshape(HEIGHT, WIDTH)


# Bits and polarity


def tiff(bits, pixels, *, order="<", photometric=1, sample_format=None, samples=1):
    tags = [
        (256, 3, WIDTH),
        (257, 3, HEIGHT),
        (258, 3, bits),
        (259, 3, 1),
        (262, 3, photometric),
        (273, 4, 0),
        (277, 3, samples),
        (278, 3, HEIGHT),
        (279, 4, len(pixels)),
    ]
    if sample_format is not None:
        tags.append((339, 3, sample_format))
    offset = 8 + 2 + 12 * len(tags) + 4
    body = b""
    for tag, kind, value in tags:
        value = offset if tag == 273 else value
        packed = struct.pack(order + ("HH" if kind == 3 else "I"), *([value, 0][: 5 - kind]))
        body += struct.pack(order + "HHI", tag, kind, 1) + packed
    magic = b"II*\0" if order == "<" else b"MM\0*"
    head = magic + struct.pack(order + "IH", 8, len(tags))
    return head + body + bytes(4) + pixels


def packed(values, bits):
    """Samples one after another without a gap, each row filled up to whole bytes."""
    rows = ["".join(f"{value:0{bits}b}" for value in row) for row in values]
    rows = [row + "0" * (-len(row) % 8) for row in rows]
    return b"".join(int(row, 2).to_bytes(len(row) // 8, "big") for row in rows)


SAMPLES = [
    (1, "<", "black"),
    (1, "<", "white"),
    (2, "<", "black"),
    (2, ">", "white"),
    (4, ">", "black"),
    (4, "<", "white"),
    (8, ">", "black"),
    (8, "<", "white"),
    (12, "<", "black"),
    (16, "<", "black"),
    (16, ">", "black"),
    (16, "<", "white"),
]


@pytest.mark.parametrize(("bits", "order", "zero_is"), SAMPLES)
def test_tiff_samples(bits, order, zero_is):
    values = ramp(bits)
    pixels = values.astype(order + "u2").tobytes() if bits == 16 else packed(values, bits)
    data = tiff(bits, pixels, order=order, photometric=int(zero_is == "black"))
    level = values >> (bits - 8) if bits > 8 else values * 255 // (2**bits - 1)
    expected = level if zero_is == "black" else 255 - level
    assert np.array_equal(stored(data), grey(expected))


@pytest.mark.parametrize(
    "options", [{"bits": 12, "photometric": 0}, {"bits": 14}, {"bits": 16, "sample_format": 2}]
)
def test_what_no_decoder_reads_rightly_is_rejected(options):
    """Never a picture with other brightness."""
    bits = options["bits"]
    data = tiff(pixels=packed(ramp(bits), bits), **options)
    with pytest.raises(BadImageError):
        prepare(data, storage=ImageStorage(MAX_PIXELS))


@pytest.mark.parametrize("sixteen", [1, 3])
def test_16_bit_png(sixteen):
    values = ramp(16).astype(">u2")
    pixels = (
        values if sixteen == 1 else np.stack([values, values[::-1], values.T.reshape(8, 64)], 2)
    )
    data = images.png(pixels, bits=16, colour={1: 0, 3: 2}[sixteen])
    expected = (pixels >> 8).astype(np.uint8)
    expected = grey(expected) if sixteen == 1 else expected
    assert np.array_equal(stored(data), expected)
    assert np.array_equal(stored(data, keep_bytes=True), expected)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_png_of_few_bits(bits):
    values = ramp(bits)
    data = images.png(values, bits=bits, colour=0)
    assert np.array_equal(stored(data), grey(values * 255 // (2**bits - 1)))


@pytest.mark.parametrize("plain", [False, True], ids=["binary", "plain"])
@pytest.mark.parametrize("brightest", [1, 15, 100, 255, 256, 1023, 4095, 65535])
@pytest.mark.parametrize("channels", [1, 3])
def test_brightest_value_of_pgm_and_ppm(channels, brightest, plain):
    values = np.linspace(0, brightest, HEIGHT * WIDTH * channels)
    values = values.round().astype(np.int64).reshape(HEIGHT, WIDTH, channels)
    magic = {1: ("P5", "P2"), 3: ("P6", "P3")}[channels][plain]
    head = f"{magic}\n# made by a scanner\n{WIDTH} {HEIGHT}\n{brightest}\n".encode()
    if plain:
        body = " ".join(str(value) for value in values.ravel()).encode()
    else:
        body = values.astype("u1" if brightest < 256 else ">u2").tobytes()
    expected = np.rint(values * 255 / brightest).astype(np.uint8)
    pixels = stored(head + body)
    assert np.array_equal(pixels, np.repeat(expected, 3 // channels, axis=2))


@pytest.mark.parametrize("magic", ["P2", "P5"])
def test_a_pgm_cut_short_is_rejected(magic):
    head = f"{magic} {WIDTH} {HEIGHT} 1000\n".encode()
    with pytest.raises(BadImageError, match="too early"):
        prepare(head + b"1 2 3 " * 50, storage=ImageStorage(MAX_PIXELS))


@pytest.mark.parametrize("plain", [False, True])
def test_one_is_black_in_pbm(plain):
    values = ramp(1)
    head = f"{'P1' if plain else 'P4'} {WIDTH} {HEIGHT}\n".encode()
    body = "".join(str(v) for v in values.ravel()).encode() if plain else packed(values, 1)
    assert np.array_equal(stored(head + body), grey(255 - 255 * values))


# CMYK


def without_adobe(jpeg):
    """The same JPEG without its APP14 segment."""
    at = jpeg.index(b"\xff\xeeAdobe") if b"\xff\xeeAdobe" in jpeg else jpeg.index(b"\xff\xee")
    return jpeg[:at] + jpeg[at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big") :]


@pytest.mark.parametrize("marker", [True, False], ids=["adobe", "no marker"])
@pytest.mark.parametrize("keep_bytes", [True, False])
def test_cmyk_jpeg_counts_brightness_with_and_without_its_marker(marker, keep_bytes):
    """Plain patches of ink, to which lossy coding does next to nothing."""
    ink = np.zeros((16, 64, 4), np.uint8)
    for i, patch in enumerate([(0, 0, 0, 0), (255, 0, 0, 0), (0, 200, 90, 0), (30, 30, 30, 120)]):
        ink[:, 16 * i : 16 * (i + 1)] = patch
    data = encode(Image.fromarray(ink, "CMYK"), "JPEG", quality=100, subsampling=0)
    data = data if marker else without_adobe(data)
    assert (b"Adobe" in data) == marker
    left = 255 - ink.astype(float)
    expected = left[..., :3] * left[..., 3:] / 255
    assert np.abs(stored(data, keep_bytes=keep_bytes) - expected).max() <= 3
    reason = prepare(data, storage=ImageStorage(MAX_PIXELS, keep_bytes=True)).converted
    assert reason == (None if marker else "CMYK JPEG without Adobe's marker")


def test_cmyk_tiff():
    ink = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 4), np.uint8)
    left = 255 - ink.astype(float)
    expected = left[..., :3] * left[..., 3:] / 255
    assert np.abs(stored(encode(Image.fromarray(ink, "CMYK"), "TIFF")) - expected).max() <= 1


# Transparency, palettes, animation


@pytest.mark.parametrize("format_", ["PNG", "WEBP", "TIFF", "GIF"])
def test_transparency_is_dropped_not_blended(format_):
    """An image all of whose pixels are half transparent, or nearly, keeps its colours."""
    options = {"lossless": True, "exact": True} if format_ == "WEBP" else {}
    image = rgba() if format_ != "GIF" else rgb().quantize(256)
    expected = np.asarray(rgb()) if format_ != "GIF" else np.asarray(image.convert("RGB"))
    if format_ == "GIF":
        options = {"transparency": 7}
    pixels = stored(encode(image, format_, **options))
    wrong = (pixels != expected).any(-1)
    # Pillow makes a GIF's transparent pixels black or keeps them; either is one palette entry.
    assert wrong.sum() <= (np.asarray(image) == 7).sum() if format_ == "GIF" else not wrong.any()


def test_a_palette_is_looked_up():
    entries = np.random.default_rng(1).integers(0, 256, (256, 3), np.uint8)
    index = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint8)
    chunk = images.png_chunk(b"PLTE", entries.tobytes())
    data = images.png(index, bits=8, colour=3, before_pixels=chunk)
    assert np.array_equal(stored(data), entries[index])
    clear = images.png_chunk(b"tRNS", bytes(range(256)))
    data = images.png(index, bits=8, colour=3, before_pixels=chunk + clear)
    assert np.array_equal(stored(data), entries[index])


@pytest.mark.parametrize("format_", ["PNG", "GIF", "WEBP", "TIFF", "AVIF"])
def test_the_first_frame_counts(format_):
    black, white = (Image.new("RGB", (16, 16), colour) for colour in ("black", "white"))
    data = encode(black, format_, save_all=True, append_images=[white, white])
    assert stored(data).max() <= 2


# Orientation

XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-synt'
    'ax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" {}</rdf:RDF></x:xmpmeta>'
)
XMP_FORMS = {
    "attribute": 'tiff:Orientation="{}"/>',
    "single quotes": "tiff:Orientation = '{}' />",
    "element": "><tiff:Orientation>{}</tiff:Orientation></rdf:Description>",
}


def xmp(orientation, form="attribute"):
    return XMP.format(XMP_FORMS[form].format(orientation)).encode()


def exif(orientation):
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def jpeg_with_xmp(content):
    data = encode(rgb(), "JPEG", quality=95)
    segment = b"http://ns.adobe.com/xap/1.0/\0" + content
    return data[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(segment)) + segment + data[2:]


def raw_profile(name, content):
    digits = content.hex()
    lines = [digits[i : i + 72] for i in range(0, len(digits), 72)]
    return f"\n{name}\n{len(content):8}\n".encode() + "\n".join(lines).encode() + b"\n"


def png_text(keyword, text, kind="tEXt"):
    body = {
        "tEXt": lambda: keyword + b"\0" + text,
        "zTXt": lambda: keyword + b"\0\0" + zlib.compress(text),
        "iTXt": lambda: keyword + b"\0\0\0\0\0" + text,
        "iTXt packed": lambda: keyword + b"\0\1\0\0\0" + zlib.compress(text),
    }[kind]()
    return images.png_chunk(kind[:4].encode(), body)


def png_with(chunk, *, after_image=False):
    data = encode(rgb(), "PNG")
    at = len(data) - 12 if after_image else 33
    return data[:at] + chunk + data[at:]


def webp_with_xmp(content):
    return encode(rgb(), "WEBP", lossless=True, xmp=content)


WAYS = {
    "jpeg exif": lambda o: with_orientation(rgb(), "JPEG", o, quality=95),
    "jpeg xmp": lambda o: jpeg_with_xmp(xmp(o)),
    "jpeg xmp element": lambda o: jpeg_with_xmp(xmp(o, "element")),
    "jpeg xmp single quotes": lambda o: jpeg_with_xmp(xmp(o, "single quotes")),
    "png exif": lambda o: with_orientation(rgb(), "PNG", o),
    "png raw profile exif": lambda o: png_with(
        png_text(b"Raw profile type exif", raw_profile("exif", exif(o)))
    ),
    "png raw profile APP1, packed": lambda o: png_with(
        png_text(b"Raw profile type APP1", raw_profile("app1", exif(o)), "zTXt")
    ),
    "png raw profile behind the pixels": lambda o: png_with(
        png_text(b"Raw profile type exif", raw_profile("exif", exif(o)), "zTXt"), after_image=True
    ),
    "png xmp": lambda o: png_with(png_text(b"XML:com.adobe.xmp", xmp(o), "iTXt")),
    "png xmp packed": lambda o: png_with(png_text(b"XML:com.adobe.xmp", xmp(o), "iTXt packed")),
    "png xmp behind the pixels": lambda o: png_with(
        png_text(b"XML:com.adobe.xmp", xmp(o), "iTXt"), after_image=True
    ),
    "png raw profile xmp": lambda o: png_with(
        png_text(b"Raw profile type xmp", raw_profile("xmp", xmp(o)))
    ),
    "webp exif": lambda o: with_orientation(rgb(), "WEBP", o, lossless=True),
    "webp xmp": lambda o: webp_with_xmp(xmp(o)),
    "tiff": lambda o: encode(rgb(), "TIFF", tiffinfo={274: o}),
    "tiff lzw": lambda o: encode(rgb(), "TIFF", tiffinfo={274: o}, compression="tiff_lzw"),
    "tiff xmp": lambda o: encode(rgb(), "TIFF", tiffinfo={700: xmp(o)}),
    "tiff xmp lzw": lambda o: encode(
        rgb(), "TIFF", tiffinfo={700: xmp(o, "element")}, compression="tiff_lzw"
    ),
    "avif": lambda o: with_orientation(rgb(), "AVIF", o, quality=100, subsampling="4:4:4"),
    "avif xmp": lambda o: encode(rgb(), "AVIF", xmp=xmp(o), quality=100, subsampling="4:4:4"),
}
# TIFF 6.0, tag 274: the sides where row 0 and column 0 of the stored pixels belong.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a[::-1].transpose(1, 0, 2),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a[:, ::-1].transpose(1, 0, 2),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("way", WAYS)
def test_orientation_is_obeyed_wherever_it_stands(way, orientation):
    pixels = stored(WAYS[way](orientation))
    expected = UPRIGHT[orientation](images.pixels()).astype(int)
    assert pixels.shape == expected.shape
    lossy = way.startswith(("jpeg", "avif"))
    # Half resolution of colour smears the edges of one block; a turn moves most pixels by far more.
    assert np.abs(pixels - expected).mean() < (6 if lossy else 1e-9)


def test_exif_wins_over_xmp():
    data = png_with(png_text(b"XML:com.adobe.xmp", xmp(3), "iTXt"))
    data = data[:33] + images.png_chunk(b"eXIf", exif(6).removeprefix(b"Exif\0\0")) + data[33:]
    assert np.array_equal(stored(data), UPRIGHT[6](images.pixels()))


@pytest.mark.parametrize("value", [0, 9, 255])
@pytest.mark.parametrize("way", ["jpeg exif", "png exif", "webp exif", "png xmp", "jpeg xmp"])
def test_an_orientation_that_does_not_exist_is_upright(way, value):
    assert prepare(WAYS[way](value), storage=ImageStorage(MAX_PIXELS)).converted is None


@pytest.mark.parametrize(
    "junk", [b"", b"II*\0", b"\xff" * 40, b"MM\0*\0\0\0\x08\xff\xff" + b"\1" * 9]
)
def test_broken_metadata_costs_nobody_an_image(junk):
    for data in (
        png_with(images.png_chunk(b"eXIf", junk)),
        png_with(png_text(b"Raw profile type exif", b"\nexif\n 9\nzz" + junk)),
        png_with(images.png_chunk(b"zTXt", b"XML:com.adobe.xmp\0\0" + junk)),
        encode(rgb(), "JPEG", exif=b"Exif\0\0" + junk),
        encode(rgb(), "WEBP", exif=b"Exif\0\0" + junk),
    ):
        assert prepare(data, storage=ImageStorage(MAX_PIXELS)).image == data


def test_a_text_that_unpacks_to_gigabytes_is_not_unpacked():
    text = zlib.compress(bytes(2**26))
    data = png_with(images.png_chunk(b"zTXt", b"XML:com.adobe.xmp\0\0" + text))
    assert prepare(data, storage=ImageStorage(MAX_PIXELS)).image == data
