"""Damaged arrays are a sentence, and never zeros."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest

from vitctl.checkpoints import arrays
from vitctl.errors import InputError
from vitctl.places import place

TREE = {"a": {"k": np.ones((4, 3), np.float32)}, "b": np.ones((), np.float32)}


@pytest.fixture
def params(tmp_path):
    tmp_path = place(tmp_path)
    arrays.save(tmp_path, parts={"params": jax.device_put(TREE)}, position={})
    return tmp_path / "params"


def restored(params):
    placed = jax.device_put(TREE)
    like = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), placed
    )
    return arrays.restore(params.parent, "params", like=like)


def edit(path, change):
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document))


def test_as_it_was_saved(params):
    assert all(map(np.array_equal, jax.tree.leaves(restored(params)), jax.tree.leaves(TREE)))


@pytest.mark.parametrize("chunk", ["a.k/c/0/0", "b/c"])
@pytest.mark.parametrize("promised", [True, False])
def test_a_missing_chunk_is_not_zeros(params, chunk, promised):
    # With False orbax itself would fill in zeros.
    edit(params / "_METADATA", lambda d: d.update(store_array_data_equal_to_fill_value=promised))
    (params / chunk).unlink()
    with pytest.raises(InputError, match=f"{chunk} is missing"):
        restored(params)


def test_a_chunk_that_is_cut_short(params):
    chunk = params / "a.k" / "c" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:5])
    with pytest.raises(InputError, match="cannot be read"):
        restored(params)


@pytest.mark.parametrize("claim", [{"shape": [2**33, 3]}, {"chunk_shape": [2**33, 3]}], ids=str)
def test_a_claim_of_many_elements(params, claim):
    def change(document):
        document["shape"] = claim.get("shape", document["shape"])
        grid = document["chunk_grid"]["configuration"]
        grid["chunk_shape"] = claim.get("chunk_shape", grid["chunk_shape"])

    edit(params / "a.k" / "zarr.json", change)
    with pytest.raises(InputError):
        restored(params)


@pytest.mark.parametrize("file", ["_METADATA", "a.k/zarr.json"])
@pytest.mark.parametrize(
    "content", ["", "[]", "{}", "1", '{"tree_metadata": [1]}', "[" * 5000, "\\xff"], ids=repr
)
def test_descriptions_of_another_shape(params, file, content):
    (params / file).write_text(content)
    with pytest.raises(InputError, match="readable checkpoint"):
        restored(params)
