"""What a worker on another machine needs: the same files under the same paths, the same versions.

Checked on every node before work begins, and by each worker that comes later: a folder that only
this machine has would otherwise be noticed after hours, or never.
"""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata

from vitctl.places import Place
from vitctl.places.based_path import TEMPORARY
from vitctl.version import __version__

_PACKAGES = ("array-record", "jax", "numpy", "pillow", "tensorflow", "tensorflow-cpu")
"""What bytes are made by."""


@dataclass(frozen=True)
class Proof:
    """Something of which a worker has to see the same: `digest` is called there."""

    what: str
    digest: Callable[[], str]
    expected: str

    @staticmethod
    def of(what: str, digest: Callable[[], str]) -> Proof:
        return Proof(what, digest, digest())


@dataclass(frozen=True)
class Sight:
    """What is seen from a node. `problem` continues "node X ..."."""

    problem: str | None
    packages: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class VisibilityCheck:
    """Called on a node. `folder` is where results go; None: they come back as messages."""

    working_folder: str
    folder: Place | None
    token: str
    proofs: tuple[Proof, ...]
    version: str = __version__

    def __call__(self) -> Sight:
        packages = installed_packages()
        if self.version != __version__:
            return Sight(f"has vitctl {__version__}, not {self.version}", packages)
        enter(self.working_folder)
        return Sight(self._folder_problem() or self._proof_problem(), packages)

    def _folder_problem(self) -> str | None:
        if self.folder is None:
            return None
        try:
            if (self.folder / self.token).read_bytes() != self.token.encode():
                return f"sees other files in {self.folder}"
        except OSError as error:
            reason = error.strerror or str(error)
            return f"does not see the folder of the results, {self.folder} ({reason})"
        own = self.folder / f"{TEMPORARY}node-{uuid.uuid4().hex}"
        try:
            own.write_atomic(b"")
            own.remove(missing_ok=True)
        except OSError as error:
            return f"cannot write to {self.folder} ({error.strerror or error})"
        return None

    def _proof_problem(self) -> str | None:
        for proof in self.proofs:
            try:
                digest = proof.digest()
            except Exception as error:
                reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
                return f"does not see {proof.what} ({reason})"
            if digest != proof.expected:
                return f"sees other bytes of {proof.what} than this machine"
        return None


def enter(folder: str) -> None:
    """Relative paths lead where they do on the first machine, where that folder is there."""
    if os.path.isdir(folder):
        os.chdir(folder)


@contextmanager
def visible(folder: Place | None, proofs: Sequence[Proof]) -> Iterator[VisibilityCheck]:
    """The check, and the token that it looks for while this lasts."""
    token = f"{TEMPORARY}token-{uuid.uuid4().hex}"
    check = VisibilityCheck(os.getcwd(), folder, token, tuple(proofs))
    if folder is None:
        yield check
        return
    (folder / token).write_atomic(token.encode())
    try:
        yield check
    finally:
        (folder / token).remove(missing_ok=True)


def installed_packages() -> dict[str, str]:
    """Name -> version of what bytes are made by, and of Python."""
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def differing_packages(here: dict[str, str], elsewhere: dict[str, str]) -> list[str]:
    """A phrase for each package of another version there."""
    names = sorted(here.keys() | elsewhere.keys())
    return [
        f"{name} {elsewhere.get(name, 'none')} for {here.get(name, 'none')}"
        for name in names
        if here.get(name) != elsewhere.get(name)
    ]
