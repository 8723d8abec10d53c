"""Arrays of a checkpoint on disk, through orbax.

    <checkpoint>/params/     the weights
    <checkpoint>/opt/        the optimizer's state
    <checkpoint>/ema/        with optim.ema: the average of the weights
    <checkpoint>/norms/      with optim.skip_spikes: the recent gradient norms
    <checkpoint>/position.json

Each is one zarr array a parameter, so equal arrays give equal files and evaluation reads the
weights alone. OCDBT would name its files at random, which would make equal results differ.

A save has two halves: arrays are copied off the devices, which training waits for, and written,
which it does not (`begin`, `Writing.finish`).
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from vitctl import processes
from vitctl.artifacts.staging import fetched
from vitctl.checkpoints import event_loops, zarr_chunks
from vitctl.checkpoints.position import POSITION
from vitctl.errors import DoesNotFitError, InputError
from vitctl.places import Place, disk, nofollow
from vitctl.places.local import LocalPath, based
from vitctl.text.quantities import show_bytes

PARAMS = "params"
OPT = "opt"
EMA = "ema"
NORMS = "norms"
PARTS = (PARAMS, OPT, EMA, NORMS)

# Written by orbax with times, paths and device names in them: verified, but not compared.
_VOLATILE = ("_CHECKPOINT_METADATA", "_sharding", "commit_success.txt")
VOLATILE = tuple(f"{part}/{name}" for part in PARTS for name in _VOLATILE)

# How orbax begins the message for an array whose bytes are not what its description says.
_UNREADABLE = "Encountered error while reading array"

# A zarr array is its metadata, its data and two folders.
_FILES_A_LEAF, _BLOCK = 4, 4096

# orbax reports every internal step through absl, and what fails a second time through asyncio;
# the error itself reaches the caller.
for _name in ("absl", "asyncio"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Writing:
    """A checkpoint on its way to the disk. Its arrays are copies: the devices' may change."""

    place: LocalPath
    position: dict[str, Any]
    jobs: tuple[Callable[[], None], ...]
    """What is left to do, each whatever became of the others."""

    def finish(self) -> None:
        """Wait until all is written. Raises what went wrong, after all parts came to an end."""
        errors: list[Exception] = []
        for job in self.jobs:
            try:
                job()
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]
        if processes.first():
            text = json.dumps(self.position, sort_keys=True) + "\n"
            (self.place / POSITION).write_atomic(text.encode())


def begin(
    place: LocalPath, *, parts: Mapping[str, Any], position: dict[str, Any], apart: bool = False
) -> Writing:
    """Copy `parts` (name -> tree of arrays) off the devices and begin to write them, and the
    position, into the empty folder `place`. Training may go on when this returns.

    Of several processes each writes what its devices have. With `apart` their `place`s are on
    disks of their own: all have what describes the arrays, the first has the position.

    Raises DoesNotFitError, before anything is written, if the disk has no room for them.
    """
    check_room(place, parts, apart=apart)
    begun: list[ocp.AsyncCheckpointer] = []

    def writing() -> Writing:
        return Writing(place, position, tuple(writer.close for writer in begun))

    try:
        for part, tree in parts.items():
            options = _options(apart)
            writer = ocp.AsyncCheckpointer(
                _handler(options),
                multiprocessing_options=options,
                # Made meanwhile, a folder is announced to all processes by whoever made one first.
                # Apart, the others would write before theirs is made, and orbax then removes what
                # it finds in its place.
                async_options=ocp.options.AsyncOptions(create_directories_asynchronously=not apart),
            )
            begun.append(writer)
            begun[-1].save(nofollow.checked(place / part), tree)
    except BaseException:
        with suppress(Exception):
            writing().finish()
        raise
    return writing()


def save(place: Path, *, parts: Mapping[str, Any], position: dict[str, Any]) -> None:
    """Like `begin`, and wait until all is written."""
    begin(based(place), parts=parts, position=position).finish()


def restore(place: Place, part: str, *, like: Any) -> Any:
    """Read a part (one of `PARTS`) into the shapes, types and shardings of `like`.

    `like` is a tree of `jax.ShapeDtypeStruct` with shardings.

    Raises:
      InputError: the checkpoint is of another model (names, shapes or types differ), or a part of
        an array is missing or unreadable. What is missing never becomes zeros.
    """
    with (
        fetched(place, f"{part}/", wanted=_needed(place / part, like)) as here,
        _checkpointer() as checkpointer,
    ):
        folder = (here / part).resolve()
        _check_same(_stored_shapes(checkpointer, folder), like, folder=place / part)
        _check_chunks(folder, like, shown=place / part)
        arguments = ocp.checkpoint_utils.construct_restore_args(like)
        try:
            with event_loops.ended():
                return checkpointer.restore(folder, item=like, restore_args=arguments)
        except Exception as error:
            if type(error) is not Exception or _UNREADABLE not in str(error):
                raise
            # orbax's text is the specification of the array, over pages.
            raise InputError(
                f"{place / part} is damaged: the content of an array cannot be read",
                hint=f"see which file: vitctl verify --deep {place}",
            ) from None


def _check_chunks(folder: Path, like: Any, *, shown: Place) -> None:
    """By the files: whether orbax refuses a missing chunk or fills in zeros depends on a field of
    its metadata, which lies beside the chunks."""
    for name, leaf in named(like).items():
        array = folder / name.replace("/", ".")
        chunks = zarr_chunks.needed((array / zarr_chunks.META).read_bytes(), leaf)
        missing = sorted(chunk for chunk in chunks or () if not (array / chunk).is_file())
        if missing:
            raise InputError(
                f"{shown} is damaged: {array.name}/{missing[0]} is missing",
                hint="take an earlier checkpoint of the run, or a copy of this one",
            )


def _needed(folder: Place, like: Any) -> Callable[[str], bool]:
    """Which files below `folder`, in a bucket, this process must fetch: of several processes each
    has its devices' chunks of the arrays to read."""
    if folder.local is not None or processes.count() == 1:
        return lambda name: True
    leaves = list(named(like).items())

    def look(item: tuple[str, Any]) -> tuple[str, set[str] | None]:
        name, leaf = item
        array = name.replace("/", ".")
        try:
            described = (folder / array / zarr_chunks.META).read_bytes()
        except FileNotFoundError:  # another model's; that is told when all is here
            return array, None
        return array, zarr_chunks.needed(described, leaf)

    needed = dict(folder.each(look, leaves))

    def wanted(name: str) -> bool:
        array, _, file = name.removeprefix(f"{folder.name}/").partition("/")
        of_it = needed.get(array)
        return of_it is None or file in of_it or file == zarr_chunks.META

    return wanted


def has(place: Place, part: str) -> bool:
    """Whether the checkpoint has this part."""
    return (place / part).is_dir()


def stored_shapes(place: Place, part: str) -> dict[str, tuple[tuple[int, ...], str]]:
    """name -> (shape, type) of every array of `part`, read from metadata alone."""
    with fetched(place, f"{part}/") as here, _checkpointer() as checkpointer:
        return _stored_shapes(checkpointer, (here / part).resolve())


def same(stored: dict[str, tuple[tuple[int, ...], str]], like: Any) -> bool:
    """Whether `stored_shapes` are those of `like`."""
    return not _differing(stored, _described(like))


def named(tree: Any) -> dict[str, Any]:
    """A tree of arrays as `a/b/c` -> leaf."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {"/".join(_part(key) for key in path): leaf for path, leaf in leaves}


def _options(apart: bool) -> ocp.options.MultiprocessingOptions:
    """Whether the first of several processes makes folders and describes arrays for all."""
    return ocp.options.MultiprocessingOptions(primary_host=None if apart else 0)


def check_room(place: Path, tree: Any, *, apart: bool = False) -> None:
    """A disk that fills up in the middle of a save makes orbax's threads print pages of traces."""
    needed = bytes_on_disk(tree, apart=apart)
    free = disk.free_bytes(place)
    if free is not None and needed > free:
        raise DoesNotFitError(
            f"the disk of {place} has {show_bytes(free)} free, and a checkpoint needs "
            f"{show_bytes(needed)}",
            hint="free some space and run the same command again; what was saved before is kept",
        )


def bytes_on_disk(tree: Any, *, apart: bool) -> int:
    """At most what a checkpoint of `tree` takes on the disk of this process, where each process
    has one of its own (`apart`), else on the one that all share.

    `tree` has arrays, or `jax.ShapeDtypeStruct` with shardings: nothing need be allocated.
    """
    leaves = jax.tree.leaves(tree)
    size = _own_bytes if apart else _bytes
    return sum(size(leaf) for leaf in leaves) + len(leaves) * _FILES_A_LEAF * _BLOCK


def _bytes(leaf: Any) -> int:
    return leaf.size * leaf.dtype.itemsize


def _own_bytes(leaf: Any) -> int:
    """What this process writes of it: the parts of which its devices have the first copy."""
    sharding = getattr(leaf, "sharding", None)
    if sharding is None:
        return _bytes(leaf)
    firsts: dict[Any, Any] = {}
    for device, index in sharding.devices_indices_map(leaf.shape).items():
        firsts.setdefault(tuple((part.start, part.stop) for part in index), device)
    mine = sum(device.process_index == jax.process_index() for device in firsts.values())
    return mine * math.prod(sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize


def _handler(
    options: ocp.options.MultiprocessingOptions | None = None,
) -> ocp.PyTreeCheckpointHandler:
    options = options or _options(apart=False)
    return ocp.PyTreeCheckpointHandler(
        use_ocdbt=False,
        use_zarr3=True,
        type_handler_registry=_registry(options.primary_host),
        multiprocessing_options=options,
    )


def _checkpointer() -> ocp.Checkpointer:
    return ocp.Checkpointer(_handler())


@cache
def _registry(primary_host: int | None) -> Any:
    """How leaves are written. A replicated array as one chunk: split over its replicas, as orbax
    does by default, its files would depend on the number of devices (and be eight times as many on
    eight; 50 arrays took 1.3 s to save instead of 0.4 s)."""
    handlers = ocp.type_handlers
    return handlers.create_type_handler_registry(
        (
            jax.Array,
            handlers.ArrayHandler(use_replica_parallel=False, primary_host=primary_host),
        ),
        (np.ndarray, handlers.NumpyHandler()),
        (int, handlers.ScalarHandler()),
        (float, handlers.ScalarHandler()),
    )


def _stored_shapes(
    checkpointer: ocp.Checkpointer, folder: Path
) -> dict[str, tuple[tuple[int, ...], str]]:
    try:
        with event_loops.ended():
            tree = checkpointer.metadata(folder).item_metadata.tree
    except (OSError, ValueError, AttributeError, LookupError, TypeError, RecursionError):
        raise InputError(f"{folder} is not a readable checkpoint") from None
    return {
        name: (tuple(leaf.shape), str(np.dtype(leaf.dtype)))
        for name, leaf in named(tree).items()
        if hasattr(leaf, "shape")
    }


def _check_same(
    stored: dict[str, tuple[tuple[int, ...], str]], like: Any, *, folder: Place
) -> None:
    wanted = _described(like)
    differing = _differing(stored, wanted)
    if differing:
        name = differing[0]
        has, needs = (_shown(side.get(name)) for side in (stored, wanted))
        raise InputError(
            f"{folder} is a checkpoint of another model: {name} is {has} there, "
            f"{needs} in this configuration ({len(differing)} of {len(wanted)} arrays differ)"
        )


def _described(like: Any) -> dict[str, tuple[tuple[int, ...], str]]:
    return {
        name: (tuple(leaf.shape), str(np.dtype(leaf.dtype))) for name, leaf in named(like).items()
    }


def _differing(
    stored: dict[str, tuple[tuple[int, ...], str]], wanted: dict[str, tuple[tuple[int, ...], str]]
) -> list[str]:
    return sorted(
        name for name in stored.keys() | wanted.keys() if stored.get(name) != wanted.get(name)
    )


def _shown(array: tuple[tuple[int, ...], str] | None) -> str:
    return "absent" if array is None else f"{array[1]}{list(array[0])}"


def _part(key: Any) -> str:
    for attribute in ("key", "name", "idx"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)
