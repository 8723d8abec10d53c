"""Parents of parents: which images and which trunk made this result."""

from __future__ import annotations

from dataclasses import dataclass

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.manifest import Parent
from vitctl.artifacts.store import Store
from vitctl.errors import NotFoundError, VitctlError


@dataclass(frozen=True)
class Ancestor:
    """One recorded input; `artifact` is None where it is gone, `problem` says what is wrong."""

    parent: Parent
    artifact: Artifact | None
    problem: str | None
    ancestors: tuple[Ancestor, ...]


def ancestors(artifact: Artifact, *, store: Store) -> tuple[Ancestor, ...]:
    """The tree of inputs of an artifact, nearest first."""
    return tuple(_ancestor(parent, store=store) for parent in artifact.manifest.parents)


def _ancestor(parent: Parent, *, store: Store) -> Ancestor:
    if parent.kind == "source":
        return Ancestor(parent, None, None, ())
    try:
        found = store.parent(parent)
    except VitctlError as error:
        return Ancestor(parent, None, error.message, ())
    if found is None:
        return Ancestor(parent, None, "not in this store any more", ())
    return Ancestor(parent, found, None, ancestors(found, store=store))


def inherited(artifact: Artifact, role: str, *, store: Store) -> Artifact:
    """The nearest input of `role` up the lineage (the dataset a run was trained on).

    Raises NotFoundError if there is none or it is gone, InputError if it changed.
    """
    queue = [artifact]
    while queue:
        current = queue.pop(0)
        parent = current.manifest.parent(role)
        if parent is not None:
            found = store.parent(parent)
            if found is None:
                raise NotFoundError(
                    f"the {parent.kind} that {artifact.path} was made from is gone "
                    f"(id {parent.id[:8]}, last seen at {parent.path})",
                    hint="name it, wherever it is now",
                )
            return found
        for other in current.manifest.parents:
            if other.kind == "source":
                continue
            above = store.parent(other)
            if above is not None:
                queue.append(above)
    raise NotFoundError(f"{artifact.path} records no {role}")
