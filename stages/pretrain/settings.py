"""What a user gives -> the settings and inputs of `vitctl pretrain`; needs no terminal."""

from __future__ import annotations

from collections.abc import Callable

from stages.pretrain.spec import Inputs, recipe_of
from vitctl.artifacts import Artifact, Store
from vitctl.data.config import MockConfig
from vitctl.events import Caution, Doing, Emit
from vitctl.recipes import few_images, going_on, pretraining, settings
from vitctl.recipes.recipe import RecipeName
from vitctl.settings.overrides import Overrides, build
from vitctl.settings.trees import Tree, at
from vitctl.train.config import TrainConfig, TrainRuntime


def resolve(
    overrides: Overrides,
    *,
    model: str | None,
    recipe: RecipeName | None,
    length: settings.Length | None,
    dataset: Callable[[], Artifact],
    mock: bool,
    checkpoint: Artifact | None = None,
    store: Store,
    runtime: TrainRuntime,
    emit: Emit,
) -> tuple[TrainConfig, Inputs]:
    """The settings and inputs of a run, from random weights or from those of `checkpoint`.
    `dataset` is called once the settings are known to make sense, and not with `mock`."""
    if checkpoint is not None:
        return _further(
            overrides,
            checkpoint,
            model=model,
            recipe=recipe,
            length=length,
            dataset=None if mock else dataset(),
            emit=emit,
        )
    inputs = Inputs(None)

    def images(tree: Tree) -> pretraining.ImageFacts:
        nonlocal inputs
        if mock:
            emit(Doing("import"))
            made_up = build(MockConfig, at(tree, "data.mock") or {})
            return pretraining.ImageFacts(
                made_up.examples, pretraining.MOCK_CLASSES, eval_split="val", made_up=True
            )
        artifact = dataset()
        inputs = Inputs(artifact)
        emit(Doing("import"))  # what the precision is, jax knows
        return pretraining.images_of(artifact, split=at(tree, "data.split") or "train")

    resolved = settings.resolve(
        overrides, model=model, recipe=recipe, length=length, images=images, mock=mock
    )
    pretraining.check_images(
        mock=resolved.cfg.data.mock is not None, dataset=inputs.dataset is not None
    )
    resolved = settings.continued(
        resolved, lambda cfg: recipe_of(cfg, inputs), store=store, runtime=runtime
    )
    resolved.announce(emit)
    requested = recipe is not None or at(overrides.tree(), "recipe") is not None
    slow = None if requested else few_images.before_training(resolved.cfg, inputs.dataset)
    if slow is not None and not _is_done(resolved.cfg, inputs, store=store, runtime=runtime):
        emit(Caution(slow))
    return resolved.cfg, inputs


def _is_done(cfg: TrainConfig, inputs: Inputs, *, store: Store, runtime: TrainRuntime) -> bool:
    """Whether the store answers already, so that no time is spent."""
    if runtime.force:
        return False
    recipe = recipe_of(cfg, inputs)
    return store.earlier_result(recipe, cfg.steps, name="any", out=runtime.out) is not None


def _further(
    overrides: Overrides,
    checkpoint: Artifact,
    *,
    model: str | None,
    recipe: RecipeName | None,
    length: settings.Length | None,
    dataset: Artifact | None,
    emit: Emit,
) -> tuple[TrainConfig, Inputs]:
    """The settings and inputs of a run that goes on from a checkpoint; synthetic images without a
    dataset."""
    emit(Doing("import"))
    if dataset is None:
        images = going_on.made_up(checkpoint, overrides)
    else:
        split = at(overrides.tree(), "data.split") or "train"
        images = pretraining.images_of(dataset, split=split)
    source = going_on.Source(checkpoint, dataset, images)
    resolved = going_on.resolve(source, overrides, model=model, recipe=recipe, length=length)
    pretraining.check_images(mock=resolved.cfg.data.mock is not None, dataset=dataset is not None)
    resolved.announce(emit)
    return resolved.cfg, Inputs(dataset, checkpoint)
