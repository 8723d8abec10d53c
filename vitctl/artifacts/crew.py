"""One draft, several processes: process 0 locks, clears and publishes; all write their part.

The store is a directory all of them see, or in a bucket. A file server may show a new name late, so
a process that was told of one waits for it.
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


def show(path: Place, *, root: Place) -> None:
    """Process 0 tells where it works, and waits until all others see it.

    Raises NotFoundError, in all processes, naming one that does not.
    """
    if path.remote is not None:  # the same for everyone who can reach it
        held = leases.told(path.remote / LOCK)
        told = {"path": str(path), "lease": held, "inside": path.inside(root)}
        processes.share("place", lambda: told)
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
    told = {"path": str(path.absolute()), "token": token, "inside": path.inside(root)}
    processes.share("place", lambda: told)
    try:
        _all_see(None)
    finally:
        if token != ".":
            nofollow.remove(path / token, missing_ok=True)


class Shown(NamedTuple):
    """Where process 0 works, as this process sees it, and the lease that it holds there."""

    path: Place
    lease: leases.Told | None

    def following(self) -> AbstractContextManager[None]:
        """What to write below the path in."""
        if self.lease is None or self.path.remote is None:
            return nullcontext()
        return leases.follow(self.path.remote / LOCK, self.lease)


def find(*, root: Place, out: Place | Path | None) -> Shown:
    """Where process 0 works."""
    told: dict[str, Any] = processes.share("place", dict, patient=True)
    path = place(out) if out else (root / told["inside"] if told["inside"] else place(told["path"]))
    if path.local is None:
        seen = str(path) == told["path"]
    else:
        token = path.local / (told["token"] or "")
        seen = _await(lambda: os.path.lexists(token))
    _all_see(
        None
        if seen
        else f"process {processes.index()} ({socket.gethostname()}) does not see the work of "
        f"process 0: {path.absolute()} is not {told['path']} there"
    )
    lease = told.get("lease")
    return Shown(path, leases.Told(*lease) if lease else None)


def published(path: Place, make: Callable[[], Artifact]) -> Artifact:
    """What `make` publishes in process 0, in all processes, once all have written their part."""
    if processes.count() == 1:
        return make()
    processes.collect(f"written {path.name}", None)
    made: list[Artifact] = []

    def publish() -> str:
        made.append(make())
        return made[0].digest

    digest = processes.share(f"published {path.name}", publish)
    return made[0] if made else load(path, digest=digest)


def load(path: Place, *, digest: str) -> Artifact:
    """The artifact that another process published at `path`, as soon as it is seen here."""
    found: list[Artifact] = []

    def look() -> bool:
        with suppress(VitctlError):
            artifact = Artifact.load(path)
            if artifact.digest == digest:
                found.append(artifact)
        return bool(found)

    if not _await(look):
        raise NotFoundError(
            f"process {processes.index()} ({socket.gethostname()}) does not see {path}, which "
            "process 0 published",
            hint="the store must be a directory that all processes see",
        )
    return found[0]


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
