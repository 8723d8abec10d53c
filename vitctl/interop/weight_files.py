"""Which files hold a model's weights, and what lies beside them.

A file is one of safetensors or `.npz`. A folder is one as people download it, or a snapshot in a
local Hugging Face cache: weights in one file or in several with an index, `config.json`,
`preprocessor_config.json`, `open_clip_config.json`. Nothing is ever fetched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from vitctl.artifacts.files import sha256_file
from vitctl.errors import InputError, NotFoundError
from vitctl.interop import hub, npz, safetensors
from vitctl.places import place
from vitctl.places.local import is_there
from vitctl.text import strict_json

NAMES = (
    "model.safetensors",
    "open_clip_model.safetensors",
    "model.safetensors.index.json",
    "open_clip_model.safetensors.index.json",
)
"""What a folder's weights are called, the first that is there."""
CONFIGS = ("config.json", "preprocessor_config.json", "open_clip_config.json")

_PICKLES = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt", ".tar")
# Zip archives of torch; old torch files and plain pickles begin with 0x80, as a safetensors file
# may, whose header follows after eight bytes.
_ZIP, _PICKLE, _HEADER_AT = b"PK", b"\x80", 8
_CONVERT = (
    "convert it where it comes from: python -c 'import torch, safetensors.torch as s; "
    's.save_file({k: v.contiguous() for k, v in torch.load("FILE", weights_only=True).items()}, '
    '"model.safetensors")\''
)


@dataclass(frozen=True)
class Weights:
    """Named tensors of one or several files, read one by one.

    Attributes:
      name: of the file, without its folders.
      sha256: of the file; of several, of their names and hashes.
      size: bytes, all files together.
      shapes: of every tensor.
      read: gives one tensor.
      metadata: what the files say of themselves.
      configs: name -> content of the JSON files beside them.
    """

    name: str
    sha256: str
    size: int
    shapes: Mapping[str, tuple[int, ...]]
    read: Callable[[str], NDArray[Any]]
    metadata: Mapping[str, str] = field(default_factory=dict)
    configs: Mapping[str, Any] = field(default_factory=dict)


def open_weights(source: Path) -> Weights:
    """Open a file or folder of weights.

    Raises:
      NotFoundError: it is not there, or the folder has none.
      InputError: it is damaged, or a pickle, which can run any code.
    """
    if not is_there(source):
        raise NotFoundError(f"{source} does not exist", hint=hub.hint(str(source)))
    file = _in_folder(source) if source.is_dir() else source
    beside = {name: file.parent / name for name in CONFIGS}
    configs = {name: _json(path) for name, path in beside.items() if path.is_file()}
    if file.name.endswith(".index.json"):
        return _sharded(file, configs)
    if file.suffix == ".npz":
        arrays = npz.open_file(file)
        return _of_one(file, arrays.shapes, arrays.read, {}, {})
    _refuse_pickle(file)
    opened = safetensors.open_file(file)
    shapes = {name: stored.shape for name, stored in opened.tensors.items()}
    return _of_one(file, shapes, opened.read, opened.metadata, configs)


def _of_one(
    file: Path,
    shapes: Mapping[str, tuple[int, ...]],
    read: Callable[[str], NDArray[Any]],
    metadata: Mapping[str, str],
    configs: Mapping[str, Any],
) -> Weights:
    size, sha256 = _sha256_file(file)
    return Weights(file.name, sha256, size, shapes, read, metadata, configs)


def _sha256_file(file: Path) -> tuple[int, str]:
    """(size in bytes, sha256); a cache of downloads is full of links, which are followed."""
    return sha256_file(place(file).resolve())


def _in_folder(folder: Path) -> Path:
    for name in NAMES:
        if (folder / name).is_file():
            return folder / name
    loose = sorted(p for p in folder.iterdir() if p.suffix in (".safetensors", ".npz"))
    if len(loose) == 1:
        return loose[0]
    if loose:
        raise InputError(
            f"{folder} has {len(loose)} files of weights: {', '.join(p.name for p in loose[:3])}",
            hint="name one of them",
        )
    pickled = sorted(p for p in folder.iterdir() if p.suffix in _PICKLES)
    if pickled:
        _refuse_pickle(pickled[0])
    raise NotFoundError(
        f"{folder} has no weights", hint=f"looked for: {', '.join(NAMES[:2])}, one *.npz"
    )


def _refuse_pickle(file: Path) -> None:
    with open(file, "rb") as opened:
        head = opened.read(_HEADER_AT + 1)
    has_header = head[_HEADER_AT:] == b"{"
    if file.suffix in _PICKLES or (head.startswith((_ZIP, _PICKLE)) and not has_header):
        raise InputError(
            f"{file} is a pickle or an archive of one, which can run any code when it is read",
            hint=_CONVERT.replace("FILE", file.name),
        )


def _sharded(index: Path, configs: Mapping[str, Any]) -> Weights:
    listed = _json(index)
    where = listed.get("weight_map") if isinstance(listed, dict) else None
    if not isinstance(where, dict) or not all(isinstance(v, str) for v in where.values()):
        raise InputError(f"{index} is damaged: it has no weight_map of file names")
    names = sorted(set(where.values()))
    if any("/" in name or "\\" in name for name in names):
        raise InputError(f"{index} is damaged: it names files outside of its folder")
    files = {}
    for name in names:
        if not (index.parent / name).is_file():
            raise NotFoundError(f"{index.parent / name} does not exist, and {index.name} names it")
        files[name] = safetensors.open_file(index.parent / name)
    shapes = {
        tensor: stored.shape for file in files.values() for tensor, stored in file.tensors.items()
    }
    if shapes.keys() != where.keys():
        stray = sorted(shapes.keys() ^ where.keys())
        raise InputError(f"{index} is damaged: it and its files disagree on the tensor {stray[0]}")
    hashes = [(name, *_sha256_file(index.parent / name)) for name in names]
    digest = hashlib.sha256("".join(f"{name}\0{sha}\0" for name, _, sha in hashes).encode())
    return Weights(
        index.name,
        digest.hexdigest(),
        sum(size for _, size, _ in hashes),
        shapes,
        lambda tensor: files[where[tensor]].read(tensor),
        {},
        configs,
    )


def _json(path: Path) -> Any:
    try:
        return strict_json.loads(path.read_bytes())
    except strict_json.StrictJSONError as error:
        raise InputError(f"{path} is damaged: it {error}") from None
