"""Features of shots and of test images -> the accuracy of every draw, and their summary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitctl.probe import intervals, ridge


@dataclass(frozen=True)
class Draw:
    """One regression: `correct` of `examples` test images. `draw` counts from 0."""

    shots: int
    draw: int
    correct: int
    examples: int

    @property
    def accuracy(self) -> float:
        return self.correct / self.examples


@dataclass(frozen=True)
class Accuracy:
    """All draws of one number of shots, in 0..1. `interval` is of the mean over draws,
    `test_interval` of one accuracy on so many test images; see `vitctl.probe.intervals`."""

    shots: int
    accuracy_mean: float
    accuracy_std: float | None
    interval: tuple[float, float] | None
    test_interval: tuple[float, float]
    draws: int


def regress(
    train: NDArray[np.float32],
    drawn: NDArray[np.int64],
    *,
    shots: Sequence[int],
    l2: float,
    test: NDArray[np.float32],
    labels: NDArray[np.int32],
) -> Iterator[list[Draw]]:
    """For each draw, its regressions on so many shots.

    Args:
      train: [n, d] features that shots are drawn from.
      drawn: [draws, classes, k] rows of `train`; the first s of the k are the draw of s shots.
      shots: how many of the k are learned from.
      test: [m, d] features to classify.
      labels: [m, l] their classes, padded with -1; an image of several is right when any of them
        is answered.
    """
    classes = drawn.shape[1]
    for i, rows in enumerate(drawn):
        results = []
        for k in shots:
            fitted = ridge.fit(
                train[rows[:, :k].reshape(-1)],
                np.repeat(np.arange(classes), k),
                classes=classes,
                l2=l2,
            )
            right = (labels == ridge.predict(fitted, test)[:, None]).any(axis=1)
            results.append(Draw(shots=k, draw=i, correct=int(right.sum()), examples=len(right)))
        yield results


def summarise(results: Sequence[Draw]) -> list[Accuracy]:
    """The accuracies by number of shots, ascending."""
    summary = []
    for shots in sorted({result.shots for result in results}):
        same = [result for result in results if result.shots == shots]
        found = intervals.over_draws([result.accuracy for result in same])
        summary.append(
            Accuracy(
                shots=shots,
                accuracy_mean=found.mean,
                accuracy_std=found.std,
                interval=found.interval,
                test_interval=intervals.binomial(found.mean, examples=same[0].examples),
                draws=len(same),
            )
        )
    return summary
