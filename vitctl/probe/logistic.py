"""Multinomial logistic regression of classes on features, by preconditioned L-BFGS.

On features whitened like those of `ridge`, the minimum over W [d, y] and b [y] of

    sum_i -log softmax(x_i W + b)[y_i]  +  l2 / 2 ||W||^2

which is scikit-learn's LogisticRegression(C=1 / l2): the bias is free. With fewer examples than
columns the optimum lies in the span of the examples, so that W is searched for in as many
dimensions as there are examples.

What makes a plain search slow is that features correlate: the Hessian's eigenvalues spread as those
of X^T X do. So X is turned once, for all penalties, into the basis in which X^T X is diagonal, and
each coordinate is searched for in units of h^-1/2, h being its entry of the Hessian's diagonal
where the search begins, and again every 100 steps. A search begins where that of the penalty before
ended, goes to a gradient of 1e-5 in fp32, whose products take half the time, and from there on in
float64.

Sources of the parts: L-BFGS's two loops, Nocedal and Wright, "Numerical Optimization", algorithm
7.4. The objective is convex, so the derivative along a line rises: a step is taken where it has
fallen enough, which is seen in fp32 where values no longer differ (Hager and Zhang, "A new
conjugate gradient method with guaranteed descent", 2005, section 4, on why).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from vitctl.probe.ridge import Classifier, whitening

L2 = 1.0
"""scikit-learn's default."""

_ITERATIONS = 2_000
# Of the gradient of the mean loss: the largest entry at which the search ends.
_GRADIENT = 1e-8
ROUGHLY = 1e-5
"""Near enough to tell which penalty is the better one; takes a fraction of the iterations, in fp32.
"""
_MEMORY = 10
# Steps after which units are those of the curvature that has been reached.
_AFRESH = 100
_LINE = 20

Gradient = Callable[[NDArray[np.floating]], NDArray[np.floating]]


class LogisticFit(NamedTuple):
    """`converged` is false where the search ended before the gradient vanished; `iterations` of
    fp32 and float64 together."""

    classifier: Classifier
    converged: bool
    iterations: int


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
    basis = np.eye(0)
    if n < d:
        basis, triangle = scipy.linalg.qr(x.T, mode="economic")
        x = triangle.T
    _, turn = scipy.linalg.eigh(x.T @ x, driver="evd")
    x = x @ turn
    basis = basis @ turn if n < d else turn
    single = x.astype(np.float32)
    at = np.zeros((x.shape[1] + 1, classes))
    for l2 in l2s:
        steps, converged = 0, False
        for data, limit in ((single, max(tolerance, ROUGHLY)), (x, tolerance)):
            if data is x and tolerance >= ROUGHLY:
                continue
            ended = False
            while not ended:
                units = 1 / np.sqrt(_curvature(single, at, l2=l2))
                loss = _loss_gradient(data, labels, l2=l2, units=units)
                most = min(_AFRESH, _ITERATIONS - steps)
                search = _searched(loss, at / units, units=units, limit=limit, most=most)
                at, converged = search.at * units, search.converged
                steps += search.iterations
                ended = converged or search.iterations < most or steps >= _ITERATIONS
        weights = (basis @ at[:-1]) / scale[:, None]
        classifier = Classifier(weights, at[-1] - mean @ weights)
        yield LogisticFit(classifier, converged, steps)


def _probabilities(x: NDArray[np.floating], at: NDArray[np.floating]) -> NDArray[np.floating]:
    """[n, y] of the examples [n, d] by weights and bias [d + 1, y]."""
    scores = x @ at[:-1]
    scores += at[-1]
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    return scores


def _curvature(
    x: NDArray[np.float32], at: NDArray[np.float64], *, l2: float
) -> NDArray[np.float64]:
    """float64[d + 1, y]: the diagonal of the mean loss's Hessian."""
    chances = _probabilities(x, at.astype(np.float32))
    spread = np.append(x * x, np.ones((len(x), 1), np.float32), axis=1).T @ (
        chances * (1 - chances)
    )
    curvature = spread.astype(np.float64)
    curvature[:-1] += l2
    # A class that is told apart without doubt has hardly any in its bias.
    curvature[-1] = np.maximum(curvature[-1], curvature[-1].max() * 1e-3 + 1e-6)
    return curvature / len(x)


def _loss_gradient(
    x: NDArray[np.floating], labels: NDArray[np.integer], *, l2: float, units: NDArray[np.float64]
) -> Gradient:
    """The gradient of the mean loss by the coordinates divided by `units` [d + 1, y], of which the
    last row is the bias; computed in the precision of `x` [n, d]."""
    n = len(x)
    rows = np.arange(n)
    precise = units.astype(x.dtype)
    transposed = np.ascontiguousarray(x.T)
    decay = x.dtype.type(l2)

    def gradient(scaled: NDArray[np.floating]) -> NDArray[np.floating]:
        at = scaled.astype(x.dtype) * precise
        off = _probabilities(x, at)
        off[rows, labels] -= 1
        slopes = np.empty_like(at)
        np.matmul(transposed, off, out=slopes[:-1])
        slopes[:-1] += decay * at[:-1]
        slopes[-1] = off.sum(axis=0)
        slopes *= precise / x.dtype.type(n)
        return slopes

    return gradient


class _Search(NamedTuple):
    at: NDArray[np.floating]
    converged: bool
    iterations: int


def _searched(
    gradient_at: Gradient,
    at: NDArray[np.floating],
    *,
    units: NDArray[np.float64],
    limit: float,
    most: int,
) -> _Search:
    """L-BFGS from `at`, until no entry of the gradient by the coordinates themselves, which is that
    by the scaled ones divided by `units`, is larger than `limit`."""
    gradient = gradient_at(at)
    at = at.astype(gradient.dtype)
    moves: list[NDArray[np.floating]] = []
    changes: list[NDArray[np.floating]] = []
    for iteration in range(most + 1):
        if float(np.abs(gradient / units).max()) <= limit:
            return _Search(at, True, iteration)
        if iteration == most:
            break
        direction = -_times_inverse(gradient, moves, changes)
        stepped = _along(gradient_at, at, direction, gradient)
        if stepped is None:  # nothing more is seen at this precision
            return _Search(at, False, iteration)
        moved, after = stepped
        change = after - gradient
        if _dot(moved, change) > 0:
            moves.append(moved)
            changes.append(change)
            del moves[:-_MEMORY], changes[:-_MEMORY]
        at, gradient = at + moved, after
    return _Search(at, False, most)


def _times_inverse(
    gradient: NDArray[np.floating],
    moves: Sequence[NDArray[np.floating]],
    changes: Sequence[NDArray[np.floating]],
) -> NDArray[np.floating]:
    """The gradient times what the latest steps say of the inverse Hessian."""
    result = gradient.copy()
    pairs = [(s, y, 1 / _dot(s, y)) for s, y in zip(moves, changes, strict=True)]
    shares = []
    for move, change, rho in reversed(pairs):
        share = result.dtype.type(rho * _dot(move, result))
        result -= share * change
        shares.append(share)
    if pairs:
        move, change, rho = pairs[-1]
        result *= result.dtype.type(1 / (rho * _dot(change, change)))
    for (move, change, rho), share in zip(pairs, reversed(shares), strict=True):
        result += (share - result.dtype.type(rho * _dot(change, result))) * move
    return result


def _along(
    gradient_at: Gradient,
    at: NDArray[np.floating],
    direction: NDArray[np.floating],
    gradient: NDArray[np.floating],
) -> tuple[NDArray[np.floating], NDArray[np.floating]] | None:
    """A step along a direction, and the gradient behind it, where the slope is at most half as
    steep; None if there is none."""
    slope = _dot(gradient, direction)
    if not slope < 0:
        return None
    low, high, size = 0.0, np.inf, 1.0
    low_slope = slope
    for _ in range(_LINE):
        moved = direction * direction.dtype.type(size)
        after = gradient_at(at + moved)
        reached = _dot(after, direction)
        if not np.isfinite(reached):
            high, size = size, (low + size) / 2
        elif reached > -slope / 2:
            # Where the line through both slopes is zero, not too near to either end.
            zero = low + (size - low) * low_slope / (low_slope - reached)
            high, size = size, min(max(zero, low + 0.1 * (size - low)), low + 0.9 * (size - low))
        elif reached < 0.9 * slope and high == np.inf:
            low, low_slope, size = size, reached, 2 * size
        else:
            return moved, after
    return None


def _dot(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    return float(np.vdot(a, b))
