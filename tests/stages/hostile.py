"""Stores that somebody edited on purpose: any value of any file, with all hashes made to match.

`forge` changes one thing in a copy of a store; `reseal` then writes sizes, hashes, digests, ids and
seals as they would be if it had been published so, of all that was made from it, too. What a
command makes of such a store must be an answer or a sentence.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from tests.fixtures.old_store import make
from vitctl.artifacts.manifest import FileEntry, Recipe, digest_of, seal_of

MADE: dict[str, dict[str, str]] = json.loads(
    (Path(make.__file__).parent / "expected.json").read_text()
)["artifacts"]
"""What the store of the fixture holds: path, kind, id and digest by name."""

T = TypeVar("T")
Pick = Callable[[Sequence[T]], T]
"""Chooses one of several: a random generator, or hypothesis."""

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 7, 2**31, 2**33, 2**63, -(2**70), 10**400),
    *(0.5, -0.0, 1e308, 1e-320, float("inf"), float("nan")),
    *("", "a", "0", "-1", "..", "/", "a/b", "inf", "\ud800", "\0", "a\nb", "\x1b[2J", "é" * 300),
    *([], {}, [[]], [1, "a"], [None], {"": 0}, {"step": []}),
)

TEXT = (
    "artifact.json",
    "run.json",
    "dataset.json",
    "position.json",
    "results.json",
    "goodput.json",
)
DESCRIPTIONS = ("zarr.json", "_METADATA", "dataset_info.json", "features.json")
_KNOWN: dict[tuple[int, int, int], str] = {}
BYTES = (".labels", ".keys", ".array_record", "metrics.jsonl", "/c/", "points.csv", "batch.npz")


def copied(store: Path, folder: Path) -> Path:
    """A copy that shares its files: what is changed in it is a file of its own (`_replace`)."""
    return Path(shutil.copytree(store, folder, copy_function=os.link))


def trimmed(store: Path) -> Path:
    """The store, cut in its place to the dataset and the last checkpoints of two runs, `adam@6`
    and `cooled@6`: a copy of it takes a fifth of the time."""
    keep = [store.parent / MADE[name]["path"] for name in ("dataset", "trunk", "cooled")]
    for folder in (*store.glob("*/*"), *store.glob("*/*/checkpoints/*")):
        if not any(path.is_relative_to(folder) for path in keep):
            shutil.rmtree(folder, ignore_errors=True)  # gone with its run
    return store


def forge(store: Path, pick: Pick[Any]) -> str:
    """Change one thing below `store`; says what."""
    files = sorted(str(p.relative_to(store)) for p in store.rglob("*") if p.is_file())
    kind = pick(("text", "text", "config", "description", "bytes"))
    if kind == "config":
        return _forge_config(store, files, pick)
    if kind == "bytes":
        name = pick([f for f in files if any(part in f for part in BYTES)])
        return f"{name}: {_forge_bytes(store / name, pick)}"
    among = TEXT if kind == "text" else DESCRIPTIONS
    family = pick(sorted({Path(f).name for f in files} & set(among)))
    name = pick([f for f in files if Path(f).name == family])
    document = json.loads((store / name).read_bytes())
    where, value = pick(list(places(document))), pick(VALUES)
    _write(store / name, changed(document, where, value))
    return f"{name}: {'.'.join(map(str, where))} = {value!r:.60}"


def _forge_config(store: Path, files: list[str], pick: Pick[Any]) -> str:
    """A setting, in a run and alike in all its checkpoints."""
    name = pick([f for f in files if f.endswith("run.json")])
    document = json.loads((store / name).read_bytes())
    where = ("config", *pick(list(places(document["config"]))))
    value = pick(VALUES)
    run = (store / name).parent
    for path in (run / "run.json", *run.glob("checkpoints/*/artifact.json")):
        with suppress(KeyError, TypeError, IndexError):
            _write(path, changed(json.loads(path.read_bytes()), where, value))
    return f"{name} and its checkpoints: {'.'.join(map(str, where))} = {value!r:.60}"


def _forge_bytes(path: Path, pick: Pick[Any]) -> str:
    content = path.read_bytes()
    how = pick(("flip", "cut", "more", "empty", "zeros", "ones"))
    at = pick(range(len(content))) if content else 0
    if how == "flip" and content:
        content = content[:at] + bytes([content[at] ^ (1 << pick(range(8)))]) + content[at + 1 :]
    elif how == "cut":
        content = content[:at]
    elif how == "more":
        content += b"\xff" * 8
    elif how == "empty":
        content = b""
    else:
        content = (b"\0" if how == "zeros" else b"\xff") * len(content)
    _replace(path, content)
    return f"{how} at {at}"


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all values below `value`, containers among them."""
    if at:
        yield at
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*at, key))


def changed(document: Any, where: Sequence[Any], value: Any) -> Any:
    document = copy.deepcopy(document)
    inner = document
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    return document


def reseal(store: Path) -> None:
    """Make every hash below `store` that of what it stands for, parents before children."""
    for _ in range(8):  # the longest chain of inputs is four
        renamed: dict[str, str] = {}
        before = {}
        for path in (*store.rglob("artifact.json"), *store.rglob("run.json")):
            with suppress(ValueError, RecursionError):
                document = json.loads(path.read_bytes())
                if isinstance(document, dict):
                    before[path] = document
        for path, document in before.items():
            fitting = _fitting(document, path.parent)
            for key in ("id", "digest"):
                if isinstance(document.get(key), str) and document[key] != fitting[key]:
                    renamed[document[key]] = fitting[key]
            if json.dumps(fitting) != json.dumps(document):
                _write(path, fitting)
        if not renamed:
            return
        for path in before:
            text = path.read_text()
            for old, new in renamed.items():
                if len(old) == 64:
                    text = text.replace(old, new)
            _replace(path, text.encode())


def _fitting(document: dict[str, Any], folder: Path) -> dict[str, Any]:
    document = copy.deepcopy(document)
    with suppress(Exception):
        for entry in document["files"]:
            size, sha256 = _hashed(folder / entry["path"])
            entry |= {"size": size, "sha256": sha256}
    with suppress(Exception):
        keys = ("stage", "version", "kind", "config", "parents")
        document["id"] = Recipe.model_validate({key: document[key] for key in keys}).id
    with suppress(Exception):
        document["digest"] = digest_of([FileEntry(**entry) for entry in document["files"]])
    with suppress(Exception):
        if document["seal"] is not None:
            document["seal"] = seal_of(document["kind"], document["summary"])
    return document


def _hashed(path: Path) -> tuple[int, str]:
    """Size and sha256; copies of a store share their files, so most are read once for all."""
    of = path.stat()
    key = (of.st_ino, of.st_size, of.st_mtime_ns)
    if key not in _KNOWN:
        _KNOWN[key] = hashlib.sha256(path.read_bytes()).hexdigest()
    return of.st_size, _KNOWN[key]


def _write(path: Path, document: Any) -> None:
    _replace(path, json.dumps(document).encode())


def _replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)
