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
direct solve at small penalties, too.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from vitctl.errors import UsageError

L2 = 2.0**10
"""big_vision's fixed penalty."""

_BIAS = 100.0
_STD_OFFSET = 1e-5
# Rows of features turned to float64 at a time: 55 MB at width 1664.
_ROWS = 4096


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
    x = np.asarray(features, np.float64)
    mean, scale = x.mean(axis=0), x.std(axis=0) + _STD_OFFSET
    n, d = x.shape
    z = np.concatenate([(x - mean) / scale, np.full((n, 1), _BIAS)], axis=1)
    y = np.where(labels[:, None] == np.arange(classes), 1.0, -1.0)
    w = _primal(z, y, l2=l2) if n >= d + 1 else _dual(z, y, l2=l2)
    weights = w[:-1] / scale[:, None]
    return Classifier(weights=weights, bias=_BIAS * w[-1] - mean @ weights)


def predict(classifier: Classifier, features: NDArray[np.floating]) -> NDArray[np.int64]:
    """int64[n]: the class of the largest score of each row; ties go to the lower index."""
    answers = np.empty(len(features), np.int64)
    for first in range(0, len(features), _ROWS):
        rows = np.asarray(features[first : first + _ROWS], np.float64)
        scores = rows @ classifier.weights + classifier.bias
        answers[first : first + _ROWS] = np.argmax(scores, axis=1)
    return answers


def _primal(z: NDArray[np.float64], y: NDArray[np.float64], *, l2: float) -> NDArray[np.float64]:
    return _solve(z.T @ z, z.T @ y, l2=l2)


def _dual(z: NDArray[np.float64], y: NDArray[np.float64], *, l2: float) -> NDArray[np.float64]:
    return z.T @ _solve(z @ z.T, y, l2=l2)


def _solve(
    gram: NDArray[np.float64], right: NDArray[np.float64], *, l2: float
) -> NDArray[np.float64]:
    """(gram + l2 I)^-1 right."""
    gram[np.diag_indices_from(gram)] += l2
    with warnings.catch_warnings():
        warnings.simplefilter("error", scipy.linalg.LinAlgWarning)
        try:
            return scipy.linalg.solve(gram, right, assume_a="pos", overwrite_a=True)
        except (np.linalg.LinAlgError, scipy.linalg.LinAlgWarning):
            raise UsageError(
                f"a penalty of {l2:g} is too small for these features: the equations are singular",
                hint=f"use --l2 {L2:g}, the protocol's",
            ) from None


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
