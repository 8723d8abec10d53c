"""`.npz` files of big_vision and vision_transformer: names with slashes, half precision as void.

NumPy has no bfloat16, so `np.save` wrote it as two bytes of nothing ("V2"); those bytes are
bfloat16. Object arrays, which are pickles, are refused.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from vitctl.errors import InputError
from vitctl.text.quoting import quoted

# Of what zipfile, zlib and NumPy raise for a damaged file, the last two are for versions, methods
# and encryption that zipfile does not know.
_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, ValueError, OSError, EOFError, KeyError),
    *(NotImplementedError, RuntimeError),
)
PREFIXES = ("params/", "opt/target/")
"""Where a training checkpoint has its parameters; bare ones have none."""


@dataclass(frozen=True)
class NpzFile:
    """The arrays of a file by name, read when they are asked for."""

    path: Path
    shapes: Mapping[str, tuple[int, ...]]

    def read(self, name: str) -> NDArray[Any]:
        with _opened(self.path) as archive:
            array = archive[name]
        return array.view(ml_dtypes.bfloat16) if array.dtype == np.dtype("V2") else array


def open_file(path: Path) -> NpzFile:
    """Names and shapes of a file. Raises InputError for one that is damaged or holds pickles."""
    with _opened(path) as archive:
        shapes = {name: _shape(archive, name, path) for name in archive.files}
    return NpzFile(path, shapes)


def _shape(archive: Any, name: str, path: Path) -> tuple[int, ...]:
    with archive.zip.open(f"{name}.npy") as member:
        version = np.lib.format.read_magic(member)
        read = getattr(np.lib.format, f"read_array_header_{version[0]}_0", None)
        if read is None:
            raise InputError(f"{path}: the array {quoted(name)} is of an unknown version of .npy")
        shape, _, dtype = read(member)
    if dtype.hasobject:
        raise InputError(
            f"{path}: the array {quoted(name)} holds Python objects, that is a pickle, which can "
            "run any code",
            hint="save numeric arrays alone with numpy.savez",
        )
    return tuple(shape)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise InputError(f"{path} is one array, not an .npz of named ones")
            yield archive
    except _UNREADABLE as error:
        raise InputError(f"{path} is no readable .npz: {error}") from None
