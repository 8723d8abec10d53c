"""Where process 0 works and what it publishes, made known to all processes.

A file server may show a new name late, so a process that was told of one waits for it.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

from vitctl import processes
from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.files import LOCK, TEMPORARY
from vitctl.artifacts.manifest import Recipe
from vitctl.errors import InputError, NotFoundError, VitctlError
from vitctl.locks import leases
from vitctl.places import Place, nofollow, place

# NFS clients keep what they know of a folder for up to a minute, but a name they never asked for
# they look up at once; this is for slow servers.
_LOOKS, _LOOK_S = 75, 0.2


def same_inputs(recipe: Recipe) -> None:
    """Raise InputError, in all processes, unless they work on the same inputs."""
    parents = {p.role: {"id": p.id, "digest": p.digest} for p in recipe.parents}
    processes.agree("inputs", parents, error=InputError, hint="name them: --data, --from")


def show_place(path: Place, *, root: Place) -> None:
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


class ShownPlace(NamedTuple):
    """Where process 0 works, as this process sees it, and the lease that it holds there."""

    path: Place
    lease: leases.HeldLease | None

    def following(self) -> AbstractContextManager[None]:
        """What to write below the path in."""
        if self.lease is None or self.path.remote is None:
            return nullcontext()
        return leases.follow(self.path.remote / LOCK, self.lease)


def find_place(*, root: Place, out: Place | Path | None) -> ShownPlace:
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
        is_visible = _await_sight(lambda: os.path.lexists(token))
    _all_see(
        None
        if is_visible
        else f"process {processes.index()} ({socket.gethostname()}) does not see the work of "
        f"process 0: {path.absolute()} is not {message['path']} there"
    )
    lease = message.get("lease")
    return ShownPlace(path, leases.HeldLease(*lease) if lease else None)


def published(path: Place, make: Callable[[], Artifact]) -> Artifact:
    """What `make` publishes in process 0, in all processes, once all have written their part."""
    processes.collect(f"written {path.name}", None)
    made: list[Artifact] = []

    def publish() -> str:
        made.append(make())
        return made[0].digest

    digest = processes.share(f"published {path.name}", publish)
    return made[0] if made else load(path, digest=digest)


def load(path: Place, *, digest: str) -> Artifact:
    """The artifact that another process published at `path`, as soon as it is seen here."""
    artifacts: list[Artifact] = []

    def look() -> bool:
        with suppress(VitctlError):
            artifact = Artifact.load(path)
            if artifact.digest == digest:
                artifacts.append(artifact)
        return bool(artifacts)

    if not _await_sight(look):
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


def _await_sight(look: Callable[[], bool]) -> bool:
    for _ in range(_LOOKS):
        if look():
            return True
        time.sleep(_LOOK_S)
    return False
