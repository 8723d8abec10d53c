"""How a person or a pipe names an artifact.

A path (artifact, run or one checkpoint), a name, an id prefix, or `latest` (`ckpt` says the same
where no file has that name); a run takes `@STEP`.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.files import DRAFT
from vitctl.artifacts.manifest import MANIFEST
from vitctl.artifacts.runs import RUN, Run
from vitctl.artifacts.store import Store
from vitctl.durations import parse_count
from vitctl.errors import InputError, NotFoundError, UsageError

MAKE = {
    "dataset": "vitctl shard SRC",
    "checkpoint": "vitctl pretrain --model S16 --data DATASET",
    "model": "vitctl pretrain --model S16 --data DATASET",
}


def resolve(reference: str, *, store: Store, kind: str) -> Artifact:
    """The finished artifact of `kind` that `reference` names.

    Raises:
      NotFoundError: nothing of that name, or it is not finished.
      InputError: it is damaged, or of another kind.
      UsageError: the name fits several.
    """
    if reference == "latest" or (reference == "ckpt" and not Path("ckpt").exists()):
        newest = store.newest(kind)
        if newest is None:
            raise NotFoundError(
                f"there is no finished {kind} in {store.root}", hint=f"make one: {MAKE[kind]}"
            )
        return newest
    found, step = find(reference, store=store)
    if isinstance(found, Run):
        if kind != "checkpoint":
            raise InputError(
                f"{found.path} is a run, where a {kind} is expected", hint=_hint_for(kind)
            )
        return found.newest() if step is None else found.checkpoint(step)
    if step is not None:
        raise InputError(f"{found.path} is one {found.kind}; only a run takes @{step}")
    if found.kind != kind:
        expected = "run or checkpoint" if kind == "checkpoint" else kind
        raise InputError(
            f"{found.path} is a {found.kind}, where a {expected} is expected",
            hint=_hint_for(kind),
        )
    return found


def find(reference: str, *, store: Store) -> tuple[Artifact | Run, int | None]:
    """What `reference` names, of whatever kind, and the step if it gave one."""
    if not reference:
        raise UsageError("an empty reference names no artifact", hint="see them: vitctl ls")
    path = Path(reference)
    if path.exists():
        return _at(path), None
    base, step = _split_step(reference)
    if step is not None and Path(base).exists():
        return _at(Path(base)), step
    by_name = _named(base, store=store)
    if len(by_name) == 1:
        return by_name[0], step
    if len(by_name) > 1:
        listed = ", ".join(str(entry.path) for entry in by_name[:4])
        raise UsageError(f"{reference!r} fits several artifacts: {listed}", hint="give the path")
    names = [entry.path.name for entry in store.entries()]
    near = difflib.get_close_matches(base, names, n=2, cutoff=0.5)
    raise NotFoundError(
        f"{reference!r} is neither a path nor an artifact in {store.root}",
        hint=f"did you mean {' or '.join(near)}?" if near else "see what there is: vitctl ls",
    )


def _at(path: Path) -> Artifact | Run:
    if (path / RUN).exists() or (path / MANIFEST).exists():
        return Store.load(path)
    if (path / DRAFT).exists():
        raise NotFoundError(
            f"{path} is not finished", hint="run the command that makes it again: it continues"
        )
    if path.name.isdigit() and path.parent.name == "checkpoints":
        raise NotFoundError(f"{path} is a checkpoint that was never finished")
    if path.is_dir():
        raise NotFoundError(
            f"{path} is a folder, but no artifact",
            hint=f"to make a dataset of the images in it: vitctl shard {path}",
        )
    raise NotFoundError(f"{path} is a file, not an artifact")


def _split_step(reference: str) -> tuple[str, int | None]:
    match = re.fullmatch(r"(.+)@([0-9.]+[kKmM]?)", reference, re.DOTALL)
    if not match:
        return reference, None
    return match[1], parse_count(match[2], name="step")


def _named(base: str, *, store: Store) -> list[Artifact | Run]:
    """Entries whose folder, name or id fits. A full folder name beats a name, a name an id."""
    entries = list(store.entries())
    for fits in (
        lambda e: e.path.name == base,
        lambda e: re.sub(r"-[0-9a-f]{8}$", "", e.path.name) == base,
        lambda e: len(base) >= 4 and _id(e).startswith(base),
    ):
        found = [entry for entry in entries if fits(entry)]
        if found:
            return found
    if len(base) >= 4 and re.fullmatch(r"[0-9a-f]+", base):
        runs = [entry for entry in entries if isinstance(entry, Run)]
        return [
            artifact
            for run in runs
            for step in run.steps()
            if (artifact := Artifact.load(run.place(step))).id.startswith(base)
        ]
    return []


def _id(entry: Artifact | Run) -> str:
    return entry.info.id if isinstance(entry, Run) else entry.id


def _hint_for(kind: str) -> str:
    return f"see what there is: vitctl ls --kind {kind}"
