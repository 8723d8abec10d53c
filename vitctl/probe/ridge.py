"""Ridge regression of classes on features, in closed form and float64.

The protocol of big_vision `evaluators/fewshot_lsr.py`, which the paper's few-shot numbers follow:

    mu, sd = mean(X), std(X) + 1e-5     over the shots only; population std
    Z      = [(X - mu) / sd, 100]       the bias column is not whitened, and so large that the
                                        penalty hardly binds it
    Y      = 2 onehot - 1
    W      = (Z^T Z + l2 I)^-1 Z^T Y    with at least as many shots as columns, else its dual,
             Z^T (Z Z^T + l2 I)^-1 Y    which is the same W
    answer = argmax [(x - mu) / sd, 100] W

There, an fp32 eigendecomposition solves it; here, a float64 Cholesky does, which agrees with a
direct solve at small penalties, too. Many penalties share one float64 eigendecomposition: at width
1664 it takes as long as eleven Cholesky solutions for 1000 classes (docs/log, 2026-11-29), so that
few penalties are solved one by one.

The columns of (X - mu) / sd sum to zero, so Z^T Z has a block for the features and one number for
the bias, and the -1 of Y reaches the bias alone. The primal is solved from `moments` that way, and
nested shots share them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from vitctl.errors import UsageError
from vitctl.probe import moments
from vitctl.probe.moments import Moments

L2 = 2.0**10
"""big_vision's fixed penalty."""

_BIAS = 100.0
_STD_OFFSET = 1e-5
# Rows of features turned to float64 at a time: 55 MB at width 1664.
_ROWS = 4096
# Measured, 2026-11-29: see above.
_DECOMPOSED_FROM = 12


@dataclass(frozen=True)
class Classifier:
    """Scores of features x are x @ weights + bias; the whitening is folded in."""

    weights: NDArray[np.float64]
    """float64[d, y]"""
    bias: NDArray[np.float64]
    """float64[y]"""


def fit(
    features: NDArray[np.floating],
    labels: NDArray[np.integer],
    *,
    classes: int,
    l2: float = L2,
) -> Classifier:
    """Regress on `features` [n, d] with class indices `labels` [n].

    Raises:
      ValueError: the shapes do not fit, a label is no class or `l2` is not positive.
      UsageError: `l2` is too small for these features: the equations are singular in float64.
    """
    _check(features, labels, classes=classes, l2=l2)
    n, d = features.shape
    if n < d + 1:
        return _dual(features, labels, classes=classes, l2s=[l2])[0]
    return of_moments(moments.of(features, labels, classes=classes), l2s=[l2])[0]


class Equations(Protocol):
    """The regression on some examples, its penalty open."""

    def solved(self, l2s: Sequence[float]) -> list[Classifier]:
        """A classifier for each penalty. Raises UsageError if one is too small."""


def nested(
    features: NDArray[np.floating], rows: NDArray[np.int64], *, shots: Sequence[int]
) -> Iterator[Equations]:
    """For each of the ascending `shots`, the regression on them.

    Args:
      features: [n, d].
      rows: [y, k], rows of `features`: up to k examples of each class, padded with -1, of which the
        first s are the s shots.
      shots: how many of the k are learned from.
    """
    classes, width = len(rows), features.shape[1]
    known: Moments | None = None
    done = 0
    for k in shots:
        taken, labels = examples(rows[:, :k])
        if len(taken) < width + 1:
            yield _Dual(features[taken], labels, classes)
            continue
        taken, labels = examples(rows[:, done:k])
        added = moments.of(features[taken], labels, classes=classes)
        known, done = added if known is None else known + added, k
        yield _Primal(known)


def examples(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows by class [y, k], padded with -1 -> the rows [n] and their classes [n]."""
    real = rows >= 0
    return rows[real], np.nonzero(real)[0]


@dataclass(frozen=True)
class _Primal:
    known: Moments

    def solved(self, l2s: Sequence[float]) -> list[Classifier]:
        return of_moments(self.known, l2s=l2s)


@dataclass(frozen=True)
class _Dual:
    features: NDArray[np.floating]
    labels: NDArray[np.int64]
    classes: int

    def solved(self, l2s: Sequence[float]) -> list[Classifier]:
        return _dual(self.features, self.labels, classes=self.classes, l2s=l2s)


def of_moments(known: Moments, *, l2s: Sequence[float]) -> list[Classifier]:
    """Classifiers from the moments of at least as many examples as columns, one a penalty."""
    n = known.examples
    scale = np.sqrt(np.diagonal(known.scatter) / n) + _STD_OFFSET
    gram = known.scatter / scale
    gram /= scale[:, None]
    fitted = []
    for l2, w in zip(l2s, _solved(gram, 2 * known.sums.T / scale[:, None], l2s=l2s), strict=True):
        weights = w / scale[:, None]
        bias = _BIAS * (2 * known.counts - n) / (_BIAS**2 * n + l2)
        fitted.append(Classifier(weights, _BIAS * bias - known.mean @ weights))
    return fitted


def predict(classifier: Classifier, features: NDArray[np.floating]) -> NDArray[np.int64]:
    """int64[n]: the class of the largest score of each row; ties go to the lower index."""
    answers = np.empty(len(features), np.int64)
    for first in range(0, len(features), _ROWS):
        rows = np.asarray(features[first : first + _ROWS], np.float64)
        scores = rows @ classifier.weights + classifier.bias
        answers[first : first + _ROWS] = np.argmax(scores, axis=1)
    return answers


def whitening(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """mu and sd, float64[d] each, of shots [n, d]."""
    return x.mean(axis=0), x.std(axis=0) + _STD_OFFSET


def _dual(
    features: NDArray[np.floating],
    labels: NDArray[np.integer],
    *,
    classes: int,
    l2s: Sequence[float],
) -> list[Classifier]:
    """Classifiers from fewer examples than columns, one a penalty."""
    x = np.asarray(features, np.float64)
    mean, scale = whitening(x)
    z = np.concatenate([(x - mean) / scale, np.full((len(x), 1), _BIAS)], axis=1)
    y = np.where(labels[:, None] == np.arange(classes), 1.0, -1.0)
    fitted = []
    for a in _solved(z @ z.T, y, l2s=l2s):
        w = z.T @ a
        weights = w[:-1] / scale[:, None]
        fitted.append(Classifier(weights, _BIAS * w[-1] - mean @ weights))
    return fitted


def _solved(
    gram: NDArray[np.float64], right: NDArray[np.float64], *, l2s: Sequence[float]
) -> Iterator[NDArray[np.float64]]:
    """(gram + l2 I)^-1 right for each penalty."""
    if len(l2s) < _DECOMPOSED_FROM:
        yield from (_cholesky(gram, right, l2=l2) for l2 in l2s)
        return
    # LAPACK's divide and conquer, the fastest for all vectors.
    values, vectors = scipy.linalg.eigh(gram, driver="evd")
    turned = vectors.T @ right
    for l2 in l2s:
        shifted = np.maximum(values, 0.0) + l2
        if shifted[0] <= np.finfo(np.float64).eps * shifted[-1]:
            raise _singular(l2)
        yield vectors @ (turned / shifted[:, None])


def _cholesky(
    gram: NDArray[np.float64], right: NDArray[np.float64], *, l2: float
) -> NDArray[np.float64]:
    """(gram + l2 I)^-1 right."""
    shifted = gram.copy()
    shifted[np.diag_indices_from(shifted)] += l2
    with warnings.catch_warnings():
        warnings.simplefilter("error", scipy.linalg.LinAlgWarning)
        try:
            return scipy.linalg.solve(shifted, right, assume_a="pos", overwrite_a=True)
        except (np.linalg.LinAlgError, scipy.linalg.LinAlgWarning):
            raise _singular(l2) from None


def _singular(l2: float) -> UsageError:
    return UsageError(
        f"a penalty of {l2:g} is too small for these features: the equations are singular",
        hint=f"use --l2 {L2:g}, the protocol's",
    )


def _check(
    features: NDArray[np.floating], labels: NDArray[np.integer], *, classes: int, l2: float
) -> None:
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise ValueError(
            f"expected features [n, d] and labels [n], got {features.shape} and {labels.shape}"
        )
    if labels.size and not (labels.min() >= 0 and labels.max() < classes):
        raise ValueError(f"labels must lie in [0, {classes})")
    if not l2 > 0:
        raise ValueError(f"l2 must be positive, got {l2}")
