"""Parents of parents: which images and which trunk made this result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.manifest import Parent
from vitctl.artifacts.store import Store
from vitctl.errors import NotFoundError, VitctlError

# An outside input (a folder of images): recorded by its fingerprint, not kept by us.
SOURCE = "source"


@dataclass(frozen=True)
class Ancestor:
    """One recorded input; `artifact` is None where it is gone, `problem` says what is wrong."""

    parent: Parent
    artifact: Artifact | None
    problem: str | None
    ancestors: tuple[Ancestor, ...]


def ancestors(artifact: Artifact, *, store: Store) -> tuple[Ancestor, ...]:
    """The tree of inputs of an artifact, nearest first."""
    return ancestors_of(artifact.manifest.parents, store=store)


def ancestors_of(
    parents: Iterable[Parent], *, store: Store, above: frozenset[str] = frozenset()
) -> tuple[Ancestor, ...]:
    """The trees of some recorded inputs. `above` are the ids on the way here: honest artifacts
    cannot be their own ancestors, a forged manifest can."""
    return tuple(_ancestor(parent, store=store, above=above) for parent in parents)


def _ancestor(parent: Parent, *, store: Store, above: frozenset[str]) -> Ancestor:
    if parent.kind == SOURCE:
        return Ancestor(parent, None, None, ())
    if parent.id in above:
        return Ancestor(parent, None, "its own ancestor: a manifest was forged", ())
    try:
        artifact = store.parent(parent)
    except VitctlError as error:
        return Ancestor(parent, None, error.message, ())
    if artifact is None:
        return Ancestor(parent, None, "not in this store any more", ())
    below = ancestors_of(artifact.manifest.parents, store=store, above=above | {parent.id})
    return Ancestor(parent, artifact, None, below)


def inherited(artifact: Artifact, role: str, *, store: Store) -> Artifact:
    """The nearest input of `role` up the lineage (the dataset a run was trained on).

    Raises NotFoundError if there is none or it is gone, InputError if it changed.
    """
    queue, visited = [artifact], {artifact.id}
    while queue:
        current = queue.pop(0)
        parent = current.manifest.parent(role)
        if parent is not None:
            ancestor = store.parent(parent)
            if ancestor is None:
                raise NotFoundError(
                    f"the {parent.kind} that {artifact.path} was made from is gone "
                    f"(id {parent.id[:8]}, last seen at {parent.path})",
                    hint="name it, wherever it is now",
                )
            return ancestor
        for other in current.manifest.parents:
            if other.kind == SOURCE or other.id in visited:
                continue
            visited.add(other.id)
            above = store.parent(other)
            if above is not None:
                queue.append(above)
    raise NotFoundError(f"{artifact.path} records no {role}")
