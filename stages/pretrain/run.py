"""How `vitctl pretrain` works: dataset -> a run of checkpoints."""

from __future__ import annotations

import shlex

from stages.pretrain.spec import Inputs, recipe_of
from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.store import slug
from vitctl.events import Caution, Emit, Next, silent
from vitctl.train.config import TrainConfig, TrainRuntime
from vitctl.train.run import beginning as begin
from vitctl.train.run import chance
from vitctl.train.run.trainer import trained


def run(
    cfg: TrainConfig,
    inputs: Inputs,
    *,
    store: Store,
    runtime: TrainRuntime,
    emit: Emit = silent,
) -> Artifact:
    """Train to `cfg.steps` and return that checkpoint. A checkpoint that exists is returned, and
    an unfinished run continued."""
    recipe = recipe_of(cfg, inputs)
    checkpoint = trained(
        recipe,
        cfg,
        origin=lambda images: begin.scratch(cfg),
        dataset=inputs.dataset,
        name=runtime.name or slug(cfg.label, default="run"),
        store=store,
        runtime=runtime,
        emit=emit,
    )
    quoted = shlex.quote(str(checkpoint.path))
    if (caution := chance.sentence(checkpoint, cfg, inputs.dataset)) is not None:
        emit(Caution(caution))
        emit(Next(f"vitctl replay --from {quoted} --out batch.png"))
    elif cfg.schedule.open_ended:
        emit(Next(f"vitctl cooldown --from {quoted}"))
    else:
        emit(Next(f"vitctl fewshot --from {quoted}"))
    return checkpoint
