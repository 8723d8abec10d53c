"""How `vitctl lineage` works: what is named -> the tree of its inputs."""

from __future__ import annotations

from stages.inspect.lineage.spec import Inputs, Lineage
from vitctl.artifacts import Artifact, Run, Store
from vitctl.artifacts.ancestry import Ancestor, ancestors_of
from vitctl.artifacts.references import id_of


def run(inputs: Inputs, *, store: Store) -> Lineage:
    """The tree; inputs that changed or are missing are marked in it."""
    entry = _checkpoint(inputs.named, inputs.step)
    return Lineage(entry, _ancestors(entry, store=store))


def _checkpoint(entry: Artifact | Run, step: int | None) -> Artifact | Run:
    """Of a run one checkpoint, the newest if no step was given; an empty run stays a run."""
    if not isinstance(entry, Run) or (step is None and not entry.steps()):
        return entry
    return entry.checkpoint(entry.named_step(entry.steps()) if step is None else step, check=False)


def _ancestors(entry: Artifact | Run, *, store: Store) -> tuple[Ancestor, ...]:
    parents = entry.info.parents if isinstance(entry, Run) else entry.manifest.parents
    return ancestors_of(parents, store=store, above=frozenset([id_of(entry)]))
