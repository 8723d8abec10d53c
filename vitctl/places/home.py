"""The home folder: what `~/` means, and where caches lie.

A container may run as a user that has no entry in the list of users and no `HOME`: then there is no
home folder, and whoever asks must do without.
"""

from __future__ import annotations

import os
from pathlib import Path

_TILDE = "~/"


def home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:  # no HOME, and a user id that the system has no name for
        return None


def cache_home() -> Path | None:
    """`$XDG_CACHE_HOME`, else `~/.cache`; None without either."""
    if configured := os.environ.get("XDG_CACHE_HOME"):
        return Path(expanded(configured))
    folder = home()
    return None if folder is None else folder / ".cache"


def expanded(text: str) -> str:
    """A path with `~/` at its beginning as the home folder, and any other text as it is.

    Shells do this for a bare word only: not for `--store=~/runs`, nor in quotes, nor in the
    variables of a container or a batch job. Written as they are, such paths would make a folder
    that is called `~`. One that exists keeps its meaning.
    """
    if not text.startswith(_TILDE) or os.path.lexists(text) or (folder := home()) is None:
        return text
    return str(folder / text.removeprefix(_TILDE).lstrip("/"))


def expanded_word(word: str) -> str:
    """A word of a command line: a path, or an option with a path behind its equals sign."""
    name, equals, value = word.partition("=")
    if equals and name.startswith("--"):
        return f"{name}={expanded(value)}"
    return expanded(word)
