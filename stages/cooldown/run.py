"""How `vitctl cooldown` works: a checkpoint of a trunk -> a finished model beside it."""

from __future__ import annotations

from stages.cooldown.spec import VERSION, Inputs
from vitctl.artifacts import Artifact, Recipe, Store
from vitctl.artifacts.following import following
from vitctl.events import Caution, Emit, silent
from vitctl.recipes.naming import cooled_name, name_of
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
    checkpoint = trained(
        recipe,
        cfg,
        origin=lambda images: begin.continued(cfg, inputs.checkpoint),
        source=inputs.checkpoint,
        dataset=inputs.dataset,
        name=runtime.name or cooled_name(name_of(inputs.checkpoint), steps=cfg.steps),
        store=store,
        runtime=runtime,
        emit=emit,
    )
    if (caution := chance.sentence(checkpoint, cfg, inputs.dataset)) is not None:
        emit(Caution(caution))
    emit(following(checkpoint))
    return checkpoint
