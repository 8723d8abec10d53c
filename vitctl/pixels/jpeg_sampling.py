"""Whether a JPEG stores its colours at the resolution of its brightness.

Where it does not, a decoder interpolates them between neighbours, of which a window that is decoded
alone lacks those outside.
"""

from __future__ import annotations

from vitctl.pixels.jpeg_scans import segments

# Markers that begin a frame: SOF0 to SOF15, without DHT, JPG and DAC between them.
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_BEFORE_COMPONENTS = 6
_ONE_BY_ONE = 0x11


def colours_in_full(data: bytes) -> bool:
    """Whether every component of a JPEG has as many samples as there are pixels; False also where
    its frame cannot be read."""
    for marker, segment in segments(data):
        if marker in _FRAMES:
            if len(segment) < _BEFORE_COMPONENTS:
                return False
            count = segment[_BEFORE_COMPONENTS - 1]
            factors = segment[_BEFORE_COMPONENTS + 1 :: 3][:count]
            return len(factors) == count and (count == 1 or set(factors) == {_ONE_BY_ONE})
    return False
