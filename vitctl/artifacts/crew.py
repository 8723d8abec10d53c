"""Several processes that work on one artifact: the one module here that knows of them.

Stores, runs and drafts know a single process. `of(store)` is what makes them for this one: the
store itself where it is alone; of several, one whose drafts and runs process 0 locks, clears,
decides and publishes, while all write their part.

The store is a directory all of them see, or in a bucket. A file server may show a new name late, so
a process that was told of one waits for it.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

from vitctl import processes
from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.drafts import Draft
from vitctl.artifacts.files import HELD, LOCK, TEMPORARY
from vitctl.artifacts.manifest import FileEntry, Recipe
from vitctl.artifacts.run_draft import RunDraft, check_arrived
from vitctl.artifacts.runs import Run
from vitctl.artifacts.store import Store, closed
from vitctl.errors import InputError, NotFoundError, VitctlError
from vitctl.events import Emit, silent
from vitctl.locks import leases
from vitctl.places import ObjectPath, Place, nofollow, place

# NFS clients keep what they know of a folder for up to a minute, but a name they never asked for
# they look up at once; this is for slow servers.
_LOOKS, _LOOK_S = 75, 0.2
_GROWTH_S = 2.0


def of(store: Store) -> Store | CrewStore:
    """What opens drafts and runs of a store for this process."""
    return store if processes.count() == 1 else CrewStore(store)


def require_whole(artifact: Artifact) -> None:
    """`artifact.require_whole` in all processes; one reads."""
    artifact.refuse(processes.share(f"{artifact.id} is whole", artifact.check_contents))


class CrewStore:
    """A store that several processes work in together."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @contextmanager
    def open(
        self,
        recipe: Recipe,
        *,
        name: str,
        out: Place | Path | None = None,
        force: bool = False,
        emit: Emit = silent,
        resumable: bool = True,
    ) -> Iterator[Draft]:
        """`Store.open`: process 0 locks the draft, and all get it."""
        _same_inputs(recipe)
        processes.mark("wait")
        if processes.first():
            with self._store.open(
                recipe,
                name=name,
                out=out,
                force=force,
                emit=emit,
                resumable=resumable,
                kind=CrewDraft,
            ) as draft:
                _show(draft.path, root=self._store.root)
                processes.mark("start")
                done = draft.finished
                processes.share("finished", lambda: done.digest if done else None)
                yield draft
            return
        path = _find(root=self._store.root, out=out).path
        processes.mark("start")
        digest: str | None = processes.share("finished", lambda: None)
        yield CrewDraft(path, recipe, finished=_load(path, digest=digest) if digest else None)

    @contextmanager
    def open_run(
        self,
        recipe: Recipe,
        *,
        name: str,
        out: Place | Path | None = None,
        force: bool = False,
        emit: Emit = silent,
    ) -> Iterator[RunDraft]:
        """`Store.open_run`: process 0 locks the run, and all get it."""
        _same_inputs(recipe)
        processes.mark("wait")
        if processes.first():
            with self._store.open_run(
                recipe, name=name, out=out, force=force, emit=emit, kind=CrewRun
            ) as draft:
                _show(draft.path, root=self._store.root)
                processes.mark("start")
                yield draft
            return
        shown = _find(root=self._store.root, out=out)
        processes.mark("start")
        with shown.following():
            yield from closed(CrewRun(shown.path, Run.load(shown.path).info, recipe))

    def earlier_result(
        self, recipe: Recipe, step: int, *, out: Place | Path | None = None
    ) -> Artifact | None:
        """None: what is found without the lock, all would have to find."""

    def made(self, recipe: Recipe, *, out: Place | Path | None = None) -> Artifact | None:
        """None, as `earlier_result`."""


class CrewDraft(Draft):
    """The draft of several processes: each records and writes its part, process 0 publishes."""

    def write(self, name: str, content: bytes) -> None:
        if processes.first():
            super().write(name, content)

    def publish(self, *, summary: dict[str, Any], volatile: Iterable[str] = ()) -> Artifact:
        publish = super().publish
        self.finished = _published(self.path, lambda: publish(summary=summary, volatile=volatile))
        return self.finished


class CrewRun(RunDraft):
    """The run of several processes: process 0 decides, writes and removes, all the same way on."""

    several = True

    def _write_info(self) -> None:
        if processes.first():
            super()._write_info()

    def steps(self) -> list[int]:
        return processes.share("steps", super().steps)

    def usable(self, *, at_most: int) -> tuple[Artifact | None, dict[int, str]]:
        usable = super().usable

        def look() -> tuple[int | None, str, list[tuple[int, str]]]:
            artifact, problems = usable(at_most=at_most)
            step, digest = (artifact.step, artifact.digest) if artifact else (None, "")
            return step, digest, list(problems.items())

        step, digest, problems = processes.share("usable", look)
        artifact = None if step is None else _load(self.place(step), digest=digest)
        return artifact, dict(problems)

    def _empty(self, step: int) -> None:
        empty = super()._empty

        def of_all() -> None:
            empty(step)
            self._hold_on(True)

        processes.share(f"emptied {step}", of_all)

    def publish(
        self,
        step: int,
        *,
        summary: dict[str, Any],
        started: str,
        volatile: Iterable[str] = (),
        passed: Sequence[Sequence[int]] = (),
    ) -> Artifact:
        bucket = self.place(step).remote
        known = {} if bucket is None else self._send(step, bucket)
        return _published(
            self.place(step),
            lambda: self._publish(
                step,
                summary=summary,
                started=started,
                volatile=volatile,
                passed=passed,
                known=known,
            ),
        )

    def _send(self, step: int, bucket: ObjectPath) -> dict[str, FileEntry]:
        """In process 0, what was hashed on the way, of all processes."""

        def own(written: list[str]) -> list[str]:
            # Each has the names of arrays and its own part of their content.
            first = processes.share(f"sends {step}", lambda: written)
            return written if processes.first() else sorted({*written} - {*first})

        sent = self._upload(step, bucket, names=own)
        rows = {name: (of.size, of.sha256) for name, of in sent.items()}
        parts = processes.collect(f"sent {step}", rows)
        if parts is None:
            return {}
        self._hold_on(False)
        arrived = {
            name: FileEntry(path=name, size=size, sha256=sha256)
            for part in parts
            for name, (size, sha256) in part.items()
        }
        check_arrived(bucket, arrived)
        return arrived

    def _hold_on(self, on: bool) -> None:
        """Whether others may still write under the lease of process 0, should it end."""
        if self.path.remote is not None:
            leases.hold_on(self.path.remote / LOCK, on=on)

    def abandon(self, step: int) -> None:
        if processes.first():
            super().abandon(step)

    def drop(self, step: int) -> None:
        if processes.first():
            super().drop(step)

    def begin_from(self, checkpoint: Artifact) -> None:
        if processes.first():
            super().begin_from(checkpoint)

    def finish_from(self, checkpoint: Artifact) -> None:
        if processes.first():
            super().finish_from(checkpoint)


# What they tell each other


def _same_inputs(recipe: Recipe) -> None:
    """Raise InputError, in all processes, unless they work on the same inputs."""
    parents = {p.role: {"id": p.id, "digest": p.digest} for p in recipe.parents}
    processes.agree("inputs", parents, error=InputError, hint="name them: --data, --from")


def _show(path: Place, *, root: Place) -> None:
    """Process 0 tells where it works, and waits until all others see it.

    Raises NotFoundError, in all processes, naming one that does not.
    """
    if path.remote is not None:  # the same for everyone who can reach it
        held = leases.held_lease(path.remote / LOCK)
        message = {"path": str(path), "lease": held, "inside": path.inside(root)}
        processes.share("place", lambda: message)
        _all_see(None)
        return
    assert path.local is not None
    path = path.local
    token = f"{TEMPORARY}seen-{uuid.uuid4().hex}"
    try:
        with nofollow.opened(path / token, "xb"):
            pass
    except OSError:  # a store that only may be read: what is finished in it is found
        token = "."
    message = {"path": str(path.absolute()), "token": token, "inside": path.inside(root)}
    processes.share("place", lambda: message)
    try:
        _all_see(None)
    finally:
        if token != ".":
            nofollow.remove(path / token, missing_ok=True)


class _Shown(NamedTuple):
    """Where process 0 works, as this process sees it, and the lease that it holds there."""

    path: Place
    lease: leases.HeldLease | None

    def following(self) -> AbstractContextManager[None]:
        """What to write below the path in."""
        if self.lease is None or self.path.remote is None:
            return nullcontext()
        return leases.follow(self.path.remote / LOCK, self.lease)


def _find(*, root: Place, out: Place | Path | None) -> _Shown:
    """Where process 0 works."""
    message: dict[str, Any] = processes.share("place", dict, patient=True)
    if out:
        path = place(out)
    else:
        path = root / message["inside"] if message["inside"] else place(message["path"])
    if path.local is None:
        is_visible = str(path) == message["path"]
    else:
        token = path.local / (message["token"] or "")
        is_visible = _await(lambda: os.path.lexists(token))
    _all_see(
        None
        if is_visible
        else f"process {processes.index()} ({socket.gethostname()}) does not see the work of "
        f"process 0: {path.absolute()} is not {message['path']} there"
    )
    lease = message.get("lease")
    return _Shown(path, leases.HeldLease(*lease) if lease else None)


def _published(path: Place, make: Callable[[], Artifact]) -> Artifact:
    """What `make` publishes in process 0, in all processes, once all have written their part."""
    processes.collect(f"written {path.name}", None)
    made: list[Artifact] = []

    def publish() -> str:
        made.append(make())
        return made[0].digest

    digest = processes.share(f"published {path.name}", publish)
    return made[0] if made else _load(path, digest=digest)


def _load(path: Place, *, digest: str) -> Artifact:
    """The artifact that another process published at `path`, as soon as it is seen here."""
    artifacts: list[Artifact] = []

    def look() -> bool:
        with suppress(VitctlError):
            artifact = Artifact.load(path)
            if artifact.digest == digest:
                artifacts.append(artifact)
        return bool(artifacts)

    if not _await(look):
        raise NotFoundError(
            f"process {processes.index()} ({socket.gethostname()}) does not see {path}, which "
            "process 0 published",
            hint="the store must be a directory that all processes see",
        )
    return artifacts[0]


def _all_see(complaint: str | None) -> None:
    complaints = [text for text in processes.gather("all see the store", complaint) if text]
    if complaints:
        raise NotFoundError(
            complaints[0], hint="--store names one directory that all processes see, as on NFS"
        )


def _await(look: Callable[[], bool]) -> bool:
    for _ in range(_LOOKS):
        if look():
            return True
        time.sleep(_LOOK_S)
    return False


# Copies that one of them makes


@contextmanager
def growth_told(folder: Path) -> Iterator[None]:
    """Mark, for the processes that wait, whenever there is more in the folder: from this process or
    from the one that it waits for."""
    if processes.count() == 1:
        yield
        return
    over = threading.Event()

    def look() -> None:
        before = _bytes_in(folder)
        while not over.wait(_GROWTH_S):
            if (now := _bytes_in(folder)) != before and not over.is_set():
                processes.mark("copy")
            before = now

    processes.mark("copy")
    thread = threading.Thread(target=look, name="growth", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        processes.mark("start")


def _bytes_in(folder: Path) -> int:
    size = 0
    for file in folder.rglob("*"):
        if HELD in file.name:  # who waits for a lock makes and removes such files
            continue
        with suppress(OSError):  # it just got its name
            size += file.stat().st_size
    return size
