"""Results of `vitctl dedup`: what they say of images to train on and images to measure on.

A search compares splits of datasets. It speaks of others, too: of a subset of either, for which its
count is an upper bound, and of a mixture whose parts were all searched, or were all searched for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from vitctl.artifacts.artifact import Artifact, load_if_readable
from vitctl.artifacts.documents import read_part
from vitctl.artifacts.kinds import DATASET
from vitctl.artifacts.store import Store
from vitctl.duplicates import report
from vitctl.duplicates.report import DedupReport
from vitctl.errors import VitctlError
from vitctl.summaries import Overlap

_STAGE = "dedup"

Key = tuple[str, str]


@dataclass(frozen=True)
class SplitOf:
    """A split of a dataset."""

    dataset: Artifact
    split: str

    @property
    def key(self) -> Key:
        return self.dataset.id, self.split


@dataclass(frozen=True)
class KnownOverlap:
    """What is known of images that a model was trained on and images that it is measured on.

    overlap   as a result records it
    training  the images that it was trained on
    search    the search that says so; of several, that with the most matches
    distance  the most bits that differ of what matches; None: it has the same bytes or pixels
    at_most   the number of images is an upper bound: more images were compared than these
    """

    overlap: Overlap
    training: SplitOf
    search: Artifact | None = None
    distance: int | None = None
    at_most: bool = False

    @property
    def images(self) -> int:
        """Training images that match."""
        return self.overlap.images or 0

    @property
    def rank(self) -> int:
        """Small for the worst: images that were trained on, then what nobody looked for."""
        match self.overlap.state:
            case "trained-on":
                return 0 if self.images else 3
            case "unchecked":
                return 1
            case "left-out":
                return 2


@dataclass
class Searches:
    """Those in a store. Reports that are damaged count for nothing.

    unread  (id of the dataset that was searched, id of one it was compared with) of such reports
    """

    store: Store
    unread: set[tuple[str, str]] = field(default_factory=set)
    _known: dict[tuple[Key, Key], KnownOverlap | None] = field(default_factory=dict)

    def between(self, training: SplitOf, subject: SplitOf) -> KnownOverlap | None:
        """What they say of these images; None where nobody compared them. InputError where a
        dataset that one of them is made of is no longer what it was."""
        key = training.key, subject.key
        if key not in self._known:
            self._known[key] = None  # of a forged manifest, which names itself as its parent
            self._known[key] = self._best(training, subject)
        return self._known[key]

    def _best(self, training: SplitOf, subject: SplitOf) -> KnownOverlap | None:
        """A search of the very images for the very images, unless it was for equal ones only and
        there is another."""
        direct = self._direct(training, subject)
        if direct is not None and direct.distance is not None:
            return direct
        ways = (
            self._of_parts_of_subject(training, subject),
            self._of_parts_trained(training, subject),
        )
        others = [way for way in ways if way is not None]
        # Both are bounds: the better news of two is as true as the other.
        other = max(others, key=lambda way: (_bits(way), way.rank), default=None)
        if direct is None or (other is not None and other.distance is not None):
            return other
        return direct

    @cached_property
    def _all(self) -> list[Artifact]:
        folder = self.store.root / _STAGE
        paths = folder.children() if folder.is_dir() else []
        artifacts = (load_if_readable(path) for path in paths)
        return [artifact for artifact in artifacts if artifact is not None and _is_one(artifact)]

    def _direct(self, training: SplitOf, subject: SplitOf) -> KnownOverlap | None:
        """The most thorough search of the one dataset for the other's images."""
        candidates = [
            candidate
            for search in [training.dataset, *self._all]
            if (candidate := self._said_by(search, training, subject)) is not None
        ]
        return max(candidates, key=_thoroughness, default=None)

    def _said_by(
        self, search: Artifact, training: SplitOf, subject: SplitOf
    ) -> KnownOverlap | None:
        left_out = search.id == training.dataset.id and _is_one(search)
        data = search.manifest.parent("dataset")
        if not left_out and (data is None or data.id != training.dataset.id):
            return None
        if subject.dataset.id not in {parent.id for parent in search.manifest.parents}:
            return None
        try:
            document = read_part(search.path / report.NAME, DedupReport)
        except VitctlError:  # other searches may be whole
            self.unread.add((training.dataset.id, subject.dataset.id))
            return None
        if document.dataset.split != training.split:
            return None
        for images in document.against or ():
            if (images.id, images.split) == subject.key and images.matches is not None:
                overlap = Overlap(
                    state="left-out" if left_out else "trained-on", images=images.matches
                )
                return KnownOverlap(overlap, training, search, document.distance)
        return None

    def _of_parts_of_subject(self, training: SplitOf, subject: SplitOf) -> KnownOverlap | None:
        parts = [self.between(training, part) for part in self._parts(subject)]
        # An image may match images of several parts, or of a source only such as a subset lacks.
        return _combined(parts, training, at_most=True)

    def _of_parts_trained(self, training: SplitOf, subject: SplitOf) -> KnownOverlap | None:
        parts = [self.between(part, subject) for part in self._parts(training)]
        return _combined(parts, training, at_most=len(parts) == 1)

    def _parts(self, images: SplitOf) -> list[SplitOf]:
        """The images that these are taken from; none where one of their datasets is gone."""
        parts = parts_of(images.dataset, self.store)
        if any(part is None for part in parts):
            return []
        return [
            SplitOf(part, images.split)
            for part in parts
            if part is not None and _has_split(part, images.split)
        ]


def sources(dataset: Artifact, store: Store) -> Iterator[Artifact]:
    """A dataset and all that it takes images from."""
    yield dataset
    for part in parts_of(dataset, store):
        if part is not None:
            yield from sources(part, store)


def parts_of(dataset: Artifact, store: Store) -> list[Artifact | None]:
    """The datasets that one takes its images from; None for one that is gone."""
    return [
        store.parent(parent)
        for parent in dataset.manifest.parents
        if parent.kind == DATASET.name and parent.role.startswith("dataset")
    ]


def _is_one(artifact: Artifact) -> bool:
    return artifact.manifest.stage == _STAGE and artifact.kind == DATASET.name


def _has_split(dataset: Artifact, split: str) -> bool:
    """Whether a dataset has a split, by its summary; a mixture has those of any part."""
    examples = dataset.summary.get("examples")
    return not isinstance(examples, dict) or split in examples


def _thoroughness(finding: KnownOverlap) -> tuple[int, bool, int]:
    """Of the search at the larger distance, then of that which found what was trained on."""
    return _bits(finding), finding.rank == 0, finding.images


def _bits(finding: KnownOverlap) -> int:
    return -1 if finding.distance is None else finding.distance


def _combined(
    parts: Sequence[KnownOverlap | None], training: SplitOf, *, at_most: bool
) -> KnownOverlap | None:
    """The worst that is known of any part, with the matches of all of which it is known; None where
    nothing is known of one part."""
    findings = [part for part in parts if part is not None]
    if not findings or len(findings) < len(parts):
        return None
    worst = min(findings, key=lambda finding: (finding.rank, -finding.images))
    state = worst.overlap.state
    images = sum(finding.images for finding in findings if finding.overlap.state == state)
    return replace(
        worst,
        overlap=Overlap(state=state, images=images),
        training=training,
        distance=min(findings, key=_bits).distance,
        at_most=at_most or any(finding.at_most for finding in findings),
    )
