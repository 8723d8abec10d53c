"""How `vitctl finetune` works: a pretrained checkpoint -> a model for a dataset's classes."""

from __future__ import annotations

from stages.finetune.spec import Inputs, recipe_of
from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.following import following
from vitctl.artifacts.kinds import CHECKPOINT
from vitctl.events import Caution, Emit, Note, silent
from vitctl.recipes.naming import name_of
from vitctl.train.carried_over import same_classes
from vitctl.train.config import TrainConfig, TrainRuntime
from vitctl.train.run import beginning as begin
from vitctl.train.run import chance
from vitctl.train.run.beginning import StartingPoint
from vitctl.train.run.images import Images
from vitctl.train.run.trainer import trained


def run(
    cfg: TrainConfig,
    inputs: Inputs,
    *,
    store: Store,
    runtime: TrainRuntime,
    emit: Emit = silent,
) -> Artifact:
    """Train all weights of the checkpoint on the dataset to `cfg.steps`."""
    recipe = recipe_of(cfg, inputs)

    def starting_point(images: Images) -> StartingPoint:
        emit(Note(_head(inputs.checkpoint, images.classes)))
        return begin.warm(cfg, inputs.checkpoint, classes=images.classes)

    checkpoint = trained(
        recipe,
        cfg,
        origin=starting_point,
        source=inputs.checkpoint,
        dataset=inputs.dataset,
        name=runtime.name or name_of(inputs.checkpoint),
        store=store,
        runtime=runtime,
        emit=emit,
    )
    if (caution := chance.sentence(checkpoint, cfg, inputs.dataset)) is not None:
        emit(Caution(caution))
    emit(following(checkpoint))
    return checkpoint


def _head(checkpoint: Artifact, classes: tuple[str, ...]) -> str:
    before = CHECKPOINT.summary(checkpoint).classes
    if same_classes(before, classes):
        return f"the head is kept: the same {len(classes)} classes"
    return f"a new head: {len(classes)} classes, pretrained were {len(before)}"
