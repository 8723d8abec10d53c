"""Which classes are right, and which are mistaken for which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitctl.inference.scoring import ScoredBatch

# Enough for the whole matrix of 32 classes; of a thousand, the confusions that matter.
_MOST = 1000


class Confusion:
    """Counts over scored images. Of an image with several labels each counts, and all are right if
    any was answered; confusions are counted for images of one label."""

    def __init__(self, classes: Sequence[str], *, answers: Sequence[str] | None = None) -> None:
        """`classes` are those that labels number, `answers` those that answers do, if others."""
        self._classes = classes
        self._answers = classes if answers is None else answers
        self._examples = np.zeros(len(classes), np.int64)
        self._right = np.zeros(len(classes), np.int64)
        self._mistakes: Counter[tuple[int, int]] = Counter()

    def add(self, labels: NDArray[np.int32], rows: ScoredBatch) -> None:
        """`labels` int32[b, l], padded with -1, and what the model made of these images."""
        labels, right = labels[rows.counted], rows.values["top1"][rows.counted]
        predicted = rows.predicted[rows.counted]
        for own, is_right, answer in zip(labels, right, predicted, strict=True):
            names = np.unique(own[own >= 0])
            self._examples[names] += 1
            self._right[names] += is_right
            if len(names) == 1 and not is_right:
                self._mistakes[int(names[0]), int(answer)] += 1

    def per_class(self) -> list[dict[str, Any]]:
        """Accuracy of each class that has images, in the model's order."""
        return [
            {
                "class": name,
                "examples": int(examples),
                "top1": float(right / examples),
            }
            for name, examples, right in zip(
                self._classes, self._examples, self._right, strict=True
            )
            if examples
        ]

    def most_frequent(self) -> list[dict[str, Any]]:
        """The mistakes made most often, at most 1000; among equals in the order of the classes."""
        ordered = sorted(self._mistakes.items(), key=lambda item: (-item[1], item[0]))
        return [
            {"label": self._classes[label], "predicted": self._answers[answer], "count": count}
            for (label, answer), count in ordered[:_MOST]
        ]
