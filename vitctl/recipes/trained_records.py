"""Which images of a dataset a model was trained on, by what is known without reading any.

A model and a measurement share images for certain where both read one stored dataset: the records
of a split are those of the same rows, whatever subsets chose them. Other datasets may hold
the same pictures, which records do not tell; `vitctl dedup` looks for those.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.store import Store
from vitctl.data.held_out import hold_out
from vitctl.data.image_source import ImageSource
from vitctl.data.opening import open_dataset
from vitctl.errors import VitctlError
from vitctl.recipes.overlap import TrainingSplit, trainings
from vitctl.recipes.searches import SplitOf, parts_of

_MOST = 100_000_000
"""Images of a split whose keys are read: 800 MB."""


@dataclass(frozen=True)
class TrainedRecords:
    """What is known of the images of a split.

    Attributes:
      mask: bool[n], which the model was trained on for certain.
      complete: whether no other image can have been one of those that it was trained on, but as
        another record of the same picture.
    """

    mask: NDArray[np.bool_]
    complete: bool


def trained_records(
    checkpoint: Artifact, dataset: Artifact, *, split: str, store: Store
) -> TrainedRecords | None:
    """The images of `split` that a checkpoint, or one that it came from, was trained on; None where
    no training reads the same stored dataset, so that records say nothing."""
    try:
        own = _stored(dataset, store)
        source = open_dataset(dataset)
        if own is None or source.info.examples(split) > _MOST:
            return None
        mask = np.zeros(source.info.examples(split), bool)
        complete, related = True, False
        for training in trainings(checkpoint, store=store):
            if training is None or _stored(training.images.dataset, store) != own:
                complete = False
                continue
            related = True
            if training.images.split == split:
                mask |= _of_one_split(source, SplitOf(dataset, split), training)
    except VitctlError:  # damaged or gone: what is measured does not depend on it
        return None
    return TrainedRecords(mask, complete) if related else None


def _of_one_split(
    source: ImageSource, subject: SplitOf, training: TrainingSplit
) -> NDArray[np.bool_]:
    """Which of the subject's images are among those trained on, in one split of one dataset: there
    keys name records."""
    split = subject.split
    if training.images.key == subject.key and training.held_out is None:
        return np.ones(source.info.examples(split), bool)
    trained = open_dataset(training.images.dataset)
    if training.held_out is not None:
        trained = hold_out(trained, split=split, share=training.held_out).training
    return np.isin(np.asarray(source.keys(split)), np.asarray(trained.keys(split)))


def _stored(dataset: Artifact, store: Store) -> str | None:
    """The id of the one stored dataset that all images are records of; None of a mixture, or where
    one on the way is gone."""
    parts = parts_of(dataset, store)
    while parts:
        if len(parts) > 1 or parts[0] is None:
            return None
        dataset = parts[0]
        parts = parts_of(dataset, store)
    return dataset.id
