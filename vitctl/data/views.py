"""A request to a set of images: their positions, and how they are cropped and augmented."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitctl.data.config import AugmentConfig, EvalPreprocess

Request = tuple[NDArray[np.int64], NDArray[np.int32]]
"""int64[b] positions in the split and int32[b, 2] seeds of their augmentation."""


@dataclass(frozen=True)
class TrainView:
    """Images as training sees them: augmented by the seeds of a request."""

    resolution: int
    augment: AugmentConfig


@dataclass(frozen=True)
class EvalView:
    """Images as scoring and probing see them; seeds do not matter."""

    resolution: int
    preprocess: EvalPreprocess


View = TrainView | EvalView
