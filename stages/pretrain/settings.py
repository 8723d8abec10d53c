"""What a user gives -> the settings and inputs of `vitctl pretrain`; needs no terminal."""

from __future__ import annotations

from collections.abc import Callable

from stages.pretrain.spec import Inputs, recipe_of
from vitctl.artifacts import Artifact, Store
from vitctl.data.config import MockConfig
from vitctl.events import Doing, Emit
from vitctl.recipes import pretraining, settings
from vitctl.recipes.recipe import RecipeName
from vitctl.settings.overrides import Overrides, build
from vitctl.settings.trees import Tree, at
from vitctl.train.config import TrainConfig, TrainRuntime

_MOCK_CLASSES = 1000


def resolve(
    overrides: Overrides,
    *,
    model: str | None,
    recipe: RecipeName | None,
    length: settings.Length | None,
    dataset: Callable[[], Artifact],
    mock: bool,
    store: Store,
    runtime: TrainRuntime,
    emit: Emit,
) -> tuple[TrainConfig, Inputs]:
    """The settings and inputs of a run. `dataset` is called once the settings are known to make
    sense, and not with `mock`."""
    inputs = Inputs(None)

    def images(tree: Tree) -> pretraining.Images:
        nonlocal inputs
        if mock:
            emit(Doing("import"))
            made_up = build(MockConfig, at(tree, "data.mock") or {})
            return pretraining.Images(
                made_up.examples, _MOCK_CLASSES, eval_split="val", made_up=True
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
    return resolved.cfg, inputs
