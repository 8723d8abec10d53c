"""`.npz` files of big_vision and vision_transformer, old and new: the same model each time."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from vitctl.errors import InputError
from vitctl.interop import npz, overrides, reading, weight_files
from vitctl.interop.matching import flattened

REFERENCE = Path(__file__).parents[1] / "reference" / "reference_small.npz"


def weights(head: str) -> dict[str, np.ndarray]:
    with np.load(REFERENCE) as arrays:
        prefix = f"{head}/init/"
        return {n.removeprefix(prefix): arrays[n] for n in arrays if n.startswith(prefix)}


def read(folder: Path, named: dict[str, np.ndarray]) -> reading.Model:
    np.savez(folder / "x.npz", **named)
    return reading.read(weight_files.open_weights(folder / "x.npz"), said=overrides.Said())


def test_heads_and_sizes_are_known_from_shapes(tmp_path):
    for theirs, ours in (("map", "map"), ("gap", "gap"), ("tok", "token")):
        config = read(tmp_path, weights(theirs)).config
        assert config.head == ours
        assert (config.width, config.depth, config.mlp_dim, config.heads) == (64, 2, 128, 2)
        assert (config.patch, config.resolution, config.classes) == (8, 32, 10)


def stacked(named: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    first = "Transformer/encoderblock_0/"
    inside = [name.removeprefix(first) for name in named if name.startswith(first)]
    scanned = {n: a for n, a in named.items() if "encoderblock_" not in n}
    for name in inside:
        layers = [named[f"Transformer/encoderblock_{layer}/{name}"] for layer in (0, 1)]
        scanned[f"Transformer/encoderblock/{name}"] = np.stack(layers)
    return scanned


def vision_transformers(named: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The older codebase's names; positions have a row of the [class] token there."""
    old = {}
    for name, array in named.items():
        for ours, theirs in (
            ("/LayerNorm_1/", "/LayerNorm_2/"),
            ("/MlpBlock_0/", "/MlpBlock_3/"),
            ("/MultiHeadDotProductAttention_0/", "/MultiHeadDotProductAttention_1/"),
        ):
            name = name.replace(ours, theirs)
        old[name] = array
    row = np.full((1, 1, 64), 0.25, np.float32)
    positions = np.concatenate([row, old.pop("pos_embedding")], axis=1)
    old["Transformer/posembed_input/pos_embedding"] = positions
    old["cls"] = old["cls"] - 0.25
    return old


WAYS = {
    "params": lambda named: {f"params/{n}": a for n, a in named.items()},
    "optimizer": lambda named: (
        {f"opt/target/{n}": a for n, a in named.items()} | {"opt/state/step": np.int32(3)}
    ),
    "two towers": lambda named: (
        {f"params/img/{n}": a for n, a in named.items()}
        | {"params/t": np.ones(1), "params/txt/embedding": np.ones(3)}
    ),
    "scanned": stacked,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("head", ["map", "tok"])
def test_each_way_to_save_is_the_same_model(tmp_path, way, head):
    expected = flattened(read(tmp_path, weights(head)).load())
    got = flattened(read(tmp_path, WAYS[way](weights(head))).load())
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(got[name], array)


def test_the_older_codebase(tmp_path):
    expected = flattened(read(tmp_path, weights("tok")).load())
    got = flattened(read(tmp_path, vision_transformers(weights("tok"))).load())
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(got[name], array, atol=1e-7, err_msg=name)


def test_a_map_head_at_the_root(tmp_path):
    named = weights("map")
    old = {name.removeprefix("MAPHead_0/"): array for name, array in named.items()}
    assert "probe" in old
    assert read(tmp_path, old).config.head == "map"


def test_half_precision_stored_as_void_is_bfloat16(tmp_path):
    named = weights("map")
    brain = named["embedding/kernel"].astype(ml_dtypes.bfloat16)
    got = read(tmp_path, named | {"embedding/kernel": brain.view("V2")}).load()
    np.testing.assert_array_equal(got["embedding"]["kernel"], brain.astype(np.float32))


def test_pre_logits(tmp_path):
    named = weights("tok")
    named |= {"pre_logits/kernel": np.ones((64, 24), np.float32), "pre_logits/bias": np.ones(24)}
    named["head/kernel"] = np.ones((24, 10), np.float32)
    assert read(tmp_path, named).config.features == 24


def test_bad_files_are_one_sentence(tmp_path):
    objects = tmp_path / "objects.npz"
    np.savez(objects, a=np.array([{}], object))
    with pytest.raises(InputError, match="'a' holds Python objects, that is a pickle"):
        weight_files.open_weights(objects)
    (tmp_path / "cut.npz").write_bytes(objects.read_bytes()[:50])
    with pytest.raises(InputError, match=r"cut.npz is no readable .npz"):
        weight_files.open_weights(tmp_path / "cut.npz")
    named = weights("map")
    del named["Transformer/encoderblock_1/LayerNorm_0/bias"]
    with pytest.raises(InputError, match="missing Transformer/encoderblock_1/LayerNorm_0/bias"):
        read(tmp_path, named).load()
    with pytest.raises(InputError, match=r"no vision transformer of big_vision"):
        read(tmp_path, {"a": np.ones(3)})


def test_any_byte_of_a_file_may_be_wrong(tmp_path):
    """What zipfile raises depends on the field: versions, methods, encryption, offsets."""
    whole = tmp_path / "whole.npz"
    np.savez_compressed(whole, **{"params/head/bias": np.zeros(3, np.float32)})
    content = whole.read_bytes()
    path = tmp_path / "spoilt.npz"
    refusals = []
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :])
        try:
            opened = npz.open_file(path)
            for name in opened.shapes:
                opened.read(name)
        except InputError as error:
            refusals.append(error.message)
    assert refusals
    assert not any("\n" in message for message in refusals)
