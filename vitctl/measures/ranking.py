"""Average precision: how far the images of a class come before the others, by its scores.

    AP = sum over thresholds t of (recall(t) - recall(the next higher t)) precision(t)

without interpolation, as `sklearn.metrics.average_precision_score` computes it: images of equal
scores lie below one threshold together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ranked:
    """The images of a split in the order of a class's scores, the highest first.

    order     int[n], positions of the images
    positive  float64[n], in that order: 1 where the image has the class
    last_places      int[t], the last place of each run of equal scores
    """

    order: NDArray[np.intp]
    positive: NDArray[np.float64]
    last_places: NDArray[np.intp]

    @staticmethod
    def of(scores: NDArray[np.floating], has_class: NDArray[np.bool_]) -> Ranked:
        order = np.argsort(-scores, kind="stable")
        ordered = scores[order]
        last_places = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
        return Ranked(order, has_class[order].astype(np.float64), last_places)

    def average_precision(self, weights: NDArray[np.float64] | None = None) -> float:
        """`weights` float64[n]: how often each image counts, once if left out. NaN where no image
        that counts has the class."""
        counted = None if weights is None else weights[self.order]
        hits = self.positive if counted is None else self.positive * counted
        hits = np.cumsum(hits)[self.last_places]
        if not hits[-1]:
            return float("nan")
        counted_images = (
            self.last_places + 1.0 if counted is None else np.cumsum(counted)[self.last_places]
        )
        precision = hits / np.where(counted_images > 0, counted_images, 1.0)
        return float(np.sum(np.diff(hits, prepend=0.0) * precision) / hits[-1])
