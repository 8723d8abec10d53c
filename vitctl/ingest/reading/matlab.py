"""Variables of MATLAB's files, version 5 to 7.2, by SciPy; with bounds on what they claim."""

from __future__ import annotations

import io
import zlib
from collections.abc import Collection, Mapping
from typing import Any

from vitctl.errors import InputError
from vitctl.text.quoting import one_line

Variables = Mapping[str, Any]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_HEADER_BYTES = 128
_COMPRESSED = 15  # the type of an element that zlib compressed
_PIECE = 2**20


def is_mat(head: bytes) -> bool:
    return head.startswith(b"MATLAB 5.0 MAT-file")


def is_hdf5_mat(head: bytes) -> bool:
    return head.startswith((b"MATLAB 7.3 MAT-file", _HDF5))


def read_mat(
    data: bytes, *, label: str, most_bytes: int, names: Collection[str] | None = None
) -> Variables:
    """The variables of a file, without axes of length 1, or those of `names`. Raises InputError
    for other files, and where they would take more than `most_bytes`."""
    if is_hdf5_mat(data):
        raise InputError(
            f"{label} is a file of MATLAB 7.3 (HDF5), which is not read",
            hint="in MATLAB: save(FILE, '-v7'); or write its labels as CSV with the names of the "
            "images, and give it with --labels",
        )
    if _expanded_bytes(data, most_bytes) > most_bytes:
        raise InputError(f"{label} holds more than {most_bytes >> 20:,} MiB, so it is not read")
    from scipy.io import loadmat  # takes a tenth of a second

    try:
        variables: dict[str, Any] = loadmat(
            io.BytesIO(data), squeeze_me=True, variable_names=None if names is None else [*names]
        )
    except MemoryError:
        raise InputError(f"{label} is too large for this machine's memory") from None
    except Exception as error:  # SciPy raises what the bytes make it raise
        raise InputError(f"{label} can't be read as a MATLAB file ({one_line(error)})") from None
    return {name: value for name, value in variables.items() if not name.startswith("__")}


def _expanded_bytes(data: bytes, most: int) -> int:
    """How many bytes the elements of a file have, those of `most` and a piece more at most. SciPy
    expands an element whole before it looks at it."""
    order = "big" if data[126:128] == b"MI" else "little"
    total, at = 0, _HEADER_BYTES
    while at + 8 <= len(data) and total <= most:
        kind = int.from_bytes(data[at : at + 4], order)  # type: ignore[arg-type]
        size = int.from_bytes(data[at + 4 : at + 8], order)  # type: ignore[arg-type]
        at += 8
        element = data[at : at + size]
        at += size
        if kind != _COMPRESSED:
            total += len(element)
            continue
        expander = zlib.decompressobj()
        try:
            while element and not expander.eof and total <= most:
                total += len(expander.decompress(element, _PIECE))
                element = expander.unconsumed_tail
        except zlib.error:
            return total  # SciPy says so
    return total
