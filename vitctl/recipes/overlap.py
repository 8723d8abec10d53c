"""Whether a model was trained on images that it is measured on, as far as `vitctl dedup` was asked.

A model's training data are the datasets of its run and of those it came from. Each of them may be
the result of a search for the images of the dataset that it is measured on, or be made of such
results; or a search in the store says how many of its images match, which then were trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from vitctl.artifacts.ancestry import Ancestor, ancestors
from vitctl.artifacts.artifact import Artifact, load_if_readable
from vitctl.artifacts.documents import read_part
from vitctl.artifacts.kinds import DATASET
from vitctl.artifacts.pasteable import command
from vitctl.artifacts.references import plain_name
from vitctl.artifacts.store import Store
from vitctl.duplicates import report
from vitctl.duplicates.report import DedupReport
from vitctl.errors import VitctlError
from vitctl.events import Caution, Emit, Note
from vitctl.summaries import Overlap

_STAGE = "dedup"


@dataclass(frozen=True)
class KnownOverlap:
    """What is known of a dataset that a model was trained on.

    overlap   as a result records it
    training  the dataset
    search    the search that says so
    """

    overlap: Overlap
    training: Artifact
    search: Artifact | None = None


@dataclass(frozen=True)
class _Subject:
    """Images that a model is measured on."""

    dataset: Artifact
    split: str
    store: Store

    @cached_property
    def lineage(self) -> list[Artifact]:
        """The dataset, and those it takes its images from."""
        return list(_sources(self.dataset, self.store))

    @cached_property
    def searches(self) -> list[Artifact]:
        """All searches in the store."""
        folder = self.store.root / _STAGE
        paths = folder.children() if folder.is_dir() else []
        some = (load_if_readable(path) for path in paths)
        return [artifact for artifact in some if artifact is not None and _is_search(artifact)]


def of_training(
    checkpoint: Artifact, dataset: Artifact | None, *, split: str, store: Store
) -> KnownOverlap | None:
    """What is known of the images that a model was trained on and those of a split; None where
    nothing is, or where both are of one dataset, which nobody has compared."""
    if dataset is None:
        return None
    try:
        subject = _Subject(dataset, split, store)
        tree = ancestors(checkpoint, store=store)
        training = {artifact.id: artifact for artifact in _trained_on(tree)}
        some = [_finding(artifact, subject) for artifact in training.values()]
    except VitctlError:  # damaged or gone: what is measured does not depend on it
        return None
    findings = [finding for finding in some if finding is not None]
    return min(findings, key=_rank, default=None)


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
    training, name = plain_name(finding.training), plain_name(dataset)
    images = finding.overlap.images or 0
    match finding.overlap.state:
        case "left-out":
            return Note(
                f"the training data ({training}) was searched for images of {name}: {images:,} "
                "matched and were left out"
            )
        case "trained-on" if images:
            return Caution(
                f"the model was trained on {images:,} images of {training} that match images of "
                f"{name} ({finding.search.path if finding.search else ''})"
            )
        case "trained-on":
            return Note(f"no image of the training data ({training}) matches one of {name}")
    line = command("dedup", "--data", finding.training.path, "--against", dataset.path, store=store)
    return Note(
        f"the training data ({training}) was never searched for images of {name}; to do it: {line}"
    )


def _trained_on(tree: Sequence[Ancestor]) -> Iterator[Artifact]:
    """The datasets of a run and of those it came from."""
    for above in tree:
        if above.parent.kind != DATASET.name:
            yield from _trained_on(above.ancestors)
        elif above.artifact is not None and above.parent.role == "data":
            yield above.artifact


def _finding(training: Artifact, subject: _Subject) -> KnownOverlap | None:
    own = {artifact.id for artifact in _sources(training, subject.store)}
    finding = _searched(training, subject)
    if finding is None and own.isdisjoint(artifact.id for artifact in subject.lineage):
        return KnownOverlap(Overlap(state="unchecked"), training)
    return finding


def _searched(training: Artifact, subject: _Subject) -> KnownOverlap | None:
    """The result of a search; None where there was none."""
    if _is_search(training) and (images := _matches(training, subject)) is not None:
        return KnownOverlap(Overlap(state="left-out", images=images), training, training)
    for search in subject.searches:
        data = search.manifest.parent("dataset")
        if data is not None and data.id == training.id:
            images = _matches(search, subject)
            if images is not None:
                return KnownOverlap(Overlap(state="trained-on", images=images), training, search)
    parts = [_searched(part, subject) for part in _parts(training, subject.store)]
    findings = [part for part in parts if part is not None]
    if not findings or len(findings) < len(parts):
        return None
    worst = min(findings, key=_rank)
    images = sum(f.overlap.images or 0 for f in findings if f.overlap.state == worst.overlap.state)
    return KnownOverlap(worst.overlap.model_copy(update={"images": images}), training, worst.search)


def _rank(finding: KnownOverlap) -> int:
    """The worst first: images that were trained on, then what nobody looked for."""
    match finding.overlap.state:
        case "trained-on":
            return 0 if finding.overlap.images else 3
        case "unchecked":
            return 1
        case "left-out":
            return 2


def _matches(search: Artifact, subject: _Subject) -> int | None:
    """Images that matched those of the split, by the report of a search; None if it did not compare
    them."""
    ids = {artifact.id for artifact in subject.lineage}
    document = read_part(search.path / report.NAME, DedupReport)
    for images in document.against or ():
        if images.id in ids and images.split == subject.split:
            return images.matches
    return None


def _is_search(artifact: Artifact) -> bool:
    return artifact.manifest.stage == _STAGE and artifact.kind == DATASET.name


def _sources(dataset: Artifact, store: Store) -> Iterator[Artifact]:
    """A dataset and all that it takes images from."""
    yield dataset
    for part in _parts(dataset, store):
        yield from _sources(part, store)


def _parts(dataset: Artifact, store: Store) -> list[Artifact]:
    """The datasets that one takes its images from."""
    parents = [
        parent
        for parent in dataset.manifest.parents
        if parent.kind == DATASET.name and parent.role.startswith("dataset")
    ]
    parts = [store.parent(parent) for parent in parents]
    return [part for part in parts if part is not None]
