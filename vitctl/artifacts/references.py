"""How a person or a pipe names an artifact.

A path (artifact, run or one checkpoint), a name, an id prefix, or `latest` (`ckpt` says the same
where no file has that name); a run takes `@STEP`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from itertools import chain
from pathlib import Path

from vitctl.artifacts.artifact import Artifact, load_if_readable
from vitctl.artifacts.catalog import tail_of
from vitctl.artifacts.drafts import read_note
from vitctl.artifacts.files import RUN
from vitctl.artifacts.kinds import CHECKPOINT, DATASET, example_of, phrase_of
from vitctl.artifacts.manifest import MANIFEST
from vitctl.artifacts.newest import newest
from vitctl.artifacts.runs import CHECKPOINTS, Run
from vitctl.artifacts.store import Store, slug
from vitctl.errors import InputError, NotFoundError, UsageError
from vitctl.events import Emit, Note, silent
from vitctl.model import variants
from vitctl.places import Place, place
from vitctl.places.local import is_there
from vitctl.text.quantities import parse_count
from vitctl.text.quoting import quoted
from vitctl.text.suggestions import did_you_mean, nearest

Entry = Artifact | Run

LATEST = "latest"

_SHORTEST_ID = 4
_ALIKE = 10
"""Folders whose manifests are read to suggest one."""


def resolve(
    reference: str,
    *,
    store: Store,
    kind: str,
    or_kind: str | None = None,
    trunk: bool = False,
    emit: Emit = silent,
) -> Artifact:
    """The finished artifact of `kind` that `reference` names, or one of `or_kind`.

    Of several that fit, those of `kind` that have the step count; with `trunk` the runs of
    `pretrain`, if any, before others. Of what is left the newest is taken, and that is announced.

    Raises:
      NotFoundError: nothing of that name, or it is not finished.
      InputError: it is damaged, or of another kind.
    """
    if _means_latest(reference):
        artifact = newest(store, kind)
        if artifact is None:
            raise NotFoundError(
                f"there is no finished {kind} in {store.root}", hint=f"make one: {example_of(kind)}"
            )
        return artifact
    entry, step = find(reference, store=store, kind=kind, trunk=trunk, emit=emit)
    if isinstance(entry, Run):
        if kind != CHECKPOINT.name:
            raise InputError(
                f"{entry.path} is a run, where {phrase_of(kind)} is expected", hint=_hint_for(kind)
            )
        return entry.newest() if step is None else entry.checkpoint(step)
    if entry.kind not in (kind, or_kind):
        expected = "a run or checkpoint" if kind == CHECKPOINT.name else phrase_of(kind)
        raise InputError(
            f"{entry.path} is {phrase_of(entry.kind)}, where {expected} is expected",
            hint=_hint_for(kind),
        )
    return Artifact.load(entry.path)


def find(
    reference: str,
    *,
    store: Store,
    kind: str | None = None,
    trunk: bool = False,
    emit: Emit = silent,
) -> tuple[Artifact | Run, int | None]:
    """What `reference` names, and of a run the step if it gave one; its files are not checked.

    A name that fits several entries is refused (UsageError) unless `kind` is given; then see
    `resolve`. InputError for a step of what is no run.
    """
    entry, step = _looked_up(reference, store=store, kind=kind, trunk=trunk, emit=emit)
    if step is not None and isinstance(entry, Artifact):
        raise InputError(f"{entry.path} is {phrase_of(entry.kind)}; only a run takes @{step}")
    return entry, step


def _looked_up(
    reference: str, *, store: Store, kind: str | None, trunk: bool, emit: Emit
) -> tuple[Artifact | Run, int | None]:
    if not reference:
        raise UsageError("an empty reference names no artifact", hint="see them: vitctl ls")
    base, step = _split_step(reference)
    for path, at in ((reference, None), (base, step)):
        if (entry := _at(place(path))) is not None:
            return entry, at
    if _means_latest(base):
        return _newest(store, kind=kind), step
    fitting = _named(base, store=store)
    if len(fitting) > 1 and kind is not None:
        fitting = [_meant(fitting, reference, kind=kind, step=step, trunk=trunk, emit=emit)]
    if len(fitting) > 1 and step is not None:
        fitting = _narrowed(fitting, lambda entry: _has_step(entry, step))
    if len(fitting) == 1:
        if step is not None and (others := _that_reached(step, fitting[0], base, store=store)):
            raise NotFoundError(
                f"{fitting[0].path} has no checkpoint at step {step}", hint=did_you_mean(others)
            )
        return fitting[0], step
    if len(fitting) > 1:
        listed = ", ".join(str(entry.path) for entry in fitting[:4])
        raise UsageError(
            f"{quoted(reference)} fits several artifacts: {listed}", hint="give the path or the id"
        )
    raise _nothing(base, store=store, kind=kind, step=step)


def _meant(
    fitting: list[Entry], reference: str, *, kind: str, step: int | None, trunk: bool, emit: Emit
) -> Entry:
    """One of several entries that a name fits."""
    entries = _narrowed(fitting, lambda entry: kind_of(entry) == kind)
    if step is not None:
        entries = _narrowed(entries, lambda entry: _has_step(entry, step))
    entries = _narrowed(entries, _usable)
    if trunk:
        entries = _narrowed(entries, lambda e: isinstance(e, Run) and e.info.stage == "pretrain")
    newest = max(entries, key=lambda entry: entry.order)
    if len(entries) > 1:
        others = ", ".join(str(entry.path) for entry in entries if entry is not newest)
        emit(
            Note(f"{reference} fits {len(entries)} artifacts: taking the newest, {newest.path} "
                 f"(not {others}; a path or an id names those)")
        )  # fmt: skip
    return newest


def _narrowed(entries: list[Entry], fits: Callable[[Entry], bool]) -> list[Entry]:
    """Those that fit; all if none does."""
    return [entry for entry in entries if fits(entry)] or entries


def _has_step(entry: Entry, step: int | None) -> bool:
    return isinstance(entry, Run) and step in entry.steps()


def _usable(entry: Entry) -> bool:
    """Whether it can be an input: a run that ended before its first checkpoint cannot."""
    return not isinstance(entry, Run) or bool(entry.steps())


def kind_of(entry: Artifact | Run) -> str:
    """What an entry can be an input as: a run stands for its checkpoints."""
    return CHECKPOINT.name if isinstance(entry, Run) else entry.kind


def id_of(entry: Artifact | Run) -> str:
    return entry.info.id if isinstance(entry, Run) else entry.id


def plain_name(entry: Artifact | Run) -> str:
    """The name of the folder without the part of the id in it."""
    return _without_id(entry.path.name)


def _without_id(folder: str) -> str:
    tail = tail_of(folder)
    return folder if tail is None else folder.removesuffix(f"-{tail}")


def _means_latest(reference: str) -> bool:
    return reference == LATEST or (reference == "ckpt" and not os.path.lexists("ckpt"))


def _newest(store: Store, *, kind: str | None) -> Artifact | Run:
    entries = [e for e in store.entries() if kind is None or kind_of(e) == kind]
    if not entries:
        what = "nothing" if kind is None else f"no {kind}"
        raise NotFoundError(
            f"there is {what} in {store.root} yet", hint=f"begin: {DATASET.example}"
        )
    if kind is None:
        return entries[-1]
    return next((entry for entry in reversed(entries) if _usable(entry)), entries[-1])


def _at(path: Place) -> Artifact | Run | None:
    """The entry at a path, None if there is none."""
    try:
        marked = (path / RUN).is_file() or (path / MANIFEST).is_file()
    except (OSError, ValueError):  # too long, or not even a path
        return None
    return Store.load(path, check=False) if marked else None


def _nothing(base: str, *, store: Store, kind: str | None, step: int | None) -> NotFoundError:
    """Why no entry fits: what is at that path instead, or the nearest names."""
    path = place(base)
    try:
        if path.local is not None:
            is_there(path.local)
        exists, is_folder = path.exists(), path.is_dir()
    except PermissionError:
        raise
    except (OSError, ValueError):
        exists = is_folder = False
    if is_folder and read_note(path) is not None:
        return NotFoundError(
            f"{path} is not finished", hint="run the command that makes it again: it continues"
        )
    if is_folder and path.name.isdigit() and path.absolute().parent.name == CHECKPOINTS:
        return NotFoundError(f"{path} is a checkpoint that was never finished")
    if is_folder:
        return NotFoundError(
            f"{path} is a folder, but no artifact",
            hint=f"to make a dataset of the images in it: vitctl shard {path}",
        )
    if exists:
        return NotFoundError(f"{path} is a file, not an artifact")
    return NotFoundError(
        f"{quoted(base)} is neither a path nor an artifact in {store.root}",
        hint=did_you_mean(_near(base, store=store, kind=kind, step=step))
        or "see what there is: vitctl ls",
    )


def _near(base: str, *, store: Store, kind: str | None, step: int | None) -> list[str]:
    """At most two references to entries whose names, with their id or without it, are like `base`:
    of the wanted kind if there are such; runs that have the step come first, with it."""
    called: dict[str, list[str]] = {}
    for directory in store.directories():
        for name in dict.fromkeys((directory.name, _without_id(directory.name))):
            called.setdefault(name, []).append(directory.name)
    alike = nearest(base, called, count=_ALIKE, cutoff=0.5)
    folders = list(dict.fromkeys(chain.from_iterable(called[name] for name in alike)))[:_ALIKE]
    named = store.entries(check=False, named=set(folders).__contains__)
    entries = {entry.path.name: entry for entry in named}
    usable = [folder for folder in folders if folder in entries]
    usable = [f for f in usable if kind is None or kind_of(entries[f]) == kind] or usable

    def has_step(folder: str) -> bool:
        return _has_step(entries[folder], step)

    nearest_first = sorted(usable, key=lambda folder: not has_step(folder))
    return [f"{folder}@{step}" if has_step(folder) else folder for folder in nearest_first[:2]]


def _that_reached(step: int, entry: Entry, base: str, *, store: Store) -> list[str]:
    """At most two references to runs called after `base`, as `S-16-24000` of a cooldown is, that
    have the step which `entry`, a run, lacks: results say "S/16 at step 24000" of both."""
    if not isinstance(entry, Run) or _has_step(entry, step):
        return []
    beginning = f"{_without_id(entry.path.name)}-"
    named = store.entries(
        check=False, named=lambda folder: _without_id(folder).startswith(beginning)
    )
    having = [other for other in named if _has_step(other, step) and other.path != entry.path]
    return [f"{other.path.name}@{step}" for other in having[-2:][::-1]]


def _split_step(reference: str) -> tuple[str, int | None]:
    match = re.fullmatch(r"(.+)@([0-9.]+[kKmM]?)", reference, re.DOTALL)
    if not match:
        return reference, None
    return match[1], parse_count(match[2], name="step")


def _named(base: str, *, store: Store) -> list[Entry]:
    """Entries whose folder, name or id fits. A full folder name beats a name, a name an id.

    Names of folders decide what is read: only an id that no folder shows needs all manifests.
    """
    tests: list[Callable[[str], bool]] = [
        lambda folder: folder == base,
        lambda folder: _without_id(folder) == base,
    ]
    if (model := variants.spelled(base)) is not None:
        # S16, S/16, ViT-S/16: a run of that model is called S-16.
        tests.append(lambda folder: _without_id(folder) == slug(model, default=base))
    for fits in tests:
        if matches := list(store.entries(check=False, named=fits)):
            return matches
    return _of_id(base, store=store)


def _of_id(prefix: str, *, store: Store) -> list[Entry]:
    """Entries whose id begins so. What was made with `--out` in the store, and checkpoints, show no
    id in the names of their folders."""
    if not re.fullmatch(rf"[0-9a-f]{{{_SHORTEST_ID},64}}", prefix):
        return []

    def may_be(folder: str) -> bool:
        tail = tail_of(folder)
        return tail is None or prefix.startswith(tail) or tail.startswith(prefix)

    for named in (may_be, None):
        entries = list(store.entries(check=False, named=named))
        if matches := [entry for entry in entries if id_of(entry).startswith(prefix)]:
            return matches
    runs = [entry for entry in entries if isinstance(entry, Run)]
    checkpoints = [load_if_readable(run.place(step)) for run in runs for step in run.steps()]
    return [entry for entry in checkpoints if entry is not None and entry.id.startswith(prefix)]


def _hint_for(kind: str) -> str:
    return f"see what there is: vitctl ls --kind {kind}"


def table_file(reference: str | None) -> Path | None:
    """The file that a reference names, None where it names none, or is left out or on stdin.
    NotFoundError where it can be nothing else."""
    if reference in (None, "-"):
        return None
    path = Path(str(reference))
    if path.exists() and not path.is_dir():
        return path
    if path.suffix and not path.exists():
        raise NotFoundError(f"there is no table {reference}")
    return None
