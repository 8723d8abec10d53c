"""JPEGs of every kind that Pillow writes, damaged in ways that reach every part of a decoder."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
from PIL import Image

from tests.data.encoded_images import encode

_SIZES = ((1, 1), (7, 9), (8, 8), (16, 16), (17, 33), (40, 30), (64, 48), (97, 61))
_CHANNELS = {"RGB": 3, "L": 1, "CMYK": 4}
_FRAMES = (0xC0, 0xC1, 0xC2)
_ALL_FRAMES = (*_FRAMES, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
_MARKERS = (0xD9, 0xD0, 0xD3, 0xD7, 0xDA, 0xC4, 0xDB, 0xDD, 0xFE, 0xE0, 0x00, 0xDC, 0x01, 0xD8)
_SAMPLING = tuple(16 * h + v for h in range(1, 5) for v in range(1, 5))
# A damaged header may claim gigabytes.
_MOST_PIXELS = 4_000_000


def damaged_jpegs(count: int, *, seed: int) -> Iterator[bytes]:
    """So many, a dozen of each file; each begins as a JPEG does."""
    rng = random.Random(seed)
    noise = np.random.default_rng(seed)
    whole = b""
    made = 0
    while made < count:
        if made % 12 == 0:
            whole = _jpeg(rng, noise)
        data = _damaged(bytearray(whole), rng)
        if data.startswith(b"\xff\xd8\xff") and _pixels(data) <= _MOST_PIXELS:
            made += 1
            yield bytes(data)


def _jpeg(rng: random.Random, noise: np.random.Generator) -> bytes:
    mode = rng.choice(("RGB", "RGB", "RGB", "L", "CMYK"))
    width, height = rng.choice(_SIZES)
    pixels = noise.integers(0, 256, (height, width, _CHANNELS[mode]), np.uint8)
    image = Image.fromarray(pixels.squeeze(-1) if mode == "L" else pixels, mode)
    if rng.random() < 0.7:  # what cameras see is smooth
        image = image.resize((max(1, width // 7), max(1, height // 7))).resize((width, height))
    options = {
        "quality": rng.choice((20, 75, 90, 98)),
        "optimize": rng.random() < 0.3,
        "progressive": rng.random() < 0.35,
    }
    if mode == "RGB":
        options |= rng.choice(
            ({"subsampling": "4:4:4"}, {"subsampling": "4:2:2"}, {}, {}, {"keep_rgb": True})
        )
    if rng.random() < 0.4:
        options |= rng.choice(({"restart_marker_blocks": 2}, {"restart_marker_rows": 1}))
    return encode(image, "JPEG", **options)


def _damaged(data: bytearray, rng: random.Random) -> bytearray:
    at = rng.randrange(2, len(data))
    scan = max(2, data.find(b"\xff\xda"))
    frame = _frame(data)
    match rng.randrange(12):
        case 0:
            del data[at:]
        case 1:
            del data[at:]
            data += b"\xff\xd9"
        case 2:
            for _ in range(rng.randrange(1, 20)):
                data[rng.randrange(2, len(data))] ^= 1 << rng.randrange(8)
        case 3:
            data[rng.randrange(min(scan, len(data) - 1), len(data))] ^= 1 << rng.randrange(8)
        case 4:
            del data[at : at + rng.randrange(1, 200)]
        case 5:
            data[at:at] = rng.randbytes(rng.randrange(1, 40))
        case 6:
            end = min(len(data), at + rng.randrange(1, 400))
            data[at:end] = bytes(end - at)
        case 7:
            data[at:at] = bytes((0xFF, rng.choice(_MARKERS)))
        case 8 if frame:
            data[frame + 1] = rng.choice(_ALL_FRAMES)
        case 9 if frame:
            data[min(frame + rng.randrange(2, 19), len(data) - 1)] = rng.randrange(256)
        case 10 if frame:
            for component in range(3):
                data[min(frame + 11 + 3 * component, len(data) - 1)] = rng.choice(_SAMPLING)
        case _:
            data[min(scan + rng.randrange(2, 14), len(data) - 1)] = rng.randrange(256)
    more = len(data) > 8 and rng.random() < 0.25
    return _damaged(data, rng) if more else data


def _frame(data: bytes | bytearray) -> int:
    """Where the marker of the frame is, 0 if it is nowhere."""
    return max(0, *(data.find(bytes((0xFF, marker))) for marker in _FRAMES))


def _pixels(data: bytearray) -> int:
    frame = _frame(data)
    height, width = data[frame + 5 : frame + 7], data[frame + 7 : frame + 9]
    return int.from_bytes(height, "big") * int.from_bytes(width, "big")
