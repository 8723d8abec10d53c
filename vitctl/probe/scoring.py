"""The class of the largest score of every test image: float64's answer, mostly at fp32's price.

A score is x @ w + b. Computed in fp32 in any order of summation, it is off by at most

    k u / (1 - k u) (||x|| ||w|| + |b|),    k = d + 6, u = 2^-24

for d columns (Higham, "Accuracy and Stability of Numerical Algorithms", 2nd edition, section 3.1,
and Cauchy and Schwarz; the 6 are the roundings of x, w, b and their sum, and of the norms). Where
the best score is ahead of the second by more than twice that, every more precise computation has
the same best. The other images are scored in float64.

The bound is tight where columns have one size, so features are centred and multiplied by powers of
two, which rounds nothing, and weights are divided by those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitctl.probe.ridge import Classifier

# Rows scored at a time: 27 MB of features at width 1664, 16 MB of scores for 1000 classes.
_ROWS = 4096
_UNIT = 2.0**-24
_UNIT64 = 2.0**-53
# What underflow may lose of a product or a rounded factor, also where the processor flushes to 0.
_UNDERFLOW = 2.0**-126


@dataclass(frozen=True)
class RankedClasses:
    """int64[classifiers, n] `classes` of the largest scores (ties go to the lower index), and how
    many of them were `proven` by fp32 scores."""

    classes: NDArray[np.int64]
    proven: int


@dataclass(frozen=True)
class Scorer:
    """Of test `features` [n, d], which are brought near `centre` and `size` (both [d]): those of
    any features like them."""

    features: NDArray[np.floating]
    centre: NDArray[np.float32]
    unscale: NDArray[np.float32]

    @staticmethod
    def of(features: NDArray[np.floating], *, like: NDArray[np.floating]) -> Scorer:
        """A scorer of `features` [n, d] for classifiers fitted on some of `like` [m, d]."""
        sample = np.asarray(like[:: 1 + len(like) // _ROWS], np.float64)
        centre, spread = sample.mean(axis=0), sample.std(axis=0)
        exponent = np.clip(np.round(np.log2(np.maximum(spread, 2.0**-30))), -30, 30)
        return Scorer(features, centre.astype(np.float32), np.exp2(-exponent).astype(np.float32))

    def answers(self, classifiers: Sequence[Classifier]) -> RankedClasses:
        """The classes that each of the classifiers answers."""
        answers = np.empty((len(classifiers), len(self.features)), np.int64)
        proven = 0
        ready = [self._single(classifier) for classifier in classifiers]
        for first in range(0, len(self.features), _ROWS):
            rows = self.features[first : first + _ROWS]
            with np.errstate(over="ignore"):
                x = ((rows - self.centre) * self.unscale).astype(np.float32)
                norms = np.sqrt(np.einsum("nd,nd->n", x, x)).astype(np.float64)
            for single, classifier, out in zip(ready, classifiers, answers, strict=True):
                best, sure = single.best(x, norms)
                open_ = np.flatnonzero(~sure)
                proven += len(x) - len(open_)
                if open_.size:
                    exact = np.asarray(rows[open_], np.float64)
                    best[open_] = np.argmax(exact @ classifier.weights + classifier.bias, axis=1)
                out[first : first + _ROWS] = best
        return RankedClasses(answers, proven)

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
        width = len(self.weights)
        with np.errstate(over="ignore", invalid="ignore"):
            scores = x @ self.weights
            scores += self.bias
            best = np.argmax(scores, axis=1)
            rows = np.arange(len(x))
            first = scores[rows, best].astype(np.float64)
            scores[rows, best] = -np.inf
            second = scores.max(axis=1).astype(np.float64)
            error = _gamma(width + 6, _UNIT) * (norms * self.norm + self.largest_bias)
            error += _gamma(width + 6, _UNIT64) * (norms + self.offset) * self.norm
            error += width * _UNDERFLOW * (1 + norms + self.norm)
            # A comparison with NaN is false: not sure.
            return best, first - second > 2 * error


def _gamma(k: int, unit: float) -> float:
    """k u / (1 - k u): what k roundings do at most, relatively."""
    return k * unit / (1 - k * unit) if k * unit < 0.5 else np.inf
