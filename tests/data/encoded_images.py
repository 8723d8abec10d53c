"""Small encoded images of every format and mode the tests need."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 23, 37


def pixels(height=HEIGHT, width=WIDTH):
    """uint8[h, w, 3]: gradients that differ in every channel, and a block of one strong colour."""
    y, x = np.mgrid[:height, :width]
    image = np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], -1)
    image[height // 4 : height // 3, width // 8 : width // 2] = [250, 10, 30]
    return image.astype(np.uint8)


def rgb(height=HEIGHT, width=WIDTH):
    return Image.fromarray(pixels(height, width))


def rgba():
    image = rgb()
    alpha = (np.mgrid[:HEIGHT, :WIDTH][1] * 7 % 256).astype(np.uint8)
    image.putalpha(Image.fromarray(alpha))
    return image


def sixteen_bit():
    """uint16[h, w] over the whole range."""
    return np.linspace(0, 65535, HEIGHT * WIDTH).astype(np.uint16).reshape(HEIGHT, WIDTH)


def encode(image, format_, **options):
    out = io.BytesIO()
    image.save(out, format_, **options)
    return out.getvalue()


def with_orientation(image, format_, orientation, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(image, format_, exif=exif, **options)


def png_chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(pixels, *, bits, colour, before_pixels=b""):
    """A PNG by hand: uint[h, w] or [h, w, channels] of `bits` a sample, and a colour type."""
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1)
    if bits < 8:
        text = ["".join(f"{value:0{bits}b}" for value in row) for row in rows]
        text = [row + "0" * (-len(row) % 8) for row in text]
        lines = [int(row, 2).to_bytes(len(row) // 8, "big") for row in text]
    else:
        lines = [row.astype(f">u{bits // 8}").tobytes() for row in rows]
    data = zlib.compress(b"".join(b"\0" + line for line in lines))
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + before_pixels
        + png_chunk(b"IDAT", data)
        + png_chunk(b"IEND", b"")
    )


def bomb(width=60_000, height=60_000):
    """A PNG of a few bytes that claims to be 3.6 gigapixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", data)
        + png_chunk(b"IEND", b"")
    )


def bmp(bits, *, compression=0, top_down=False):
    """A BMP of 4 x 2 black pixels by hand, for the kinds Pillow doesn't write."""
    stride = (4 * bits + 31) // 32 * 4
    body = bytes(stride * 2)
    masks = struct.pack("<III", 0xF800, 0x07E0, 0x001F) if compression == 3 else b""
    offset = 54 + len(masks)
    info = struct.pack(
        "<IiiHHIIiiII", 40, 4, -2 if top_down else 2, 1, bits, compression, len(body), 0, 0, 0, 0
    )
    return b"BM" + struct.pack("<IHHI", offset + len(body), 0, 0, offset) + info + masks + body
