"""What to say of weights that are named by an address or by a repository of Hugging Face."""

from __future__ import annotations

import os
import re
import shlex
from contextlib import suppress
from pathlib import Path

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*:/+(?P<rest>.*)")
_HOSTS = ("huggingface.co/", "hf.co/")
_REPOSITORY = re.compile(r"(?P<name>[\w.-]+/[\w.-]+?)(?:/(?:tree|resolve|blob)/.*)?/?")


def hint(source: str) -> str | None:
    """How weights get here that `source`, which is no file, may name; None if it is only a path.

    >>> hint("https://example.org/vit.npz")
    'nothing is downloaded: get the file first, and give its path'
    """
    name = re.sub(r"^hf[-_]hub:", "", source)
    host = None
    if address := _ADDRESS.fullmatch(name):
        host = next((host for host in _HOSTS if address["rest"].startswith(host)), None)
        if host is None:
            return "nothing is downloaded: get the file first, and give its path"
        name = address["rest"].removeprefix(host)
    repository = _REPOSITORY.fullmatch(name)
    if repository is None or name.startswith((".", "/")):
        return None
    name = repository["name"]
    snapshot = _cached(name)
    if snapshot is not None:
        return f"the cache of Hugging Face has it: vitctl import {shlex.quote(str(snapshot))}"
    condition = "" if host else "a repository of Hugging Face is downloaded first: "
    return f"{condition}hf download {name}, and give the folder that it prints"


def _cached(repository: str) -> Path | None:
    """The newest snapshot of a repository in the local cache, where huggingface_hub keeps it."""
    home = os.environ.get("HF_HOME") or Path("~/.cache/huggingface").expanduser()
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home, "hub"))
    folder = cache / f"models--{repository.replace('/', '--')}" / "snapshots"
    with suppress(OSError):
        return max(folder.iterdir(), key=lambda path: path.stat().st_mtime, default=None)
    return None
