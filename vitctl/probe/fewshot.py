"""Features of shots and of test images -> the accuracy of every draw, and their summary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vitctl.errors import InputError, UsageError
from vitctl.probe import draws as drawing
from vitctl.probe import intervals, ridge
from vitctl.probe.probes import Probe, Ridge
from vitctl.probe.scoring import Scorer


@dataclass(frozen=True)
class Draw:
    """One probe: `correct` of `examples` test images. `draw` counts from 0; `right` [m] is of each
    image, and `parameter` what `vitctl.probe.probes` says."""

    shots: int
    draw: int
    correct: int
    examples: int
    parameter: float
    chosen: bool
    converged: bool
    right: NDArray[np.bool_]

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


def accuracies(
    train: NDArray[np.floating],
    train_labels: NDArray[np.integer],
    test: NDArray[np.floating],
    test_labels: NDArray[np.integer],
    *,
    shots: Sequence[int] = (1, 5, 10, 25),
    draws: int = 10,
    seed: int = 0,
    l2: float | Literal["auto"] = ridge.L2,
    probe: Probe | None = None,
    classes: Sequence[str] | None = None,
) -> list[Accuracy]:
    """The whole probe on arrays: draws shots from `train`, regresses on them, classifies `test`.

    Args:
      train: [n, d] features that shots are drawn from.
      train_labels: [n] class indices, or [n, l] padded with -1; images of several classes are no
        shots.
      test: [m, d] features to classify.
      test_labels: [m] or [m, l]; images without a label are left out.
      shots: images of each class that are learned from.
      draws: how often they are drawn anew; draw i takes seed + i.
      l2: the ridge penalty, or `auto`: chosen on held-out shots.
      probe: another probe than ridge regression, of `vitctl.probe.probes`.
      classes: names, for errors and to say how many there are; the numbers up to the largest
        label if left out.

    >>> features = np.eye(2)[[0, 0, 1, 1]]
    >>> [row] = accuracies(features, np.array([0, 0, 1, 1]), features, np.array([0, 0, 1, 1]),
    ...                    shots=[1], draws=3)
    >>> row.accuracy_mean
    1.0

    Raises:
      UsageError: shapes, labels or numbers make no sense.
      InputError: there are too few images of a class, or none to classify.
    """
    learned = _two_axes(train_labels, features=train, name="train")
    wanted = _two_axes(test_labels, features=test, name="test")
    if train.shape[1:] != test.shape[1:]:
        raise UsageError(f"features of {train.shape[1]} columns can't classify {test.shape[1]}")
    known = max(int(learned.max(initial=-1)), int(wanted.max(initial=-1))) + 1
    names = [str(i) for i in range(known)] if classes is None else classes
    if known > len(names):
        raise UsageError(f"there is a label {known - 1}, and {len(names)} classes")
    counts = sorted(set(shots))
    if not counts or counts[0] < 1 or draws < 1:
        raise UsageError(f"expected shots and draws of at least 1, got {list(shots)} and {draws}")
    scored = (wanted >= 0).any(axis=1)
    if not scored.any():
        raise InputError("no test image has a label")
    chosen = probe or Ridge(None if l2 == "auto" else l2)
    drawn = drawing.all_draws(learned, names=names, shots=counts[-1], draws=draws, seed=seed)
    rows = drawn.positions
    results = probed(
        train, rows, shots=counts, probe=chosen, test=test[scored], labels=wanted[scored]
    )
    return summarise([result for of_draw in results for result in of_draw])


def _two_axes(
    labels: NDArray[np.integer], *, features: NDArray[np.floating], name: str
) -> NDArray[np.int32]:
    """Labels as int32[n, l]. Raises UsageError if they aren't those of the features."""
    labels = np.asarray(labels)
    if not np.issubdtype(labels.dtype, np.integer) or labels.ndim not in (1, 2):
        raise UsageError(f"{name}: expected labels as integers [n] or [n, l], got {labels.dtype}")
    if features.ndim != 2 or len(features) != len(labels):
        raise UsageError(
            f"{name}: expected features [n, d] of {len(labels)} labels, got {list(features.shape)}"
        )
    return labels.reshape(len(labels), -1).astype(np.int32)


def probed(
    train: NDArray[np.floating],
    drawn: NDArray[np.int64],
    *,
    shots: Sequence[int],
    probe: Probe,
    test: NDArray[np.floating],
    labels: NDArray[np.int32],
) -> Iterator[list[Draw]]:
    """For each draw, the probes that learn from so many shots.

    Args:
      train: [n, d] features that shots are drawn from.
      drawn: [draws, classes, k] rows of `train`, padded with -1; the first s of the k are the draw
        of s shots.
      shots: how many of the k are learned from, ascending.
      probe: how.
      test: [m, d] features to classify.
      labels: [m, l] their classes, padded with -1; an image of several is right when any of them
        is answered.
    """
    scorer = Scorer.of(test, labels, like=train)
    for i, rows in enumerate(drawn):
        answers_of = probe.answers(train, rows, shots=shots, scorer=scorer)
        results = []
        for k, answer in zip(shots, answers_of, strict=True):
            results.append(
                Draw(
                    shots=k,
                    draw=i,
                    correct=int(answer.right.sum()),
                    examples=len(answer.right),
                    parameter=answer.parameter,
                    chosen=answer.chosen,
                    converged=answer.converged,
                    right=answer.right,
                )
            )
        yield results


def summarise(results: Sequence[Draw]) -> list[Accuracy]:
    """The accuracies by number of shots, ascending."""
    summary = []
    for shots in sorted({result.shots for result in results}):
        same = [result for result in results if result.shots == shots]
        interval = intervals.over_draws([result.accuracy for result in same])
        summary.append(
            Accuracy(
                shots=shots,
                accuracy_mean=interval.mean,
                accuracy_std=interval.std,
                interval=interval.interval,
                test_interval=intervals.binomial(interval.mean, examples=same[0].examples),
                draws=len(same),
            )
        )
    return summary
