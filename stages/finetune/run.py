"""How `vitctl finetune` works: a pretrained checkpoint -> a model for a dataset's classes."""

from __future__ import annotations

from dataclasses import replace

from stages.finetune.spec import Inputs, recipe_of
from stages.finetune.sweep import choose, train_candidates
from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.following import following
from vitctl.artifacts.kinds import CHECKPOINT
from vitctl.artifacts.kinds.checkpoint import TriedRate
from vitctl.events import Caution, Emit, Note, silent
from vitctl.recipes import overlap
from vitctl.recipes.naming import name_of
from vitctl.train.carried_over import same_classes
from vitctl.train.config import TrainConfig, TrainRuntime
from vitctl.train.run import beginning as begin
from vitctl.train.run import chance
from vitctl.train.run.beginning import StartingPoint
from vitctl.train.run.images import Images
from vitctl.train.run.trainer import trained

Tried = tuple[TriedRate, ...] | None


def run(
    cfg: TrainConfig,
    inputs: Inputs,
    *,
    store: Store,
    runtime: TrainRuntime,
    emit: Emit = silent,
) -> Artifact:
    """Train the weights of the checkpoint on the dataset to `cfg.steps`, with the learning rate of
    `cfg`, or the best of `inputs.sweep`."""
    name = runtime.name or name_of(inputs.checkpoint)

    def train(
        cfg: TrainConfig, runtime: TrainRuntime, *, name: str, tried: Tried = None
    ) -> Artifact:
        def starting_point(images: Images) -> StartingPoint:
            emit(Note(_head(inputs.checkpoint, images.classes)))
            point = begin.warm(cfg, inputs.checkpoint, classes=images.classes)
            return replace(point, sweep=tried)

        return trained(
            recipe_of(cfg, inputs),
            cfg,
            origin=starting_point,
            source=inputs.checkpoint,
            dataset=inputs.dataset,
            name=name,
            store=store,
            runtime=runtime,
            emit=emit,
        )

    if inputs.dataset is not None:
        split = cfg.data.scored_from
        shared = overlap.of_training(inputs.checkpoint, inputs.dataset, split=split, store=store)
        overlap.tell(shared, inputs.dataset, store=store, emit=emit)
    tried = None
    if inputs.sweep is not None:
        in_store = runtime.model_copy(update={"out": None})
        tried = train_candidates(
            cfg,
            inputs.sweep,
            train=lambda of_rate: train(
                of_rate, in_store, name=f"{name}-lr{of_rate.schedule.peak_lr:g}"
            ),
            emit=emit,
        )
        cfg, _ = choose(cfg, tried, emit=emit)
    checkpoint = train(cfg, runtime, name=name, tried=tried)
    if (caution := chance.sentence(checkpoint, cfg, inputs.dataset)) is not None:
        emit(Caution(caution))
    emit(following(checkpoint))
    return checkpoint


def _head(checkpoint: Artifact, classes: tuple[str, ...]) -> str:
    before = CHECKPOINT.summary(checkpoint).classes
    if same_classes(before, classes):
        return f"the head is kept: the same {len(classes)} classes"
    return f"a new head: {len(classes)} classes, pretrained were {len(before)}"
