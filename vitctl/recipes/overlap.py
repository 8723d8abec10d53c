"""Whether a model was trained on images that it is measured on, by results of `vitctl dedup`.

A model's training data are the datasets of its run and of those it came from. Each of them may be
the result of a search for the images of the dataset that it is measured on, or be made of such
results; or a search in the store says how many of its images match, which then were trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vitctl.artifacts.ancestry import Ancestor, ancestors
from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.kinds import CHECKPOINT, DATASET
from vitctl.artifacts.pasteable import command
from vitctl.artifacts.references import plain_name
from vitctl.artifacts.store import Store
from vitctl.errors import VitctlError
from vitctl.events import Caution, Emit, Note
from vitctl.recipes.searches import KnownOverlap, Searches, SplitOf, sources
from vitctl.summaries import Overlap

_SPLIT = "train"
_TRAINS_NOTHING = ("average",)
"""Stages whose checkpoints are made of others alone."""


@dataclass(frozen=True)
class TrainingSplit:
    """Images that a run was trained on: a split, without a share that it held out."""

    images: SplitOf
    held_out: float | None


def of_training(
    checkpoint: Artifact, dataset: Artifact | None, *, split: str, store: Store
) -> KnownOverlap | None:
    """What is known of the images that a model was trained on and those of a split; None where
    nothing is, or where both are of one dataset, which nobody has compared."""
    if dataset is None:
        return None
    subject, searches = SplitOf(dataset, split), Searches(store)
    known_trainings = [one.images for one in trainings(checkpoint, store=store) if one is not None]
    training = {images.key: images for images in known_trainings}
    known = [_finding(images, subject, searches) for images in training.values()]
    findings = [finding for finding in known if finding is not None]
    return min(findings, key=lambda finding: finding.rank, default=None)


def tell(
    finding: KnownOverlap | None, dataset: Artifact | None, *, store: Store, emit: Emit
) -> None:
    """Say it, where there is something to say."""
    event = remark(finding, dataset, store=store)
    if event is not None:
        emit(event)


def remark(
    finding: KnownOverlap | None, dataset: Artifact | None, *, store: Store
) -> Note | Caution | None:
    """One line on it."""
    if finding is None or dataset is None:
        return None
    data, name = finding.training.dataset, plain_name(dataset)
    training, images = plain_name(data), finding.images
    count = f"up to {images:,}" if images and finding.at_most else f"{images:,}"
    exact = "" if finding.distance is not None else " (same bytes or pixels only)"
    match finding.overlap.state:
        case "left-out":
            return Note(
                f"the training data ({training}) was searched for images of {name}: {count} "
                f"matched{exact} and {'was' if images == 1 else 'were'} left out"
            )
        case "trained-on" if images:
            return Caution(
                f"the model was trained on {count} {'image' if images == 1 else 'images'} of "
                f"{training} that match{'es' if images == 1 else ''}{exact} images "
                f"of {name} ({finding.search.path if finding.search else ''})"
            )
        case "trained-on":
            return Note(f"no image of the training data ({training}) matches{exact} one of {name}")
    split = [] if finding.training.split == _SPLIT else ["--split", finding.training.split]
    line = command("dedup", "--data", data.path, "--against", dataset.path, *split, store=store)
    return Note(
        f"the training data ({training}) was never searched for images of {name}; to do it: {line}"
    )


def trainings(checkpoint: Artifact, *, store: Store) -> Iterator[TrainingSplit | None]:
    """What a checkpoint, and those that it came from, were trained on; None for each of them that
    records no dataset, or one that is gone."""
    yield from _trainings(checkpoint, ancestors(checkpoint, store=store))


def _trainings(run: Artifact, above: Sequence[Ancestor]) -> Iterator[TrainingSplit | None]:
    settings = run.manifest.config.get("data")
    own = settings if isinstance(settings, dict) else {}
    recorded = False
    for ancestor in above:
        if ancestor.parent.kind == CHECKPOINT.name:
            if ancestor.artifact is None:
                yield None
            else:
                yield from _trainings(ancestor.artifact, ancestor.ancestors)
        elif ancestor.parent.kind == DATASET.name and ancestor.parent.role == "data":
            recorded = True
            images = ancestor.artifact
            yield (
                None
                if images is None
                else TrainingSplit(SplitOf(images, own.get("split", _SPLIT)), own.get("held_out"))
            )
    if not recorded and own.get("mock") is None and run.manifest.stage not in _TRAINS_NOTHING:
        yield None


def _finding(training: SplitOf, subject: SplitOf, searches: Searches) -> KnownOverlap | None:
    try:
        finding = searches.between(training, subject)
        own, others = (
            {artifact.id for artifact in sources(images.dataset, searches.store)}
            for images in (training, subject)
        )
    except VitctlError:  # damaged or gone: what is measured does not depend on it
        return None
    if finding is not None:
        return finding
    # They were compared, and what came of it cannot be read.
    unreadable = any(data in own and other in others for data, other in searches.unread)
    if unreadable or not own.isdisjoint(others):
        return None
    return KnownOverlap(Overlap(state="unchecked"), training)
