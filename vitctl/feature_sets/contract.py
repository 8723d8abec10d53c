"""What probes need of features, whoever computed them.

StoredFeatures    an artifact of `vitctl embed`  vitctl.feature_sets.stored
ForeignFeatures   arrays of another program      vitctl.feature_sets.foreign
ComputedFeatures  a checkpoint and its images    stages.fewshot.subjects
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vitctl.errors import NotFoundError
from vitctl.text.quoting import quoted


def no_split(name: str, *, of: object, splits: Iterable[str]) -> NotFoundError:
    """What is raised for a split that a source does not have; `of` names it."""
    return NotFoundError(
        f"{of} has no features of a split {quoted(name)}",
        hint=f"it has {', '.join(splits)}: --train-split and --eval-split choose one",
    )


class FeatureSource(Protocol):
    """Features and classes of images, by split and position."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names in the order of the labels' numbers."""

    @property
    def width(self) -> int:
        """Numbers an image."""

    def labels(self, split: str) -> NDArray[np.int32]:
        """int32[n, l] of a split, padded with -1. Raises NotFoundError if there is none of that
        name."""

    def rows(
        self,
        split: str,
        positions: NDArray[np.int64],
        *,
        progress: Callable[[int], None] = lambda done: None,
    ) -> NDArray[np.float32]:
        """float32[k, width] of the images at int64[k] ascending positions. `progress` gets how
        many there are so far."""
