"""Whether the class of the largest score is the image's: float64's answer, mostly at fp32's price.

A score is x @ w + b. Computed in fp32 in any order of summation, it is off by at most

    k u / (1 - k u) (||x|| ||w|| + |b|),    k = d + 6, u = 2^-24

for d columns (Higham, "Accuracy and Stability of Numerical Algorithms", 2nd edition, section 3.1,
and Cauchy and Schwarz; the 6 are the roundings of x, w, b and their sum, and of the norms). Where
the best score is ahead of the second by more than twice that, every more precise computation has
the same best. The other images are scored in float64.

The bound is tight where columns have one size, so features are centred and multiplied by powers of
two, which rounds nothing, and weights are divided by those.

An image is answered wrongly if one class beats its own, whatever the others score. So images are
taken in the order of their classes, and the few classes that the mean of such a class scores
highest are tried first, which is a tenth of the products: where fp32 proves that one of them is
ahead, nothing else is computed. This pays where many answers are wrong, and is left out where few
are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from vitctl.probe.ridge import Classifier

# Rows scored at a time: 27 MB of features at width 1664, 16 MB of scores for 1000 classes.
_ROWS = 4096
# Rows that are tried with the rivals of their own classes (ten classes of 50 images), and how many
# of each.
_TRIED_ROWS = 512
_RIVALS = 12
_UNIT = 2.0**-24
_UNIT64 = 2.0**-53
# What underflow may lose of a product or a rounded factor, also where the processor flushes to 0.
_UNDERFLOW = 2.0**-126
_LARGEST = 2.0**127


@dataclass(frozen=True)
class ScoredAnswers:
    """bool[classifiers, n] `right`: whether each classifier's answer is a class of the image (of
    equal scores the lower index is the answer); how many of them were `proven` by fp32 scores, and
    how many of those by a few `rivals` alone."""

    right: NDArray[np.bool_]
    proven: int
    rivals: int


@dataclass(frozen=True)
class Scorer:
    """Of test `features` [n, d] with `labels` [n, l], their classes padded with -1, which are
    scored in the `order` of their classes. Features are brought near 0 and 1 by `centre` and
    `unscale` (both [d]), those of any features like them."""

    features: NDArray[np.floating]
    labels: NDArray[np.integer]
    order: NDArray[np.int64]
    centre: NDArray[np.float32]
    unscale: NDArray[np.float32]

    @staticmethod
    def of(
        features: NDArray[np.floating], labels: NDArray[np.integer], *, like: NDArray[np.floating]
    ) -> Scorer:
        """A scorer of `features` [n, d] with `labels` [n] or [n, l], for classifiers fitted on some
        of `like` [m, d]."""
        sample = np.asarray(like[:: 1 + len(like) // _ROWS], np.float64)
        centre, spread = sample.mean(axis=0), sample.std(axis=0)
        exponent = np.clip(np.round(np.log2(np.maximum(spread, 2.0**-30))), -30, 30)
        classes = labels.reshape(len(labels), -1)
        return Scorer(
            features,
            classes,
            np.argsort(classes.max(axis=1), kind="stable"),
            centre.astype(np.float32),
            np.exp2(-exponent).astype(np.float32),
        )

    def answers(self, classifiers: Sequence[Classifier]) -> ScoredAnswers:
        """What each of the classifiers answers."""
        right = np.empty((len(classifiers), len(self.features)), np.bool_)
        proven = rivals = 0
        ready = [self._single(classifier) for classifier in classifiers]
        worth = [True] * len(ready)
        for first in range(0, len(self.order), _ROWS):
            at = self.order[first : first + _ROWS]
            rows, labels = self.features[at], self.labels[at]
            with np.errstate(over="ignore"):
                x = rows - self.centre
                x *= self.unscale
                x = x.astype(np.float32, copy=False)
                norms = np.sqrt(np.einsum("nd,nd->n", x, x)).astype(np.float64)
            for i, (single, classifier) in enumerate(zip(ready, classifiers, strict=True)):
                open_ = np.arange(len(x))
                if worth[i]:
                    beaten, cost = single.beaten(x, norms, labels)
                    worth[i] = beaten.mean() > cost
                    open_ = np.flatnonzero(~beaten)
                    rivals += len(x) - len(open_)
                right[i, at] = False
                some = slice(None) if len(open_) == len(x) else open_
                best, sure = single.best(x[some], norms[some])
                proven += len(x) - len(open_) + int(sure.sum())
                left = open_[~sure]
                if left.size:
                    exact = np.asarray(rows[left], np.float64)
                    best[~sure] = np.argmax(exact @ classifier.weights + classifier.bias, axis=1)
                right[i, at[open_]] = (labels[open_] == best[:, None]).any(axis=1)
        return ScoredAnswers(right, proven, rivals)

    def _single(self, classifier: Classifier) -> _Single:
        unscale = self.unscale.astype(np.float64)
        centre = self.centre.astype(np.float64)
        weights = classifier.weights / unscale[:, None]
        bias = classifier.bias + centre @ classifier.weights
        with np.errstate(over="ignore"):
            return _Single(
                weights=weights.astype(np.float32),
                bias=bias.astype(np.float32),
                norm=float(np.sqrt(np.einsum("dy,dy->y", weights, weights)).max()),
                largest_bias=float(np.abs(bias).max()),
                offset=float(np.linalg.norm(centre * unscale)),
            )


@dataclass(frozen=True)
class _Single:
    """A classifier in fp32; `norm` is the largest of its columns' 2-norms, `offset` that of the
    centre, which float64 rounds with."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    norm: float
    largest_bias: float
    offset: float

    def best(
        self, x: NDArray[np.float32], norms: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The best class of each row of x, and whether it is surely the best."""
        with np.errstate(over="ignore", invalid="ignore"):
            scores = x @ self.weights
            scores += self.bias
            best = np.argmax(scores, axis=1)
            rows = np.arange(len(x))
            first = scores[rows, best].astype(np.float64)
            scores[rows, best] = -np.inf
            second = scores.max(axis=1).astype(np.float64)
            # A comparison with NaN is false: not sure.
            return best, first - second > 2 * self._error(norms)

    def beaten(
        self, x: NDArray[np.float32], norms: NDArray[np.float64], labels: NDArray[np.integer]
    ) -> tuple[NDArray[np.bool_], float]:
        """Whether some class surely beats those of each row of x; and the share of all products
        that finding out took. Rows ascend by the largest of their `labels` [n, l]."""
        largest = labels.max(axis=1)
        highest = self._highest(x, largest)
        beaten = np.zeros(len(x), np.bool_)
        products = 0
        for first in range(0, len(x), _TRIED_ROWS):
            part = slice(first, first + _TRIED_ROWS)
            any_ = largest[part, None]
            own = np.where(labels[part] >= 0, labels[part], any_)
            rivals = np.union1d(own, highest[np.unique(any_)])
            with np.errstate(over="ignore", invalid="ignore"):
                scores = x[part] @ self.weights[:, rivals]
                scores += self.bias[rivals]
                places = np.searchsorted(rivals, own)
                owns = np.take_along_axis(scores, places, axis=1).max(axis=1).astype(np.float64)
                lead = scores.max(axis=1) - owns
                beaten[part] = lead > 2 * self._error(norms[part])
            products += len(own) * len(rivals)
        return beaten, products / (len(x) * len(self.bias))

    def _highest(self, x: NDArray[np.float32], classes: NDArray[np.integer]) -> NDArray[np.int64]:
        """int64[y, k]: for each class of `classes` [n], which ascend, those that the mean of its
        rows of x scores highest; unused rows are zeros."""
        present, own, counts = np.unique(classes, return_inverse=True, return_counts=True)
        shares = 1 / counts[own].astype(np.float32)
        means = scipy.sparse.csr_array((shares, (own, np.arange(len(own)))))
        y = len(self.bias)
        many = min(_RIVALS, y)
        rivals = np.zeros((y, many), np.int64)
        with np.errstate(over="ignore", invalid="ignore"):
            scores = means @ x @ self.weights + self.bias
        rivals[present] = np.argpartition(scores, y - many, axis=1)[:, y - many :]
        return rivals

    def _error(self, norms: NDArray[np.float64]) -> NDArray[np.float64]:
        """What a score of rows of such 2-norms is off by at most, in fp32 and in float64."""
        width = len(self.weights)
        bound = norms * self.norm + self.largest_bias
        error = _gamma(width + 6, _UNIT) * bound
        error += _gamma(width + 6, _UNIT64) * (norms + self.offset) * self.norm
        error += width * _UNDERFLOW * (1 + norms + self.norm)
        # A sum that fp32 can't hold on its way proves nothing.
        return np.where(bound < _LARGEST, error, np.inf)


def _gamma(k: int, unit: float) -> float:
    """k u / (1 - k u): what k roundings do at most, relatively."""
    return k * unit / (1 - k * unit) if k * unit < 0.5 else np.inf
