"""Which distribution of vitctl is installed, and the command that adds an extra of it.

`pip install 'vitctl[heic]'` where `vitctl-light` is installed would put a second copy of the same
files, and TensorFlow, beside it.
"""

from __future__ import annotations

from importlib import metadata

WHOLE, LIGHT = "vitctl", "vitctl-light"


def installed() -> list[str]:
    """The distributions of vitctl that are installed, one if all is well; none where the packages
    are only on the path."""
    return [name for name in (WHOLE, LIGHT) if _is_installed(name)]


def install(extra: str) -> str:
    """The command that installs the packages of an extra."""
    return f"pip install '{LIGHT if installed() == [LIGHT] else WHOLE}[{extra}]'"


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
