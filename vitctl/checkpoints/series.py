"""The saves of one run, one after another: only the first has to describe its arrays.

orbax takes some 4 ms an array, whatever its size, to find out how to describe it, and most of that
stops training. What it found is the same at the next save of the same arrays on the same devices.
So the first save goes through orbax, and the next ones write the numbers under the descriptions of
the first, with tensorstore, which orbax writes with, too: byte for byte the same files. Several
processes, which have to agree about every save, go through orbax each time.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from vitctl import processes
from vitctl.checkpoints import arrays, zarr_chunks
from vitctl.checkpoints.arrays import Writing
from vitctl.places import nofollow
from vitctl.places.local import LocalPath
from vitctl.text import strict_json

_TIMES = "_CHECKPOINT_METADATA"

# As orbax opens them: what is written is not read, and zeros are written like any number, so that a
# missing chunk is a missing chunk.
_ZARR = {
    "driver": "zarr3",
    "recheck_cached_data": False,
    "recheck_cached_metadata": False,
    "store_data_equal_to_fill_value": True,
}

# Small files wait for the disk, on NFS for its server: as many at a time as orbax has.
_AT_ONCE = 128

Copies = dict[str, list[tuple[tuple[slice, ...], NDArray[Any]]]]
"""name of an array -> its parts on the devices of this process: where they lie, and a copy."""


@dataclass(frozen=True)
class _Part:
    """How one tree of arrays was described, in the folder `written`."""

    written: Path
    files: Mapping[str, bytes]
    """Of the tree: name -> content."""
    arrays: Mapping[str, bytes]
    """name of an array -> its `zarr.json`."""


class Series:
    """Saves of the same arrays. Not to be shared between threads; one save at a time."""

    def __init__(self) -> None:
        self._described: dict[str, _Part] | None = None
        self._signature: Any = None

    def begin(
        self,
        place: LocalPath,
        *,
        parts: Mapping[str, Any],
        position: dict[str, Any],
        apart: bool = False,
    ) -> Writing:
        """Like `arrays.begin`. What is not copied yet when this returns is written by `finish`."""
        signature = _signature(parts)
        if signature is not None and signature == self._signature and self._described is not None:
            return self._again(place, parts, position, described=self._described)
        self._described = None
        writing = arrays.begin(place, parts=parts, position=position, apart=apart)
        if signature is None:
            return writing

        def remember() -> None:
            self._described = _read(place, parts)
            self._signature = signature

        return Writing(place, position, (*writing.jobs, remember))

    def _again(
        self,
        place: LocalPath,
        parts: Mapping[str, Any],
        position: dict[str, Any],
        *,
        described: dict[str, _Part],
    ) -> Writing:
        arrays.check_room(place, parts)
        began = time.time_ns()
        for leaf in jax.tree.leaves(parts):
            leaf.copy_to_host_async()
        copies = {part: _copied(tree) for part, tree in parts.items()}

        def write() -> None:
            for part, of_it in copies.items():
                _write(
                    nofollow.checked(place / part), of_it, described=described[part], began=began
                )

        return Writing(place, position, (write,))


def _signature(parts: Mapping[str, Any]) -> Any:
    """What descriptions follow from; None where each save must be described by itself."""
    leaves, structure = jax.tree.flatten(dict(parts))
    if processes.count() > 1 or not all(map(_is_plain, leaves)):
        return None
    return structure, [(leaf.shape, leaf.dtype, leaf.sharding) for leaf in leaves]


def _is_plain(leaf: Any) -> bool:
    return (
        isinstance(leaf, jax.Array)
        and leaf.is_fully_addressable
        and not jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.extended)
    )


def _copied(tree: Any) -> Copies:
    """On a CPU an array of NumPy may be the device's own memory, which the next step takes."""
    return {
        name: [
            (shard.index, np.array(shard.data, copy=True))
            for shard in leaf.addressable_shards
            if shard.replica_id == 0
        ]
        for name, leaf in arrays.named(tree).items()
    }


def _read(place: Path, parts: Mapping[str, Any]) -> dict[str, _Part] | None:
    """The descriptions of what orbax has written; None if there is anything else than is known."""
    described = {}
    for part, tree in parts.items():
        folder = place / part
        names = {name: name.replace("/", ".") for name in arrays.named(tree)}
        files, folders = {}, set()
        for entry in nofollow.listing(folder):
            if entry.is_link:
                return None
            if entry.is_folder:
                folders.add(entry.name)
            else:
                files[entry.name] = nofollow.read(folder / entry.name)
        if folders != set(names.values()):
            return None
        stored = {n: nofollow.read(folder / f / zarr_chunks.META) for n, f in names.items()}
        described[part] = _Part(folder, files, stored)
    return described


def _write(folder: Path, copies: Copies, *, described: _Part, began: int) -> None:
    """All files of a tree; those that describe it as a whole come last, as orbax has it."""
    import tensorstore

    nofollow.make_folder(folder)
    context = tensorstore.Context({"file_io_concurrency": {"limit": _AT_ONCE}})
    opening = [
        (
            tensorstore.open(
                {
                    **_ZARR,
                    "kvstore": {"driver": "file", "path": f"{folder / name.replace('/', '.')}/"},
                    "metadata": strict_json.own_text(described.arrays[name]),
                },
                create=True,
                open=True,
                context=context,
            ),
            pieces,
        )
        for name, pieces in copies.items()
    ]
    writing = [
        opened.result()[where].write(piece) for opened, pieces in opening for where, piece in pieces
    ]
    for future in writing:
        future.result()
    for name, content in described.files.items():
        if name == _TIMES:
            content = _timed(content, began=began)
        with nofollow.opened(folder / name, "wb") as file:
            # One of them names the folder.
            file.write(content.replace(os.fsencode(described.written), os.fsencode(folder)))


def _timed(content: bytes, *, began: int) -> bytes:
    """orbax's record of when a save began and ended, with this save's times."""
    times = {"init_timestamp_nsecs": began, "commit_timestamp_nsecs": time.time_ns()}
    record = strict_json.own_text(content)
    return json.dumps({k: times.get(k, v) for k, v in record.items()}).encode()
