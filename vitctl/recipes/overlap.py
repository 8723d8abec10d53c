"""Whether a model was trained on images that it is measured on, as far as `vitctl dedup` was asked.

A model's training data are the datasets of its run and of those it came from. Each of them may be
the result of a search for the images of the dataset that it is measured on, or be made of such
results; or a search in the store says how many of its images match, which then were trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vitctl.artifacts.ancestry import Ancestor, ancestors
from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.kinds import DATASET
from vitctl.artifacts.pasteable import command
from vitctl.artifacts.references import plain_name
from vitctl.artifacts.store import Store
from vitctl.errors import VitctlError
from vitctl.events import Caution, Emit, Note
from vitctl.recipes.searches import KnownOverlap, Searches, SplitOf, sources
from vitctl.summaries import Overlap

_SPLIT = "train"


def of_training(
    checkpoint: Artifact, dataset: Artifact | None, *, split: str, store: Store
) -> KnownOverlap | None:
    """What is known of the images that a model was trained on and those of a split; None where
    nothing is, or where both are of one dataset, which nobody has compared."""
    if dataset is None:
        return None
    subject, searches = SplitOf(dataset, split), Searches(store)
    tree = ancestors(checkpoint, store=store)
    training = {images.key: images for images in _trained_on(checkpoint, tree)}
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
                f"matched{exact} and were left out"
            )
        case "trained-on" if images:
            return Caution(
                f"the model was trained on {count} images of {training} that match{exact} images "
                f"of {name} ({finding.search.path if finding.search else ''})"
            )
        case "trained-on":
            return Note(f"no image of the training data ({training}) matches{exact} one of {name}")
    split = [] if finding.training.split == _SPLIT else ["--split", finding.training.split]
    line = command("dedup", "--data", data.path, "--against", dataset.path, *split, store=store)
    return Note(
        f"the training data ({training}) was never searched for images of {name}; to do it: {line}"
    )


def _trained_on(run: Artifact, above: Sequence[Ancestor]) -> Iterator[SplitOf]:
    """What a run was trained on, and those above it that it came from."""
    settings = run.manifest.config.get("data")
    split = settings.get("split", _SPLIT) if isinstance(settings, dict) else _SPLIT
    for ancestor in above:
        if ancestor.artifact is None:
            continue
        if ancestor.parent.kind != DATASET.name:
            yield from _trained_on(ancestor.artifact, ancestor.ancestors)
        elif ancestor.parent.role == "data":
            yield SplitOf(ancestor.artifact, split)


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
