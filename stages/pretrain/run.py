"""How `vitctl pretrain` works: dataset -> a run of checkpoints."""

from __future__ import annotations

import shlex

from stages.pretrain.command import VERSION, Inputs
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
    """Train to `cfg.steps` and return that checkpoint; found, continued or made anew."""
    recipe = Recipe(
        stage="pretrain",
        version=VERSION,
        kind="run",
        config=cfg.identity(),
        parents=(inputs.dataset.as_parent("data"),) if inputs.dataset else (),
    )
    name = runtime.name or slug(cfg.name, default="run")
    with store.open_run(
        recipe, name=name, out=runtime.out, force=runtime.force, emit=emit
    ) as draft:
        checkpoint = draft.result(cfg.steps, emit=emit)
        if checkpoint is None:
            images = open_images(
                cfg,
                local_images(cfg, inputs.dataset, cache=runtime.cache_dir, emit=emit),
                workers=runtime.workers,
            )
            checkpoint = trainer.train(
                draft,
                cfg,
                images=images,
                start=begin.scratch(cfg),
                runtime=runtime,
                emit=emit,
            )
    if cfg.schedule.open_ended:
        emit(Next(f"vitctl cooldown --from {shlex.quote(str(checkpoint.path))}"))
    else:
        emit(Next(f"vitctl fewshot --from {shlex.quote(str(checkpoint.path))}"))
    return checkpoint
