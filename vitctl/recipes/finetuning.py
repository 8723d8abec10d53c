"""A pretrained checkpoint and a dataset -> the settings of fine-tuning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from vitctl import quantities
from vitctl.artifacts.artifact import Artifact
from vitctl.model.config import ModelConfig, nearest_sizes
from vitctl.recipes.branching import Branch, trained_with
from vitctl.recipes.pretraining import Images
from vitctl.recipes.recipe import FinetuneRecipe, load_finetune
from vitctl.settings.trees import Tree, at, merge, positive


def resolve(
    checkpoint: Artifact,
    *,
    images: Images,
    duration: tuple[float, quantities.Unit] | None,
    overrides: Tree,
) -> Branch:
    """Settings for `TrainConfig`, to be merged under `overrides`, which they take into account.

    Model, seed, precision and the way images are cropped and flipped come from the checkpoint;
    the strong augmentation of pretraining does not.
    """
    rules = load_finetune()
    before = trained_with(checkpoint)
    model = before.model
    batch = positive(overrides, "data.batch") or rules.batch.of(
        width=model.width, examples=images.examples
    )
    steps = (
        rules.duration.of(batch=batch, examples=images.examples)
        if duration is None
        else quantities.to_steps(*duration, batch=batch, examples=images.examples)
    )
    requested = positive(overrides, "model.resolution")
    usual = rules.resolution.of(width=model.width, resolution=model.resolution)
    chosen = usual if usual == model.resolution else nearest_sizes(usual, patch=model.patch)[0]
    # Who says what to span, or changes the model, says it in place of the recipe.
    free = "position_grid" not in (overrides.get("model") or {})
    span = _span(model, resolution=requested or chosen) if free else None
    tree = before.model_dump(mode="json", exclude={"optim", "schedule", "from_weights"})
    merge(
        tree,
        {
            "model": {
                "resolution": chosen,
                "position_grid": span,
                "classes": images.classes,
                "head_bias": 0.0,
            },
            "data": {
                "split": "train",
                "eval_split": images.eval_split,
                "batch": batch,
                "augment": {"randaugment": None, "mixup_alpha": None},
                "mock": None,
            },
            "schedule": {
                "total_steps": steps,
                "warmup_steps": min(rules.warmup.of(whole=steps), steps - 1),
            },
        },
        rules.settings,
    )
    notes = [f"recipe: {rules.title}"]
    if requested is None and chosen != model.resolution:
        nearest = "" if chosen == usual else f"; of the recipe's {usual} px the nearest size"
        divided = "" if chosen == usual else f" that patches of {model.patch} px divide"
        notes.append(f"--res {chosen} (pretrained at {model.resolution} px{nearest}{divided})")
    if span is not None:
        notes.append(
            f"position embeddings span the {span}x{span} patches of pretraining "
            "(--set model.position_grid=none counts on beyond them)"
        )
    notes += _unscaled(rules, batch=batch, overrides=overrides)
    earlier = {"model": {"resolution": usual, "position_grid": None}}
    differs = chosen != usual or span is not None
    return Branch(tree, tuple(notes), before=earlier if differs else None)


def _span(model: ModelConfig, *, resolution: int) -> int | None:
    """The grid whose coordinates fixed position embeddings span at another resolution: that of
    pretraining, as features then move least (docs/log, 2026-11-28). None for its own."""
    match model.position:
        case "learned":
            return None  # resampled where the weights are taken over
        case "sincos2d":
            span = model.position_grid or model.grid
            return None if span == resolution // model.patch else span
        case _:
            assert_never(model.position)


def _unscaled(rules: FinetuneRecipe, *, batch: int, overrides: Tree) -> Iterator[str]:
    """The learning rate is the recipe's whatever the batch: said where the batch is another."""
    if at(overrides, "schedule.peak_lr") is not None or batch == rules.batch.images:
        return
    rate = rules.settings["schedule"]["peak_lr"]
    proportional = rate * batch / rules.batch.images
    yield (
        f"--lr {rate:g} is the recipe's for batches of {rules.batch.images} and is not scaled to "
        f"{batch}; in proportion it would be --lr {proportional:.2g}"
    )
