"""`python -m tests.kills.moments`: a process that works on a draft or a run is killed before each
thing it does to files, one after the other, and the same work is done again. No array library is
needed for that, so a moment takes some hundredths of a second.

A line for each that did not end as if nothing had been; then how many moments there were.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests import forking
from vitctl.artifacts import Artifact, Recipe, Store
from vitctl.artifacts.files import DRAFT, LOCK
from vitctl.artifacts.manifest import MANIFEST
from vitctl.artifacts.runs import Run
from vitctl.errors import VitctlError

_DRAFT = Recipe(stage="shard", version=1, kind="dataset", config={"a": 1})
_RUN = Recipe(stage="pretrain", version=1, kind="run", config={"a": 1})
Work = Callable[..., None]
_MODULES = ("tests.kills.changes", "tests.kills.moments")


def draft(store: Store, *, force: bool = False) -> None:
    with store.open(_DRAFT, name="thing", force=force) as opened:
        if opened.finished is None:
            opened.write("data.bin", b"content")
            opened.publish(summary={})


def run(store: Store, *, force: bool = False) -> None:
    """Two checkpoints, of which the first is dropped."""
    with store.open_run(_RUN, name="thing", force=force) as opened:
        for step in (10, 20) if opened.result(20) is None else ():
            place = opened.empty_place(step)
            (place / "params").mkdir()
            (place / "params" / "weights.bin").write_bytes(b"weights %d" % step)
            opened.publish(step, summary={"step": step}, started="2026-01-01")
        opened.mark_result(20)
        if 10 in opened.steps():
            opened.drop(10)


_WORKS = {work.__name__: work for work in (draft, run)}
_CODE = """
import sys
from tests.kills import changes, moments
store, moment, *words = sys.argv[1:]
changes.watch(store, dies_at=int(moment))
moments.do(store, *words)
"""


def do(store: str, name: str, force: str = "") -> None:
    """The work of a name, in a process that may be killed."""
    _WORKS[name](Store(store), force=bool(force))


def dies(name: str, store: Store, *, force: bool, at: int) -> bool:
    """Whether a process that does the work was killed, when it was about to do so many things to
    files of the store."""
    command = (store.root, at, name, *(["force"] if force else []))
    done = forking.run(_CODE, *command, preload=_MODULES, text=True, start_new_session=True)
    problem = f"by itself, not killed at {at}: exit code {done.returncode}: {done.stderr}"
    assert done.returncode in (0, -signal.SIGKILL), problem
    return done.returncode == -signal.SIGKILL


def left(store: Store) -> list[str]:
    """Every file below the store, and the folders that are empty. Who finds a finished artifact
    takes no lock and clears nothing away: a lock file and a note beside it may stay."""
    every = [p for p in store.root.rglob("*") if p.is_file() or not any(p.iterdir())]
    beside = {p.with_name(name) for p in every if p.name == MANIFEST for name in (LOCK, DRAFT)}
    return sorted(str(p.relative_to(store.root)) for p in every if p not in beside)


def same(store: Store, *, whole: Store) -> str | None:
    """What is not as in the store of the work that was not killed."""
    [path] = store.directories()
    loaded = Store.load(path)
    artifact = loaded.checkpoint(20) if isinstance(loaded, Run) else loaded
    assert isinstance(artifact, Artifact)
    if problems := artifact.check_contents():
        return problems[0]
    more = set(left(store)) ^ set(left(whole))
    return f"{sorted(more)} are there or are missing" if more else None


def visit(work: Work, *, again: bool, base: Path) -> int:
    """Each moment once; how many there are. `again`: the work is there already, and forced."""
    name = f"{work.__name__}{' again' if again else ''}"
    whole = Store(base / name / "whole")
    work(whole)
    moment = 0
    while True:
        moment += 1
        store = Store(base / name / str(moment))
        if again:
            work(store)
        if not dies(work.__name__, store, force=again, at=moment):
            return moment - 1
        try:
            work(store, force=again)
            wrong = same(store, whole=whole)
        except VitctlError as error:
            wrong = error.message
        if wrong is not None:
            print(f"{name}, killed before change {moment}: {wrong}")


def main() -> None:
    counts = []
    with tempfile.TemporaryDirectory(prefix="vitctl-moments-") as folder:
        base = Path(folder).resolve()
        for work in (draft, run):
            for again in (False, True):
                counts.append(visit(work, again=again, base=base))
    print("moments:", *counts)


if __name__ == "__main__":
    sys.exit(main())
