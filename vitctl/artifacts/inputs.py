"""What a left-out input means: the newest of its kind, or what a checkpoint was trained on.
Either is announced."""

from __future__ import annotations

from vitctl.artifacts.ancestry import inherited
from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.kinds import DATASET, example_of
from vitctl.artifacts.newest import newest as newest_in
from vitctl.artifacts.references import resolve
from vitctl.artifacts.store import Store
from vitctl.errors import InputError, UsageError
from vitctl.events import Emit, Note, silent
from vitctl.places.based_path import is_text


def named(
    reference: str,
    *,
    kind: str,
    or_kind: str | None = None,
    store: Store,
    trunk: bool = False,
    emit: Emit = silent,
) -> Artifact:
    """The finished artifact of `kind`, or of `or_kind`, that `reference` names; see
    `references.resolve`.

    Raises InputError also for a path that isn't text, which not every library can read.
    """
    artifact = resolve(reference, store=store, kind=kind, or_kind=or_kind, trunk=trunk, emit=emit)
    if not is_text(str(artifact.path.absolute())):
        raise InputError(
            f"{artifact.path} is not UTF-8, which not every library can read",
            hint="rename or move the artifact; it is identified by its id",
        )
    return artifact


def newest(
    kind: str, *, option: str, store: Store, emit: Emit, needs_labels: bool = True
) -> Artifact:
    """The newest finished artifact of `kind` in the store; of datasets one with labels, which is
    what training means, or where labels are not needed and none has any, the newest without.
    Raises UsageError if it has none, InputError if that one is damaged."""
    unlabelled: list[Artifact] = []

    def wanted(artifact: Artifact) -> bool:
        if kind == DATASET.name and not DATASET.summary(artifact).classes:
            unlabelled.append(artifact)
            return False
        return True

    artifact = newest_in(store, kind, wanted=wanted)
    if artifact is None and unlabelled and not needs_labels:
        artifact = newest_in(store, kind)
        unlabelled.clear()
    if artifact is None:
        without = f" with labels (there are {len(unlabelled)} without)" if unlabelled else ""
        raise UsageError(
            f"no {option} given, and there is no finished {kind}{without} in {store.root}",
            hint=f"make one: {example_of(kind)}",
        )
    newer = f"; {unlabelled[0].path.name} is newer and has no labels" if unlabelled else ""
    emit(Note(f"{option} {artifact.path} (the newest {kind} in {store.root}{newer})"))
    return artifact


def trained_on(checkpoint: Artifact, *, option: str, store: Store, emit: Emit) -> Artifact:
    """The dataset a checkpoint was trained on. Raises NotFoundError, InputError: it is gone, it
    changed."""
    artifact = inherited(checkpoint, "data", store=store)
    emit(Note(f"{option} {artifact.path} (what {checkpoint.path} was trained on)"))
    return artifact


def is_synthetic(checkpoint: Artifact) -> bool:
    """Whether a checkpoint was trained on synthetic images, so that no dataset belongs to it."""
    return checkpoint.setting("data.mock") is not None
