"""A cache of compiled programs, for later commands.

A trunk, its continuation and its cooldowns run one program; compiling it takes longer than a small
run. jax reads these settings when it is imported, so they go into the environment before that, and
what the user has set there wins.
"""

from __future__ import annotations

import os

from vitctl.places import nofollow
from vitctl.places.based_path import is_text
from vitctl.places.home import cache_home
from vitctl.places.local import based

_FOLDER = "JAX_COMPILATION_CACHE_DIR"


def keep_compiled_programs() -> None:
    """Point jax's compilation cache to `$XDG_CACHE_HOME/vitctl/compiled`, if it can be written. jax
    fails with a folder whose name is not UTF-8, so there is no cache then, whoever has named it."""
    if not is_text(os.environ.get(_FOLDER, "")):
        del os.environ[_FOLDER]
    if (base := cache_home()) is None:
        return
    folder = base / "vitctl" / "compiled"
    if not is_text(str(folder)):
        return
    try:
        nofollow.make_folder(based(folder))
    except OSError:
        return
    if os.access(folder, os.W_OK):
        os.environ.setdefault(_FOLDER, str(folder))
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "0")
