"""Arrow's streams with images in them, as `save_to_disk` of Hugging Face `datasets` writes them,
and its cache: `pip install 'vitctl[parquet]'`.

A stream is a schema and record batches, each a message with a body (Arrow's columnar format, IPC).
Its bytes of images lie in the bodies as they are, so they are read at random where they lie; a
stream whose bodies are compressed is refused with how to write it anew.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vitctl.data.names import text_of
from vitctl.errors import InputError, VitctlError
from vitctl.ingest.choices import Choices
from vitctl.ingest.listing import Listing
from vitctl.ingest.parts import DamagedError, Part
from vitctl.ingest.reading.windows import InParts
from vitctl.ingest.sources.arrow_table import (
    Columns,
    ImageRow,
    images_of,
    labels_of,
    list_tables,
    pyarrow_missing,
)
from vitctl.ingest.sources.json_files import read_object
from vitctl.text.quoting import one_line, quoted

if TYPE_CHECKING:
    import pyarrow as pa

_CONTINUES = b"\xff\xff\xff\xff"
_MAGIC = b"ARROW1\0\0"  # of Arrow's files (Feather), which are a stream and a directory behind it
_MOST_SCHEMA = 2**26
_STATE, _DICT, _INFO = "state.json", "dataset_dict.json", "dataset_info.json"
_SAFE = re.compile(r"(?!\.)[^/\\\0]+")


def is_arrow(head: bytes, path: bytes = b"") -> bool:
    """Whether a file begins with the message of a schema."""
    head = head.removeprefix(_MAGIC)
    return head.startswith(_CONTINUES) and 0 < int.from_bytes(head[4:8], "little") < _MOST_SCHEMA


def is_saved(folder: str) -> bool:
    """Whether a folder is what `save_to_disk` wrote."""
    try:
        return bool(_parts_of(Path(folder)))
    except VitctlError:
        return False


def list_saved(given: str, choices: Choices) -> Listing:
    """The images of a folder that `save_to_disk` wrote, of a Dataset or a DatasetDict."""
    root = Path(given)
    folders = _parts_of(root)
    paths = [os.fsencode(folder / name) for folder in folders for name in _data_files(folder)]
    missing = [path for path in paths if not os.path.isfile(path)]
    if missing:
        raise InputError(
            f"{text_of(missing[0])} is missing ({len(missing)} of {len(paths)} files are)",
            hint="copy the folder again, or save the dataset anew",
        )
    if not paths:
        raise InputError(f"{given} is a saved dataset without any file of data")
    info = folders[0] / _INFO
    features = read_object(info).get("features") if info.is_file() else None
    return list_arrows(
        given, paths, choices, features=features if isinstance(features, dict) else {}
    )


def list_arrows(
    given: str,
    paths: Sequence[bytes],
    choices: Choices,
    *,
    features: Mapping[str, Any] | None = None,
) -> Listing:
    """The images of Arrow streams, `given` by the user as one word."""
    return list_tables(
        given,
        paths,
        choices,
        opened=_opened,
        source_of=_source_of,
        kind="an Arrow file",
        kinds="Arrow files",
        features=features,
    )


def _source_of(parts: tuple[Part, ...], image: str) -> InParts:
    return InParts(parts)


def _parts_of(root: Path) -> list[Path]:
    """The folders of a saved dataset that hold data: itself, or one for each split."""
    if (root / _DICT).is_file():
        splits = read_object(root / _DICT).get("splits")
        if isinstance(splits, list) and all(
            isinstance(name, str) and _SAFE.fullmatch(name) for name in splits
        ):
            return [root / name for name in splits]
        raise InputError(f"{root / _DICT} does not name its splits")
    if (root / _STATE).is_file() and _data_files(root):
        return [root]
    return []


def _data_files(folder: Path) -> list[str]:
    """The names of its files, in their order."""
    files = read_object(folder / _STATE).get("_data_files")
    names = [file.get("filename") for file in files or () if isinstance(file, dict)]
    if not isinstance(files, list) or len(names) < len(files):
        raise InputError(f"{folder / _STATE} does not name its files of data")
    for name in names:
        if not isinstance(name, str) or not _SAFE.fullmatch(name):
            raise InputError(f"{folder / _STATE} names a file outside its folder: {quoted(name)}")
    return [str(name) for name in names]


@dataclass(frozen=True)
class _ArrowFile:
    """A stream whose schema was read."""

    file: pa.NativeFile
    schema: pa.Schema
    size: int
    shown: str

    def rows(self, columns: Columns) -> Iterator[ImageRow]:
        import pyarrow as pa

        row = 0
        try:
            while (message := self._message()) is not None:
                body = message.body
                batch = pa.ipc.read_record_batch(message, self.schema)
                # Offsets that lead out of a buffer are read without being looked at otherwise.
                batch.validate(full=True)
                images = images_of(batch, columns)
                sizes, offsets = self._places(images, body)
                for size, offset, labels in zip(
                    sizes, offsets, labels_of(batch, columns), strict=True
                ):
                    yield ImageRow(size, offset, labels)
                    row += 1
        except (pa.ArrowException, OSError, MemoryError, ValueError, EOFError) as error:
            raise DamagedError(row, one_line(error)) from None

    def _places(self, images: pa.Array, body: pa.Buffer) -> tuple[list[int], list[int]]:
        """Size and place in the file of each image of the body that was read last."""
        import pyarrow as pa

        _, bounds, data = images.buffers()
        valid = images.is_valid().to_numpy(zero_copy_only=False)
        if data is None or not data.size or not valid.any():
            return [0] * len(images), [0] * len(images)
        at = data.address - body.address
        if not 0 <= at <= body.size - data.size:
            raise InputError(
                f"the columns of {self.shown} are compressed",
                hint="load it with `datasets`, and write it anew: dataset.to_parquet(FILE)",
            )
        kind = np.int64 if pa.types.is_large_binary(images.type) else np.int32
        bounds = np.frombuffer(
            bounds, kind, len(images) + 1, images.offset * np.dtype(kind).itemsize
        )
        sizes = np.where(valid, np.diff(bounds), 0)
        places = self.file.tell() - body.size + at + bounds[:-1].astype(np.int64)
        return sizes.tolist(), places.tolist()

    def _message(self) -> pa.Message | None:
        """The next message; None at the end of the stream. Raises ValueError where it claims more
        than the file holds, before memory is taken for it."""
        import pyarrow as pa

        at = self.file.tell()
        head = self.file.read(8)
        if not head or head[:8] == _CONTINUES + bytes(4):
            return None
        if len(head) < 8 or head[:4] != _CONTINUES:
            raise ValueError("a message does not begin where one should")
        if int.from_bytes(head[4:8], "little") > self.size - at:
            raise ValueError("a message claims more than the file holds")
        self.file.seek(at)
        message = pa.ipc.read_message(self.file)
        if message.type != "record batch":
            raise ValueError(f"a message of another kind ({message.type})")
        return message


@contextmanager
def _opened(path: bytes) -> Iterator[_ArrowFile]:
    try:
        import pyarrow as pa
    except ImportError:
        raise pyarrow_missing("Arrow") from None
    shown = text_of(path)
    with pa.OSFile(os.fsdecode(path)) as file:
        try:
            first = len(_MAGIC) if file.read(len(_MAGIC)) == _MAGIC else 0
            file.seek(first)
            if int.from_bytes(file.read(8)[4:], "little") > _MOST_SCHEMA:
                raise ValueError("its schema claims more than 64 MiB")
            file.seek(first)
            message = pa.ipc.read_message(file)
            # pyarrow 26 crashes on a message of no kind that is taken for a schema.
            if message.type != "schema":
                raise ValueError("it does not begin with a schema")
            schema = pa.ipc.read_schema(message)
        except (pa.ArrowException, OSError, MemoryError, ValueError, EOFError) as error:
            raise InputError(
                f"{shown} is no stream of Arrow ({one_line(error)})",
                hint="copy it again, or save the dataset anew",
            ) from None
        yield _ArrowFile(file, schema, file.size(), shown)
