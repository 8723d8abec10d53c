"""A directory on its way to being finished.

Drafts are named by their recipe's id, so after a crash the same command finds what it left and
goes on. `artifact.json` is written last.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable
from typing import Any

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.files import (
    DRAFT,
    HELD,
    LOCK,
    RUN,
    TEMPORARY,
    entries,
    publish_manifest,
)
from vitctl.artifacts.manifest import (
    FORMAT,
    MANIFEST,
    FileEntry,
    Manifest,
    Recipe,
    digest_of,
    manifest_bytes,
    seal_of,
)
from vitctl.artifacts.provenance import now, provenance
from vitctl.errors import OverwriteError
from vitctl.places import Place, guards, nofollow
from vitctl.places.based_path import becomes
from vitctl.text import strict_json
from vitctl.text.quoting import quoted

# What makes a directory look finished, or like a run.
_FINISHED = (MANIFEST, RUN)
# Of those who wait for the lock, and live.
_WAITING = f"{TEMPORARY}{HELD}"


class Draft:
    """Work in progress at `path`. `finished` is the artifact, if an earlier run completed it."""

    def __init__(self, path: Place, recipe: Recipe, *, finished: Artifact | None = None) -> None:
        self.path = path
        self.recipe = recipe
        self.finished = finished
        self.started = now()
        self._known: dict[str, FileEntry] = {}

    def record(self, relative: str, *, size: int, sha256: str) -> None:
        """A file that was hashed while it was written, so that `publish` need not read it."""
        self._known[relative] = FileEntry(path=relative, size=size, sha256=sha256)

    def write(self, name: str, content: bytes) -> None:
        """Write a file. (Of several processes every one knows its content; see `crew`.)"""
        (self.path / name).write_atomic(content)

    def publish(self, *, summary: dict[str, Any], volatile: Iterable[str] = ()) -> Artifact:
        """Write `artifact.json`: from here on nothing in the directory changes."""
        self.finished = publish(
            self.path,
            recipe=self.recipe,
            summary=summary,
            started=self.started,
            known=self._known,
            volatile=volatile,
        )
        (self.path / DRAFT).remove(missing_ok=True)
        return self.finished


def publish(
    path: Place,
    *,
    recipe: Recipe,
    summary: dict[str, Any],
    started: str,
    known: dict[str, FileEntry] | None = None,
    volatile: Iterable[str] = (),
) -> Artifact:
    """Hash the content of `path` and write its manifest last."""
    if path.local is not None:
        sweep(path)
    files = entries(path, known=known, volatile=volatile)
    manifest = Manifest(
        format=FORMAT,
        kind=recipe.kind,
        id=recipe.id,
        digest=digest_of(files),
        stage=recipe.stage,
        version=recipe.version,
        config=recipe.config,
        parents=recipe.parents,
        summary=summary,
        files=files,
        provenance=provenance(started=started),
        seal=seal_of(recipe.kind, summary),
    )
    publish_manifest(path / MANIFEST, manifest_bytes(manifest))
    return Artifact(path, manifest)


def claim(path: Place, *, recipe: Recipe) -> None:
    """Mark `path` as this recipe's draft. Raises OverwriteError if it holds something else."""
    if path.is_dir():
        for name in (*_FINISHED, DRAFT):
            (path / name).refuse_link()
        note = read_note(path)
        if note is not None and "id" not in note:
            clear(path)  # what an interrupted clear left
        owner = note.get("id") if note else None
        own = (LOCK, HELD) if note is None else (LOCK, HELD, DRAFT)
        strangers = [
            p.name for p in path.iterdir() if p.name not in own and not _is_bookkeeping(p.name)
        ]
        if owner is None and strangers:
            raise OverwriteError(
                f"{path} already holds {quoted(strangers[0])}, which is not this command's work",
                hint="choose another --out, or empty the folder",
            )
        if owner is not None and owner != recipe.id:
            if strangers:
                raise OverwriteError(
                    f"{path} holds unfinished work of another configuration ({owner[:8]})",
                    hint="choose another --out, or pass --force to start over",
                )
            owner = None
        for name in path.links():
            raise nofollow.LinkError(str(path / name))
        sweep(path)
        if owner == recipe.id:
            return
    path.make_folder()
    _write_note(
        path,
        id=recipe.id,
        stage=recipe.stage,
        kind=recipe.kind,
        started=now(),
        # What is read while this is made: nobody removes it meanwhile.
        parents=" ".join(parent.id for parent in recipe.parents),
    )


def is_blank(path: Place, *, besides: Iterable[str] = ()) -> bool:
    """Whether a draft has come to nothing yet: no file in it but those that mark and lock it and
    those `besides`, at most folders."""
    own = (LOCK, HELD, DRAFT, *besides)
    return all(name in own or _is_bookkeeping(name) for name in path.files_below())


def clear(path: Place, *, keep: Container[str] = ()) -> None:
    """Empty a directory that is ours, but for names to `keep`. It never looks finished on the way,
    and always ours."""
    stay = (LOCK, HELD, DRAFT, *_FINISHED)
    rest = [child for child in path.iterdir() if child.name not in stay and child.name not in keep]
    if rest:
        _write_note(path)
    guards.check(path)
    links = path.links()
    for name in _FINISHED:
        (path / name).remove(missing_ok=True)
    for child in rest:
        if child.is_dir() and child.name not in links:
            child.remove_tree()
        else:
            child.remove()
    (path / DRAFT).remove(missing_ok=True)


def sweep(path: Place) -> None:
    """Remove what writers that were killed left directly in a directory that is ours.

    Only under its lock: nobody else writes there then but those who wait for the lock.
    """
    for child in path.iterdir():
        name = child.name
        if name.startswith(TEMPORARY) and not name.startswith(_WAITING) and child.is_file():
            child.remove(missing_ok=True)


def read_note(path: Place) -> dict[str, str] | None:
    """What the draft at `path` says of itself: id, stage, kind, when it was started, ids of its
    parents (of older drafts none) with blanks between; nothing if it is being
    cleared; None where there is no draft (a file of that name may be anybody's)."""
    try:
        note = strict_json.loads((path / DRAFT).read_bytes())
    except (OSError, strict_json.StrictJSONError):
        return None
    if not isinstance(note, dict) or note.pop("vitctl", None) != DRAFT:
        return None
    return {key: str(value) for key, value in note.items()}


def _is_bookkeeping(name: str) -> bool:
    """Whether it is a small file of ours before it got its name: no stranger's, even where nothing
    says yet that the folder is ours."""
    return name.startswith(_WAITING) or becomes(name) in (DRAFT, *_FINISHED)


def _write_note(path: Place, **fields: str) -> None:
    content = {"vitctl": DRAFT, **fields}
    (path / DRAFT).write_atomic((json.dumps(content) + "\n").encode())
