"""What MATLAB's files of version 5 to 7.2 are made of: numbers of types and classes, and tags.

Format: mathworks.com/help/pdf_doc/matlab/matfile_format.pdf.
"""

from __future__ import annotations

import numpy as np

HEADER_BYTES = 128
MATRIX, COMPRESSED = 14, 15
"""Types of elements: an array, and one that zlib compressed."""
NUMBERS = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
"""Type of an element of numbers -> NumPy's name of it."""
CELL, STRUCT, CHAR = 1, 2, 4
NUMERIC = range(6, 16)
"""Classes of arrays of numbers: double, single, and integers of 8 to 64 bits."""
COMPLEX = 0x08
MOST_AXES = 32
MOST_NAME = 2**10


def parsed_tag(data: bytes | memoryview, order: str, *, at: int = 0) -> tuple[int, int, bool]:
    """(type, bytes, whether these lie in the tag itself) of the 8 bytes of a tag; of such a short
    element more than 4 bytes are damage."""
    type_, size = np.frombuffer(data, f"{order}u4", 2, at).tolist()
    if type_ >> 16:
        return type_ & 0xFFFF, type_ >> 16, True
    return type_, size, False
