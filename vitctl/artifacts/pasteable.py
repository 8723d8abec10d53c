"""Command lines that a person can paste, as hints name them: they use the store at hand."""

from __future__ import annotations

import os
import shlex

from vitctl.artifacts.store import Store

USUAL_STORE = "artifacts"


def usual_store() -> str:
    """The store of a command without `--store`."""
    return os.environ.get("VITCTL_STORE") or USUAL_STORE


def store_flags(store: Store) -> tuple[str, ...]:
    """Words that a later command needs to use the same store: none where it will anyway."""
    root = str(store.root)
    return () if root == usual_store() else ("--store", root)


def command(*arguments: object, store: Store) -> str:
    """`vitctl WORDS`, quoted, in this store."""
    return shlex.join(["vitctl", *map(str, arguments), *store_flags(store)])
