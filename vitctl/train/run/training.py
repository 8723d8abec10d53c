"""What pretrain, cooldown and finetune do alike: find the answer, or train until it is there."""

from __future__ import annotations

from collections.abc import Callable

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.manifest import Recipe
from vitctl.artifacts.store import Store
from vitctl.events import Emit
from vitctl.train.config import TrainConfig, TrainRuntime
from vitctl.train.run import trainer
from vitctl.train.run.beginning import Start
from vitctl.train.run.images import Images, local_images, open_images


def trained(
    recipe: Recipe,
    cfg: TrainConfig,
    *,
    start: Callable[[Images], Start],
    source: Artifact | None = None,
    dataset: Artifact | None,
    name: str,
    store: Store,
    runtime: TrainRuntime,
    emit: Emit,
) -> Artifact:
    """The checkpoint of `cfg.steps`: found, or trained by a run that is continued or made anew.

    Args:
      start: where a run begins that has no checkpoint of its own.
      source: the checkpoint it begins from, which its run keeps until this one is finished.
      dataset: what is trained on; None if the images are made up.

    Raises:
      As `trainer.train`.
    """
    # Without the lock first: a run that trains on still answers for what it is done with.
    there = None if runtime.force else store.answered(recipe, cfg.steps, out=runtime.out)
    if there is not None:
        return there
    with store.open_run(
        recipe, name=name, out=runtime.out, force=runtime.force, emit=emit
    ) as draft:
        checkpoint = draft.result(cfg.steps, emit=emit)
        if checkpoint is None:
            if source is not None:
                draft.begin_from(source)
            local = local_images(cfg, dataset, cache=runtime.cache_dir, emit=emit)
            images = open_images(cfg, local, workers=runtime.workers)
            checkpoint = trainer.train(
                draft, cfg, images=images, start=start(images), runtime=runtime, emit=emit
            )
        if source is not None:
            draft.finish_from(source)
    return checkpoint
