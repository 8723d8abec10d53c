"""`artifact.json` and what identifies a result.

id      sha256 of (stage, version, config, parents): what was asked for
digest  sha256 of the sorted (file, size, sha256): what came out
seal    sha256 of what neither covers and later stages decide by: kind and summary

All three are computed again whenever a manifest is read: one that was edited is refused. Manifests
of format 1 (until 2026-11) have no seal; they are read, and `verify` remarks it.
"""

from __future__ import annotations

from typing import Any, Self

from pydantic import field_validator

from vitctl.artifacts.canonical import canonical_json, fingerprint, printable
from vitctl.artifacts.documents import json_bytes, read_document
from vitctl.errors import InputError
from vitctl.places import Place
from vitctl.settings.config import Config
from vitctl.text.quoting import quoted

FORMAT = 2
SEALED_SINCE = 2
"""The first format whose manifests have a seal."""
MANIFEST = "artifact.json"


class Parent(Config):
    r"""An input of a result. `path` only helps to find it again; it is not part of any id, and
    bytes of it that are not UTF-8 are written `\xNN`, as JSON cannot hold them."""

    role: str
    kind: str
    id: str
    digest: str
    path: str | None = None

    @field_validator("path", mode="before")
    @classmethod
    def _path_is_text(cls, path: object) -> object:
        return printable(path) if isinstance(path, str) else path

    @property
    def last_place(self) -> str:
        """As an error names one that is gone: its id, and where it was if that is recorded."""
        place = "" if self.path is None else f", last at {self.path}"
        return f"id {self.id[:8]}{place}"


class Recipe(Config):
    """What was asked for: the whole identity of a result."""

    stage: str
    version: int
    kind: str
    config: dict[str, Any]
    parents: tuple[Parent, ...] = ()

    @classmethod
    def recorded_in(cls, document: Config) -> Self:
        """Of a document that has these fields among others."""
        return cls(**{name: getattr(document, name) for name in cls.model_fields})

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
    seal: str | None = None

    @property
    def recipe(self) -> Recipe:
        """What was asked for, as the manifest records it."""
        return Recipe.recorded_in(self)

    @property
    def contradiction(self) -> str | None:
        """What the manifest records that its own hashes deny, as a clause; None if nothing."""
        if self.recipe.id != self.id:
            return "its id is not that of the settings and inputs it records"
        if digest_of(self.files) != self.digest:
            return "its digest is not that of the files it lists"
        if self.format >= SEALED_SINCE and self.seal != seal_of(self.kind, self.summary):
            return "its seal is not that of the kind and summary it records"
        return None

    def parent(self, role: str) -> Parent | None:
        return next((p for p in self.parents if p.role == role), None)

    def file(self, path: str) -> FileEntry | None:
        """The file of this path, or None."""
        return next((entry for entry in self.files if entry.path == path), None)


def digest_of(files: tuple[FileEntry, ...] | list[FileEntry]) -> str:
    """sha256 over the sorted (path, size, sha256) of the files that are not volatile."""
    rows = sorted([f.path, f.size, f.sha256] for f in files if not f.volatile)
    return fingerprint(rows)


def seal_of(kind: str, summary: dict[str, Any]) -> str:
    """sha256 of the kind and the summary, which decide what later stages do with an artifact."""
    return fingerprint([kind, summary])


def read_manifest(directory: Place) -> Manifest:
    """Read and check `directory/artifact.json`.

    Raises:
      NotFoundError: there is none, so the directory is not a finished artifact.
      InputError: it is damaged, was edited, or is of a newer format than this version knows.
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
            raise InputError(f"{path} names a file outside its folder: {quoted(entry.path)}")
    if (contradiction := manifest.contradiction) is not None:
        raise InputError(
            f"{path} was changed after it was published: {contradiction}",
            hint="bring back the file as it was, or make the artifact again with --force",
        )
    return manifest


def _stays_inside(relative: str) -> bool:
    """Whether a manifest may name this file: a plain relative POSIX path, on every system."""
    parts = relative.split("/")
    return not any(part in ("", ".", "..") for part in parts) and not set(relative) & {"\\", "\0"}


def manifest_bytes(manifest: Manifest) -> bytes:
    """Readable JSON: indented, keys in the order of the model."""
    dumped = manifest.model_dump(mode="json")
    canonical_json(dumped)  # refuses what would not round-trip
    return json_bytes(dumped)
