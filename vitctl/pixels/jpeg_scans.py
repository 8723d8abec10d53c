"""Whether a progressive JPEG holds all that its coefficients are made of.

Where scans are missing, decoders smooth over the edges of blocks, and versions of libjpeg-turbo
differ in how: other pixels from the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_PROGRESSIVE = 0xC2
_SCAN, _END = 0xDA, 0xD9
# Markers without a length; in the data of a scan 0xFF00 is a byte and 0xFFD0 to 0xFFD7 restarts.
_ALONE = {0x01, *range(0xD0, 0xD9)}
_AFTER_DATA = re.compile(rb"\xff+[^\x00\x01\xd0-\xd7\xff]")
_SMOOTHED_BY = range(1, 10)
"""Coefficients, in zigzag order, that libjpeg-turbo's `smoothing_ok` (jdcoefct.c) looks at; the
older ones look at the first five of them."""


def lacks_scans(data: bytes) -> bool:
    """Whether a JPEG is progressive and some low frequency of some component does not come to its
    last bit, or its segments can't be followed."""
    components: set[int] = set()
    exact: set[tuple[int, int]] = set()
    for marker, segment in segments(data):
        if marker == _PROGRESSIVE:
            components = set(segment[6::3][: segment[5]] if len(segment) > 5 else ())
        elif marker == _SCAN and components:
            if not segment or len(segment) < 4 + 2 * segment[0]:
                return True
            first, last, bits = segment[1 + 2 * segment[0] :][:3]
            for component in segment[1 : 1 + 2 * segment[0] : 2]:
                scanned = {(component, i) for i in range(first, last + 1)}
                exact = exact - scanned if bits & 15 else exact | scanned
    return any((component, i) not in exact for component in components for i in _SMOOTHED_BY)


def segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, content) of each, up to the end of the image."""
    at = 2
    while (match := _AFTER_DATA.search(data, at)) is not None:
        marker, begin = data[match.end() - 1], match.end()
        if marker == _END:
            return
        if marker in _ALONE:
            at = begin
            continue
        at = max(begin + 2, begin + int.from_bytes(data[begin : begin + 2], "big"))
        yield marker, data[begin + 2 : at]
