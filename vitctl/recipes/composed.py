"""Commands that train several models by other commands: how each run is trained, and its images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import NonNegativeInt, PositiveInt

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.kinds import DATASET
from vitctl.artifacts.store import Store
from vitctl.events import Emit
from vitctl.train.config import TrainRuntime


class ComposedRuntime(TrainRuntime):
    """As of training, but each run is scored at its end only, and keeps its last checkpoint."""

    eval_every: NonNegativeInt | None = 0
    keep_newest: PositiveInt = 1

    def of_each(self, *, steps: int) -> dict[str, Any]:
        """How a run of so many steps is trained: what was asked to stay of it stays, else its last
        checkpoint alone."""
        runtime = self.model_dump(exclude={"name", "out", "force"})
        if self.keep_every is None:
            runtime["keep_every"] = steps
        return runtime


class SubsetCommand(Protocol):
    """`stages.api.subset`."""

    def __call__(
        self, data: Artifact, *, set: Mapping[str, Any], store: Any, emit: Emit
    ) -> Artifact: ...


def drawn(
    dataset: Artifact,
    *,
    images: int,
    split: str,
    seed: int,
    subset: SubsetCommand,
    store: Store,
    emit: Emit,
) -> Artifact:
    """So many images of a split, as a dataset of its own: the first by a hash of their keys and the
    seed, so that a smaller draw lies inside a larger one. Other splits are as they were, and so is
    a dataset that has no more."""
    if DATASET.summary(dataset).examples[split] <= images:
        return dataset
    draw = {"images": images, "split": split, "seed": seed}
    return subset(dataset, set=draw, store=store, emit=emit)
