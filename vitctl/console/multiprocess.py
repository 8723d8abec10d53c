"""Several processes at the command line: who connects, who speaks, how all end.

Process 0 answers and tells; the others are silent but for errors of their own.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn

from vitctl import processes, signals
from vitctl.artifacts.artifact import Artifact, load_if_readable
from vitctl.artifacts.store import Store
from vitctl.console.failure import as_expected, report, stopped
from vitctl.console.streams import drop_prints
from vitctl.errors import InputError, NotFoundError, VitctlError
from vitctl.places import place
from vitctl.processes import cluster, connection
from vitctl.processes.pulse import Followed


def connect(flags: dict[str, Any], *, stop_display: Callable[[], None]) -> None:
    """Connect with the others, if there are any."""
    membership = cluster.membership(
        cluster.Membership(flags["processes"], flags["process_id"], flags["coordinator"])
    )
    if membership is None:
        return
    drop_prints()

    def tell(error: VitctlError) -> None:
        stop_display()
        _tell(error)

    connection.connect(
        membership,
        report=tell,
        hang_s=flags["hang_timeout"],
        start_s=flags["start_timeout"] or connection.START_S,
    )


def inputs(
    look: Callable[[], list[Artifact]],
    *,
    named: Callable[[], Artifact | None] = lambda: None,
    instead: Callable[[], Artifact | None],
    store: Store,
) -> list[Artifact]:
    """What process 0 found (it alone reads stdin, and looks for the newest), as all see it.

    `named` is a folder that this process itself was given, maybe a copy on its own disk: it must be
    the same. `instead` is asked where neither the store nor process 0's path has it.

    Raises InputError for another one, or none.
    """
    if processes.count() == 1:
        return look()
    local: list[Artifact] = []

    def find() -> list[dict[str, Any]]:
        local.extend(look())
        return [_described(artifact, store=store) for artifact in local]

    processes.mark("wait")
    shared = processes.share("inputs", find, patient=True)
    processes.mark("start")
    if processes.first():
        return local
    return [_same_artifact(row, named=named(), instead=instead, store=store) for row in shared]


def _described(artifact: Artifact, *, store: Store) -> dict[str, Any]:
    path = artifact.path.absolute()
    return {
        "path": str(path),
        "inside": path.inside(store.root.absolute()),
        "kind": artifact.kind,
        "id": artifact.id,
        "digest": artifact.digest,
    }


def _same_artifact(
    shared: dict[str, Any],
    *,
    named: Artifact | None,
    instead: Callable[[], Artifact | None],
    store: Store,
) -> Artifact:
    """The artifact that process 0 described: the one named here, in this process's store, at the
    same path."""
    places = [store.root / shared["inside"]] if shared["inside"] else []
    candidates: list[Callable[[], Artifact | None]] = [
        *(partial(load_if_readable, path) for path in [*places, place(shared["path"])]),
        instead,
    ]
    if named is not None:
        candidates = [lambda: named]
    for candidate in candidates:
        with suppress(NotFoundError):
            artifact = candidate()
            if artifact and (artifact.id, artifact.digest) == (shared["id"], shared["digest"]):
                return artifact
    raise InputError(
        f"process {processes.index()} ({socket.gethostname()}) does not see the "
        f"{shared['kind']} that process 0 works on: {shared['path']} ({shared['digest'][:8]})",
        hint="all processes need the same inputs: share the store, or give each its own copy",
    )


def finish() -> None:
    """All are done: leave together."""
    if processes.count() > 1:
        connection.finish()


def failed(error: BaseException) -> int:
    """Tell of an error, tell the other processes, and give the exit code."""
    by_signal = stopped(error)
    if by_signal is not None:
        # Not by sys.exit: what was broken off in native code may still be under way in its threads,
        # and crash when Python goes.
        _leave_once(by_signal)
    if processes.count() == 1:
        code = report(error)
        if isinstance(error, VitctlError) and signals.under_way():
            connection.leave_now(error)
        return code
    expected = (
        error if isinstance(error, VitctlError) else connection.blame(error) or as_expected(error)
    )
    if expected is None:
        code = report(error, prefix=_prefix())
        expected = VitctlError(f"{type(error).__name__}, see the messages above")
        expected.exit_code = code
    else:
        _tell(expected)
    connection.leave_now(expected)
    raise AssertionError("leave_now ends the process")


def leave(stop_display: Callable[[], None] = lambda: None) -> None:
    """End this process, from any thread, because of a signal that its main thread doesn't hear."""
    error = stopped()
    assert error is not None
    with suppress(Exception):  # its own thread may be at it; this one must come to the end
        stop_display()
    _leave_once(error)


_leaving = threading.Lock()


def _leave_once(error: VitctlError) -> NoReturn:
    """Once: whichever thread comes second waits for the end of the process."""
    _leaving.acquire()
    with suppress(Exception):
        if processes.count() == 1:
            report(error)
        else:
            _tell(error)
    connection.leave_now(error)


def _tell(error: VitctlError) -> None:
    """Once: not what process 0 says, nor, but in process 0, what another one ended with."""
    if not processes.first() and (isinstance(error, Followed) or connection.fails_alike(error)):
        return
    report(error, prefix=_prefix())


def _prefix() -> str:
    return "" if processes.first() else f"process {processes.index()}: "
