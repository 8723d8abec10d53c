"""`artifact.json` and what identifies a result.

id      sha256 of (stage, version, config, parents): what was asked for
digest  sha256 of the sorted (file, size, sha256): what came out
"""

from __future__ import annotations

import json
from typing import Any

from vitctl.artifacts.canonical import canonical_json, fingerprint
from vitctl.artifacts.documents import read_document
from vitctl.errors import InputError
from vitctl.places import Place
from vitctl.settings.config import Config

FORMAT = 1
MANIFEST = "artifact.json"


class Parent(Config):
    """An input of a result. `path` only helps to find it again; it is not part of any id."""

    role: str
    kind: str
    id: str
    digest: str
    path: str | None = None


class Recipe(Config):
    """What was asked for: the whole identity of a result."""

    stage: str
    version: int
    kind: str
    config: dict[str, Any]
    parents: tuple[Parent, ...] = ()

    @property
    def id(self) -> str:
        parents = [{"role": p.role, "id": p.id, "digest": p.digest} for p in self.parents]
        return fingerprint([self.stage, self.version, self.config, parents])


class FileEntry(Config):
    """One file of an artifact. `volatile` files (they hold times) are verified by size and hash
    like all others but leave the digest alone, so equal results have equal digests."""

    path: str
    size: int
    sha256: str
    volatile: bool = False


class Provenance(Config):
    """How a result came to be. Never part of an id or digest."""

    command: tuple[str, ...]
    versions: dict[str, str]
    git_commit: str | None
    host: str
    started: str
    finished: str


class Manifest(Config):
    """The content of `artifact.json`."""

    format: int
    kind: str
    id: str
    digest: str
    stage: str
    version: int
    config: dict[str, Any]
    parents: tuple[Parent, ...]
    summary: dict[str, Any]
    files: tuple[FileEntry, ...]
    provenance: Provenance

    def parent(self, role: str) -> Parent | None:
        return next((p for p in self.parents if p.role == role), None)


def digest_of(files: tuple[FileEntry, ...] | list[FileEntry]) -> str:
    """sha256 over the sorted (path, size, sha256) of the files that are not volatile."""
    rows = sorted([f.path, f.size, f.sha256] for f in files if not f.volatile)
    return fingerprint(rows)


def read_manifest(directory: Place) -> Manifest:
    """Read and check `directory/artifact.json`.

    Raises:
      NotFoundError: there is none, so the directory is not a finished artifact.
      InputError: it is damaged, or of a newer format than this version knows.
    """
    path = directory / MANIFEST
    manifest = read_document(
        path,
        Manifest,
        what="artifact",
        newest=FORMAT,
        missing=f"{directory} is not a finished artifact (no {MANIFEST})",
        repair="make the artifact again with --force",
    )
    for entry in manifest.files:
        if not _stays_inside(entry.path):
            raise InputError(f"{path} names a file outside its folder: {entry.path!r}")
    return manifest


def _stays_inside(relative: str) -> bool:
    """Whether a manifest may name this file: a plain relative POSIX path, on every system."""
    parts = relative.split("/")
    return not any(part in ("", ".", "..") for part in parts) and not set(relative) & {"\\", "\0"}


def manifest_bytes(manifest: Manifest) -> bytes:
    """Readable JSON: indented, keys in the order of the model."""
    dumped = manifest.model_dump(mode="json")
    canonical_json(dumped)  # refuses what would not round-trip
    return (json.dumps(dumped, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
