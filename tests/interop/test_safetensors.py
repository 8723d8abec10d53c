"""safetensors headers against the file: an honest file is read, a lying one is one sentence."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from vitctl.errors import InputError
from vitctl.interop import safetensors


def raw(path: Path, header: Any, body: bytes, *, length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + body)
    return path


def tensor(kind: str, shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": [start, end]}


def test_bytes_are_read_as_the_format_says(tmp_path):
    """Written by hand, from the specification."""
    body = struct.pack("<2f", 1.5, -2.0) + struct.pack("<H", 0x3FC0) + struct.pack("<e", 0.25)
    header = {
        "__metadata__": {"format": "pt"},
        "half": tensor("F16", [], 10, 12),
        "a.weight": tensor("F32", [1, 2], 0, 8),
        "brain": tensor("BF16", [1], 8, 10),
        "none": tensor("F32", [0, 3], 12, 12),
    }
    file = safetensors.open_file(raw(tmp_path / "x.safetensors", header, body))
    assert file.metadata == {"format": "pt"}
    np.testing.assert_array_equal(file.read("a.weight"), [[1.5, -2.0]])
    assert file.read("brain").astype(np.float32).tolist() == [1.5]
    assert float(file.read("half")) == 0.25
    assert file.read("none").shape == (0, 3)


def test_what_is_written_is_read_and_equal_tensors_give_equal_bytes(tmp_path):
    rng = np.random.default_rng(0)
    tensors = {
        "b": rng.normal(size=(3, 2)).astype(np.float32),
        "a": rng.normal(size=5).astype(ml_dtypes.bfloat16),
        "turned": rng.normal(size=(4, 3)).astype(np.float16).T,
    }
    safetensors.write(tmp_path / "1.safetensors", tensors, metadata={"y": "1", "x": "2"})
    again = dict(reversed(tensors.items()))
    safetensors.write(tmp_path / "2.safetensors", again, metadata={"x": "2", "y": "1"})
    assert (tmp_path / "1.safetensors").read_bytes() == (tmp_path / "2.safetensors").read_bytes()
    file = safetensors.open_file(tmp_path / "1.safetensors")
    for name, array in tensors.items():
        np.testing.assert_array_equal(file.read(name), array)


FLOAT = tensor("F32", [2], 0, 8)
LIES = {
    "shape": ({"a": tensor("F32", [3], 0, 8)}, r"'a' is F32\[3\] and has 8 bytes"),
    "beyond": ({"a": tensor("F32", [4], 0, 16)}, "end at byte .* the file has"),
    "gap": ({"a": tensor("F32", [1], 0, 4), "b": tensor("F32", [0], 8, 8)}, "'b' begins at byte"),
    "overlap": ({"a": FLOAT, "b": tensor("F32", [1], 4, 8)}, "'b' begins at byte"),
    "negative": ({"a": tensor("F32", [-2], 0, 8)}, "malformed"),
    "backwards": ({"a": tensor("F32", [2], 8, 0)}, "has -8 bytes"),
    "huge": ({"a": tensor("F32", [2**40, 2**40], 0, 8)}, "has 8 bytes"),
    "type": ({"a": tensor("C64", [1], 0, 8)}, "type 'C64', which is not read"),
    "true": ({"a": tensor("F32", [True], 0, 4)}, "malformed"),
    "extra": ({"a": {**FLOAT, "evil": 1}}, "malformed"),
    "text": ({"a": "F32"}, "not described by"),
    "list": ([FLOAT], "no table"),
    "metadata": ({"__metadata__": [], "a": FLOAT}, "__metadata__ is no table"),
    "json": (b"{nope", "not JSON"),
    "deep": (b"[" * 10_000, "nests"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_header_that_lies_is_one_sentence(tmp_path, name):
    header, said = LIES[name]
    path = raw(tmp_path / "x.safetensors", header, bytes(8))
    with pytest.raises(InputError, match=said):
        safetensors.open_file(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "0 bytes"), (b"short", "5 bytes"), (struct.pack("<Q", 2**63) + b"{}", "bytes long")],
)
def test_a_length_that_lies_reads_nothing(tmp_path, content, said):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(InputError, match=said):
        safetensors.open_file(tmp_path / "x")


def test_a_file_that_became_shorter_says_in_which_tensor(tmp_path):
    path = raw(tmp_path / "x", {"a": FLOAT}, bytes(8))
    file = safetensors.open_file(path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError, match="ended within the tensor a"):
        file.read("a")
