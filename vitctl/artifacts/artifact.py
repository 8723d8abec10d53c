"""A finished, immutable directory."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitctl.artifacts.files import sha256_file
from vitctl.artifacts.manifest import MANIFEST, FileEntry, Manifest, Parent, read_manifest
from vitctl.artifacts.order import Age
from vitctl.errors import InputError, NotFoundError, VitctlError
from vitctl.places import Place, nofollow, place
from vitctl.settings.trees import at


@dataclass(frozen=True)
class Artifact:
    """A directory with an `artifact.json`. Nothing in it changes any more."""

    path: Place
    manifest: Manifest

    @classmethod
    def load(cls, path: Place | Path | str, *, check: bool = True) -> Artifact:
        """Read the manifest and, with `check`, see that every file is there in its size (no
        content is read)."""
        # Links on the way to an artifact are its owner's; in it there are none.
        path = place(path).based()
        artifact = cls(path, read_manifest(path))
        problems = artifact.check_sizes() if check else []
        if problems:
            raise InputError(
                f"{artifact.path} is damaged: {problems[0]}"
                + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""),
                hint=f"see all: vitctl verify --deep {artifact.path}",
            )
        return artifact

    @property
    def id(self) -> str:
        return self.manifest.id

    @property
    def digest(self) -> str:
        return self.manifest.digest

    @property
    def kind(self) -> str:
        return self.manifest.kind

    @property
    def config(self) -> dict[str, Any]:
        return self.manifest.config

    def setting(self, key: str) -> Any:
        """The recorded setting under a dotted key; None where there is none."""
        return at(self.config, key)

    @property
    def summary(self) -> dict[str, Any]:
        return self.manifest.summary

    @property
    def order(self) -> Age:
        """Sorts artifacts by when they were finished."""
        changed_ns = (self.path / MANIFEST).stat().st_mtime_ns
        finished = self.manifest.provenance.finished
        return Age.of(self.path, finished=finished, changed_ns=changed_ns)

    @property
    def step(self) -> int | None:
        """The training step of a checkpoint; None for other kinds."""
        step = self.summary.get("step")
        return step if type(step) is int and step >= 0 else None

    def as_parent(self, role: str) -> Parent:
        """This artifact as an input of another; its place is recorded to find it again."""
        return Parent(
            role=role,
            kind=self.kind,
            id=self.id,
            digest=self.digest,
            path=str(self.path.resolve()),
        )

    def as_json(self) -> dict[str, Any]:
        """The object `--json` prints. Its schema is docs/guide/json.md."""
        return {
            "path": str(self.path),
            "id": self.id,
            "digest": self.digest,
            "kind": self.kind,
            "summary": self.summary,
        }

    def check_sizes(self) -> list[str]:
        """One sentence a file that is missing or has another size."""
        names = [entry.path for entry in self.manifest.files]
        problems = []
        for entry, size in zip(self.manifest.files, self.path.sizes(names), strict=True):
            if isinstance(size, nofollow.LinkError):
                problems.append(self._linked(size))
            elif isinstance(size, OSError):
                problems.append(f"{entry.path} cannot be read ({size.strerror})")
            elif size != entry.size:
                problems.append(f"{entry.path} has {size} bytes instead of {entry.size}")
        return problems

    def require_whole(self) -> None:
        """Read everything; InputError if any byte is not as it was published."""
        self.refuse(self.check_contents())

    def refuse(self, problems: Sequence[str]) -> None:
        """Raise InputError for the first of what `check_contents` has found, if anything."""
        if problems:
            raise InputError(
                f"{self.path} is damaged: {problems[0]}",
                hint=f"see all: vitctl verify --deep {self.path}",
            )

    def require_files(self, wanted: Callable[[str], bool]) -> None:
        """Read the files whose names are `wanted`; InputError if one is not as it was published."""
        for entry in self.manifest.files:
            if wanted(entry.path) and (problem := self.check_content(entry)) is not None:
                raise InputError(
                    f"{self.path} is damaged: {problem}",
                    hint=f"see all: vitctl verify --deep {self.path}",
                )

    def check_contents(self) -> list[str]:
        """One sentence a file whose bytes are not those that were published. Reads everything."""
        problems = self.path.each(self.check_content, self.manifest.files, reads=True)
        return [problem for problem in problems if problem is not None]

    def _linked(self, error: nofollow.LinkError) -> str:
        link = os.path.relpath(error.link, str(self.path))
        return f"{link} is a symbolic link, not what was published"

    def check_content(self, entry: FileEntry) -> str | None:
        """What is wrong with one file, by its bytes; None if it is as it was published."""
        try:
            size, sha256 = sha256_file(self.path / entry.path)
        except OSError as error:
            return f"{entry.path} cannot be read ({error.strerror})"
        except nofollow.LinkError as error:
            return self._linked(error)
        if size != entry.size:
            return f"{entry.path} has {size} bytes instead of {entry.size}"
        if sha256 != entry.sha256:
            return f"{entry.path} has other bytes than were published"
        return None


def load_if_finished(path: Place) -> Artifact | None:
    """The artifact at `path`, its files unchecked, or None where there is none; a damaged
    manifest still raises."""
    try:
        return Artifact.load(path, check=False)
    except NotFoundError:
        return None


def load_if_readable(path: Place) -> Artifact | None:
    """Like `load_if_finished`, None for a damaged manifest too."""
    try:
        return load_if_finished(path)
    except VitctlError:
        return None
