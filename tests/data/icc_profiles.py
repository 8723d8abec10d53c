"""Small colour profiles made by hand (ICC.1:2010, version 2), whose meaning is a formula."""

from __future__ import annotations

import struct

import numpy as np

D50 = np.array([0.9642, 1.0, 0.8249])
# Columns red, green, blue: XYZ at D50, as in the profiles that their makers publish.
ADOBE_RGB = np.array(
    [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
)
SRGB = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)


def _fixed(values):
    """s15Fixed16Number."""
    return b"".join(struct.pack(">i", round(float(value) * 65536)) for value in values)


def _xyz(values):
    return b"XYZ \0\0\0\0" + _fixed(values)


def _profile(space, tags, kind=b"mntr"):
    header = bytearray(128)
    header[8:12] = b"\2\x10\0\0"
    header[12:16], header[16:20], header[20:24] = kind, space, b"XYZ "
    header[36:40] = b"acsp"
    header[68:80] = _fixed(D50)
    text = b"made for a test\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78),
        b"cprt": b"text\0\0\0\0" + text,
        b"wtpt": _xyz(D50),
        **tags,
    }
    at, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", at + len(body), len(content))
        body += content
    whole = bytes(header) + struct.pack(">I", len(tags)) + table + body
    return struct.pack(">I", len(whole)) + whole[4:]


def _curve(gamma):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def rgb_profile(primaries=ADOBE_RGB, *, gamma=563 / 256):
    curve = _curve(gamma)
    columns = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(_xyz, primaries.T), strict=True))
    return _profile(b"RGB ", {**columns, b"rTRC": curve, b"gTRC": curve, b"bTRC": curve})


def grey_profile(*, gamma):
    return _profile(b"GRAY", {b"kTRC": _curve(gamma)})


def in_srgb(values, primaries=ADOBE_RGB, *, gamma=563 / 256):
    """uint8[..., 3] of `rgb_profile` -> float64[..., 3], 0 to 255 in sRGB, clipped."""
    linear = (values / 255.0) ** gamma @ primaries.T @ np.linalg.inv(SRGB).T
    return 255 * encoded_srgb(np.clip(linear, 0, 1))


def encoded_srgb(linear):
    """IEC 61966-2-1."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
