"""How `vitctl finetune` works: a pretrained checkpoint -> a model for a dataset's classes."""

from __future__ import annotations

import shlex
from functools import partial

from stages.finetune.spec import Inputs, recipe_of
from vitctl.artifacts import Artifact, Store, crew
from vitctl.artifacts.kinds import CHECKPOINT
from vitctl.data.digest import ConsumedSamples
from vitctl.events import Caution, Emit, Next, Note, silent
from vitctl.inference import weights as frozen
from vitctl.recipes.branching import trained_with
from vitctl.recipes.naming import name_of
from vitctl.sharding.layout import Layout
from vitctl.train.config import TrainConfig, TrainRuntime
from vitctl.train.program import state
from vitctl.train.program.state import TrainState
from vitctl.train.run import chance, warm_start
from vitctl.train.run.beginning import StartingPoint
from vitctl.train.run.images import Images
from vitctl.train.run.trainer import trained
from vitctl.train.trained_classes import classes_trained_on


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
        weights = partial(
            _pretrained, cfg=cfg, checkpoint=inputs.checkpoint, classes=images.classes
        )
        return StartingPoint(
            0, weights, ConsumedSamples(), classes=classes_trained_on(inputs.checkpoint)
        )

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
    emit(Next(f"vitctl evaluate --from {shlex.quote(str(checkpoint.path))}"))
    return checkpoint


def _pretrained(
    layout: Layout, *, cfg: TrainConfig, checkpoint: Artifact, classes: tuple[str, ...]
) -> TrainState:
    """The checkpoint's weights, made to fit, with a new optimizer."""
    crew.require_whole(checkpoint)
    before = trained_with(checkpoint)
    params = frozen.weights_of(
        checkpoint.path, model=before.model, layout=layout, weights=cfg.from_weights
    )
    changes = {name: params[name] for name in warm_start.CHANGES if name in params}
    fitted = warm_start.adapt(
        {**params, **layout.on_host(changes)},
        before=before.model,
        after=cfg.model,
        classes_before=CHECKPOINT.summary(checkpoint).classes,
        classes_after=classes,
        seed=cfg.seed,
    )
    params = layout.place(fitted, layout.params(fitted))
    return state.with_params(cfg, params, layout=layout)


def _head(checkpoint: Artifact, classes: tuple[str, ...]) -> str:
    before = CHECKPOINT.summary(checkpoint).classes
    if warm_start.same_classes(before, classes):
        return f"the head is kept: the same {len(classes)} classes"
    return f"a new head: {len(classes)} classes, pretrained were {len(before)}"
