"""What a model answered to each image of a split: all that metrics of a whole split are made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vitctl.measures.ranking import Ranked
from vitctl.model.config import Loss


@dataclass(frozen=True)
class Answers:
    """One row an image that has a label, n of them.

    labels         int32[n, l], padded with -1: any of them is right
    ranked         int32[n, k], the k classes of the highest scores, the highest first
    confidence     float[n], the model's probability of the first of them
    squared_error  float[n], sum over classes of (probability - (1 if it is a label else 0))²
    loss           float[n], in nats
    loss_name      that of training, which says what a probability is: of one class among all, or
                   of each class by itself
    own_labels     int32[n, m], the classes whose images are counted, where those are not the
                   labels: a class of the images may stand for several that are right
    scores         float[n, y], or None where nothing needs them: one image has one label
    """

    labels: NDArray[np.int32]
    ranked: NDArray[np.int32]
    confidence: NDArray[np.floating]
    squared_error: NDArray[np.floating]
    loss: NDArray[np.floating]
    classes: int
    loss_name: Loss
    scores: NDArray[np.floating] | None = None
    own_labels: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def right(self, *, k: int = 1) -> NDArray[np.bool_]:
        """bool[n]: whether a label is among the k classes of the highest scores."""
        best = self.ranked[:, :k]
        return (best[:, :, None] == self.labels[:, None, :]).any(axis=(1, 2))

    @cached_property
    def has_one_label(self) -> bool:
        """Whether no image has several."""
        return self.labels.shape[1] < 2 or bool(((self.labels >= 0).sum(axis=1) < 2).all())

    @cached_property
    def rankings(self) -> dict[int, Ranked]:
        """The images ranked for each class that one has; nothing where scores were not kept."""
        if self.scores is None:
            return {}
        return {
            int(label): Ranked.of(self.scores[:, label], (self.labels == label).any(axis=1))
            for label in np.unique(self.labels[self.labels >= 0])
        }
