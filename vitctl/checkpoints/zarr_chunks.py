"""Which files of a stored array hold the parts of it that this process needs.

An array is a folder of zarr (version 3): `zarr.json` describes it, `c/0/2` is the chunk that is the
first along the first axis and the third along the second (https://zarr-specs.readthedocs.io/en/latest/
v3/core/index.html, "regular grids" and "chunk key encoding"; a scalar's only chunk is `c`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

from vitctl.text import strict_json

META = "zarr.json"


def needed(description: bytes, leaf: Any) -> set[str] | None:
    """The names of the chunks that the devices of this process need of an array that becomes `leaf`
    (with `shape` and `sharding`); None if it is stored in a way that isn't known here: then all."""
    try:
        stored = strict_json.loads(description)
        grid, encoding = stored["chunk_grid"], stored["chunk_key_encoding"]
        shape, chunk = tuple(stored["shape"]), tuple(grid["configuration"]["chunk_shape"])
        separator = encoding.get("configuration", {}).get("separator", "/")
        usual = (grid["name"], encoding["name"]) == ("regular", "default")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    usual = usual and all(type(size) is int and size > 0 for size in chunk)
    if not usual or shape != tuple(leaf.shape) or len(chunk) != len(shape):
        return None
    parts = leaf.sharding.addressable_devices_indices_map(shape).values()
    return set(names(parts, shape=shape, chunk=chunk, separator=separator))


def names(
    parts: Iterable[Sequence[slice]],
    *,
    shape: Sequence[int],
    chunk: Sequence[int],
    separator: str = "/",
) -> Iterable[str]:
    """The chunks that these parts (a slice an axis, of step 1) of an array lie in."""
    for part in parts:
        ranges = []
        for along, size, each in zip(part, shape, chunk, strict=True):
            start, stop, _ = along.indices(size)
            ranges.append(range(start // each, -(-stop // each)))
        for numbers in product(*ranges):
            yield separator.join(["c", *map(str, numbers)])
