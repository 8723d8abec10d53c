"""Multinomial logistic regression of classes on features, by L-BFGS in float64.

On features whitened like those of `ridge`, the minimum over W [d, y] and b [y] of

    sum_i -log softmax(x_i W + b)[y_i]  +  l2 / 2 ||W||^2

which is scikit-learn's LogisticRegression(C=1 / l2): the bias is free. With fewer examples than
columns the optimum lies in the span of the examples, so that W is searched for in as many
dimensions as there are examples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.optimize
from numpy.typing import NDArray
from scipy.special import logsumexp

from vitctl.probe.ridge import Classifier, whitening

L2 = 1.0
"""scikit-learn's default."""

_ITERATIONS = 2_000
# Of the gradient of the mean loss: the largest entry at which the search ends.
_GRADIENT = 1e-8
ROUGHLY = 1e-5
"""Near enough to tell which penalty is the better one; takes a fraction of the iterations."""


class LogisticFit(NamedTuple):
    """`converged` is false where the search ended before the gradient vanished."""

    classifier: Classifier
    converged: bool


def fit(
    features: NDArray[np.floating],
    labels: NDArray[np.integer],
    *,
    classes: int,
    l2s: Sequence[float],
    tolerance: float = _GRADIENT,
) -> Iterator[LogisticFit]:
    """For each penalty the classifier of `features` [n, d] with class indices `labels` [n]; a
    search begins where the one before it ended, so strong penalties had better come first.
    `tolerance`: the largest entry of the mean loss's gradient at which a search ends."""
    x = np.asarray(features, np.float64)
    n, d = x.shape
    mean, scale = whitening(x)
    x = (x - mean) / scale
    basis = None
    if n < d:
        basis, triangle = scipy.linalg.qr(x.T, mode="economic")
        x = triangle.T
    onehot = (labels[:, None] == np.arange(classes)).astype(np.float64)
    at = np.zeros((x.shape[1] + 1) * classes)
    for l2 in l2s:
        search = scipy.optimize.minimize(
            _loss,
            at,
            args=(x, onehot, l2),
            jac=True,
            method="L-BFGS-B",
            options={
                "maxiter": _ITERATIONS,
                "maxfun": 2 * _ITERATIONS,
                "gtol": tolerance,
                "ftol": 0,
            },
        )
        at = search.x
        solution = at.reshape(-1, classes)
        whitened = solution[:-1] if basis is None else basis @ solution[:-1]
        weights = whitened / scale[:, None]
        classifier = Classifier(weights, solution[-1] - mean @ weights)
        gradient = float(np.abs(search.jac).max())
        yield LogisticFit(classifier, converged=bool(search.success) or gradient < 10 * tolerance)


def _loss(
    at: NDArray[np.float64], x: NDArray[np.float64], onehot: NDArray[np.float64], l2: float
) -> tuple[float, NDArray[np.float64]]:
    """The objective divided by the number of examples, and its gradient."""
    n, classes = onehot.shape
    solution = at.reshape(-1, classes)
    weights, bias = solution[:-1], solution[-1]
    logits = x @ weights + bias
    total = logsumexp(logits, axis=1, keepdims=True)
    loss = float(np.sum(total) - np.sum(logits * onehot)) + l2 / 2 * float(np.sum(weights**2))
    off = np.exp(logits - total) - onehot
    gradient = np.concatenate([x.T @ off + l2 * weights, off.sum(axis=0)[None]])
    return loss / n, gradient.ravel() / n
