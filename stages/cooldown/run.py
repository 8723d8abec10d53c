"""How `vitctl cooldown` works: a checkpoint of a trunk -> a finished model beside it."""

from __future__ import annotations

import shlex

from stages.cooldown.command import VERSION, Inputs
from vitctl.artifacts import Artifact, Recipe, Store
from vitctl.artifacts.store import slug
from vitctl.events import Emit, Next, silent
from vitctl.train import start as begin
from vitctl.train import trainer
from vitctl.train.config import TrainConfig, TrainRuntime
from vitctl.train.images import local_images, open_images


def run(
    cfg: TrainConfig,
    inputs: Inputs,
    *,
    store: Store,
    runtime: TrainRuntime,
    emit: Emit = silent,
) -> Artifact:
    """Continue weights, optimizer and data order of the checkpoint to `cfg.steps`."""
    parents = [inputs.checkpoint.as_parent("from")]
    if inputs.dataset is not None:
        parents.append(inputs.dataset.as_parent("data"))
    recipe = Recipe(
        stage="cooldown",
        version=VERSION,
        kind="run",
        config=cfg.identity(),
        parents=tuple(parents),
    )
    default = f"{slug(cfg.name, default='run')}-{cfg.steps}"
    name = runtime.name or default
    with store.open_run(
        recipe, name=name, out=runtime.out, force=runtime.force, emit=emit
    ) as draft:
        checkpoint = draft.result(cfg.steps, emit=emit)
        if checkpoint is None:
            draft.begin_from(inputs.checkpoint)
            images = open_images(
                cfg,
                local_images(cfg, inputs.dataset, cache=runtime.cache_dir, emit=emit),
                workers=runtime.workers,
            )
            checkpoint = trainer.train(
                draft,
                cfg,
                images=images,
                start=begin.continued(cfg, inputs.checkpoint),
                runtime=runtime,
                emit=emit,
            )
        draft.finish_from(inputs.checkpoint)
    emit(Next(f"vitctl fewshot --from {shlex.quote(str(checkpoint.path))}"))
    return checkpoint
