"""Where and with what a result was made."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path

from vitctl.artifacts.canonical import printable
from vitctl.artifacts.manifest import Provenance
from vitctl.version import __version__

# The full commit, whatever tags there are.
_DESCRIBE = ("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scipy", "array_record")


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def provenance(*, started: str) -> Provenance:
    return Provenance(
        command=tuple(printable(part) for part in sys.argv),
        versions=versions(),
        git_commit=_git_commit(),
        host=platform.node(),
        started=started,
        finished=now(),
    )


@cache
def versions() -> dict[str, str]:
    """Installed versions of the packages that can change numbers, read from their metadata."""
    packages = {"vitctl": __version__, "python": platform.python_version()}
    for name in (*_PACKAGES, "tensorflow-cpu", "tensorflow"):
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return packages


@cache
def _git_commit() -> str | None:
    """The commit of the checkout vitctl runs from, `-dirty` if its files differ from it; None for
    an installed wheel."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), *_DESCRIBE],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None
