"""Which chunks of a stored array a process needs: against looking at every element."""

from __future__ import annotations

import json

import jax
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vitctl.checkpoints import zarr_chunks

AXIS = st.tuples(st.integers(1, 7), st.integers(1, 4), st.integers(0, 6), st.integers(1, 7))


@given(st.lists(AXIS, min_size=0, max_size=3))
def test_every_element_is_in_a_chunk_and_no_chunk_is_without(axes):
    shape = [size for size, *_ in axes]
    chunk = [each for _, each, *_ in axes]
    part = [slice(first % size, min(size, first % size + n)) for size, _, first, n in axes]
    indices = np.indices(shape).reshape(len(shape), -1).T if shape else np.zeros((1, 0), int)
    inside = [
        index
        for index in indices
        if all(p.start <= i < p.stop for i, p in zip(index, part, strict=True))
    ]
    expected = {
        "/".join(["c", *(str(i // each) for i, each in zip(index, chunk, strict=True))])
        for index in inside
    }
    assert set(zarr_chunks.names([part], shape=shape, chunk=chunk)) == expected


def description(shape, chunk, **more):
    grid = {"name": "regular", "configuration": {"chunk_shape": chunk}}
    stored = {"shape": shape, "chunk_grid": grid, "chunk_key_encoding": {"name": "default"}}
    return json.dumps(stored | more).encode()


def leaf(shape, *axes):
    mesh = Mesh(np.asarray(jax.devices()).reshape(4, 2), ("data", "fsdp"))
    return jax.ShapeDtypeStruct(
        shape, np.float32, sharding=NamedSharding(mesh, PartitionSpec(*axes))
    )


def test_a_process_alone_needs_all():
    assert zarr_chunks.needed(description([8, 6], [2, 6]), leaf((8, 6), "data", "fsdp")) == {
        f"c/{i}/0" for i in range(4)
    }
    assert zarr_chunks.needed(description([], []), leaf(())) == {"c"}


def test_what_is_not_known_is_fetched_whole():
    wanted = leaf((8, 6), "data")
    for stored in (
        b"{",
        b"[]",
        description([8, 6], [2, 6], chunk_key_encoding={"name": "v2"}),
        description([8, 4], [2, 4]),
        description([8, 6], [2, 6], chunk_grid={"name": "rectangular"}),
    ):
        assert zarr_chunks.needed(stored, wanted) is None
