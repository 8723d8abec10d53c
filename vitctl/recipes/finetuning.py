"""A pretrained checkpoint and a dataset -> the settings of fine-tuning."""

from __future__ import annotations

import math
from typing import assert_never, get_args

from vitctl.artifacts.artifact import Artifact
from vitctl.data.config import HELD_OUT
from vitctl.errors import UsageError
from vitctl.model.config import Loss, ModelConfig, calm_bias, nearest_sizes
from vitctl.recipes import cropping
from vitctl.recipes.branching import Branch, check_no_sequences, trained_with
from vitctl.recipes.pretraining import ImageFacts, earlier_versions, examples_of_epoch, unscaled
from vitctl.recipes.recipe import Preset, RateScaling, load_finetune
from vitctl.settings.trees import Tree, at, merge, positive
from vitctl.text import quantities

_LEFT_BEHIND = {
    "optim",
    "schedule",
    "from_weights",
    "from_schedule",
    "from_head",
    "label_smoothing",
    "class_balance",
    "keep_best",
    "procedural",
}
"""What fine-tuning does not take over from the run that it begins from."""

_SCORES = 20
"""Scores in a run that the best checkpoint is chosen from, where nothing else is set."""


def resolve(
    checkpoint: Artifact,
    *,
    images: ImageFacts,
    duration: tuple[float, quantities.Unit] | None,
    overrides: Tree,
    preset: Preset | None = None,
    scaling: RateScaling | None = None,
) -> Branch:
    """Settings for `TrainConfig`, to be merged under `overrides`, which they take into account; the
    recipe's, or those of a preset. With `scaling` its learning rate is scaled to the batch.

    Model, seed, precision and the way images are cropped and flipped come from the checkpoint;
    the strong augmentation of pretraining does not. Of small images crops keep more.
    """
    _check_choice(overrides)
    check_no_sequences(overrides)
    rules = load_finetune(preset)
    before = trained_with(checkpoint)
    epoch = examples_of_epoch(images, overrides)
    model = before.model

    def lengths(batch: int) -> Tree:
        steps = (
            rules.duration.of(batch=batch, examples=epoch)
            if duration is None
            else quantities.to_steps(*duration, batch=batch, examples=epoch)
        )
        warmup = min(rules.warmup.of(whole=steps), steps - 1)
        tree: Tree = {
            "data": {"batch": batch},
            "schedule": {"total_steps": steps, "warmup_steps": warmup},
        }
        if overrides.get("keep_best"):
            tree["keep_best"] = {"every": -(-steps // _SCORES)}
        return tree

    size = {"width": model.width, "examples": images.examples}
    given = positive(overrides, "data.batch")
    batch = given or rules.batch.of(**size)
    loss = overrides.get("loss") or rules.settings["loss"]
    # Of a new head; one that is kept has its own. Another word is refused where settings are built.
    bias = calm_bias(loss, classes=images.classes) if loss in get_args(Loss) else 0.0
    if (patch := positive(overrides, "model.patch")) not in (None, model.patch):
        raise UsageError(
            f"fine-tuning keeps the checkpoint's patches of {model.patch} px (model.patch={patch})",
            hint="vitctl pretrain --from RUN --set model.patch=N goes on with others first",
        )
    requested = positive(overrides, "model.resolution")
    usual = rules.resolution.of(width=model.width, resolution=model.resolution)
    chosen = usual if usual == model.resolution else nearest_sizes(usual, patch=model.patch)[0]
    # Settings of the user that give the grid, or change the model, win over the recipe.
    free = "position_grid" not in (overrides.get("model") or {})
    span = span_of(model, resolution=requested or chosen) if free else None
    tree = before.model_dump(mode="json", exclude=_LEFT_BEHIND)
    for own in ("first_step", "held_out", "made_on"):
        tree["data"].pop(own, None)
    holds_out = at(overrides, "data.held_out") is not None
    merge(
        tree,
        {
            "model": {
                "resolution": chosen,
                "position_grid": span,
                "classes": images.classes,
                "head_bias": bias,
            },
            "data": {
                "split": "train",
                "eval_split": HELD_OUT if holds_out else images.eval_split,
                "augment": {"randaugment": None, "mixup_alpha": None},
                "mock": None,
            },
        },
        lengths(batch),
        rules.settings,
    )
    notes = [f"recipe: {rules.title}"]
    whole = rules.batch.whole(width=model.width)
    if scaling is not None:
        rate = rules.settings["schedule"]["peak_lr"]
        scaled = scaled_rate(rate, batch=batch, usual=whole, scaling=scaling)
        merge(tree, {"schedule": {"peak_lr": scaled}})
        notes.append(
            f"--lr {scaled:g} ({rate:g} of batches of {whole}, scaled to {batch}: {scaling})"
        )
    if requested is None and chosen != model.resolution:
        nearest = "" if chosen == usual else f"; of the recipe's {usual} px the nearest size"
        divided = "" if chosen == usual else f" that patches of {model.patch} px divide"
        notes.append(f"--res {chosen} (pretrained at {model.resolution} px{nearest}{divided})")
    if span is not None:
        notes.append(
            f"position embeddings span the {span}x{span} patches of pretraining "
            "(--set model.position_grid=none counts on beyond them)"
        )
    if scaling is None:
        notes += unscaled(
            rules.settings["schedule"]["peak_lr"],
            batch=batch,
            usual=whole,
            adaptive=False,
            overrides=overrides,
        )
    augment = before.data.augment
    own_data: Tree = rules.settings.get("data", {})
    crops = cropping.of_small_images(
        images.side,
        rules.crop,
        usual=augment,
        overrides=merge({}, {"data": own_data}, overrides),
    )
    notes += crops.notes
    # What a preset or the checkpoint sets for crops is left out with the crops that it is of.
    crop = at(overrides, "data.augment.crop")
    if crop not in (None, "simple"):
        merge(tree, {"data": {"augment": {"crop_ratio": None}}})
    if crop == "none":
        merge(tree, {"data": {"augment": {"jpeg_oversampling": None}}})
    cropped: Tree = {}
    if crops.area_min is not None:
        merge(tree, {"data": {"augment": {"area_min": crops.area_min}}})
        cropped = {"data": {"augment": {"area_min": before.data.augment.area_min}}}
    before_tree: Tree = {}
    if chosen != usual or span is not None:
        before_tree = {"model": {"resolution": usual, "position_grid": None}}
    if bias != 0.0:
        merge(before_tree, {"model": {"head_bias": 0.0}})
    if given is None:
        merge(before_tree, lengths(rules.batch.of(**size, least=1)))
    differs = merge({}, tree, before_tree) != tree
    versions = earlier_versions(cropped, before_tree if differs else {})
    if preset is not None or scaling is not None:
        versions = ()  # earlier versions had neither
    if own_data:
        # Presets were without settings of data at first: crops and scoring as in pretraining.
        earlier = cropping.of_small_images(
            images.side, rules.crop, usual=augment, overrides=overrides
        )
        area = augment.area_min if earlier.area_min is None else earlier.area_min
        cropped = {"crop": augment.crop, "crop_ratio": augment.crop_ratio, "area_min": area}
        ratio = {"ratio": before.data.evaluation.ratio}
        versions = ({"data": {"augment": cropped, "evaluation": ratio}},)
    return Branch(tree, tuple(notes), before=versions)


def _check_choice(overrides: Tree) -> None:
    """Raise UsageError for settings of how the best checkpoint is chosen without what is best: they
    would change the result of the run, which is otherwise its last checkpoint."""
    given = overrides.get("keep_best") or {}
    if not given or given.get("metric") is not None:
        return
    flags = {"patience": "--patience", "every": "--score-every"}
    named = [flags[name] for name in flags if given.get(name) is not None]
    if named:
        verb = "are" if len(named) > 1 else "is"
        raise UsageError(
            f"{' and '.join(named)} {verb} given, and nothing says which checkpoint is the best",
            hint="add --keep-best top1",
        )


def scaled_rate(rate: float, *, batch: int, usual: int, scaling: RateScaling) -> float:
    """A rate that is meant for batches of `usual` images, for another batch."""
    match scaling:
        case "linear":
            return rate * batch / usual
        case "sqrt":
            return rate * math.sqrt(batch / usual)
        case _:
            assert_never(scaling)


def span_of(model: ModelConfig, *, resolution: int, patch: int | None = None) -> int | None:
    """The grid whose coordinates fixed position embeddings span at another resolution, or with
    patches of another size: that of pretraining, as features then move least (docs/log,
    2026-11-28). None for its own."""
    match model.position:
        case "learned":
            return None  # resampled where the weights are taken over
        case "sincos2d":
            span = model.position_grid or model.grid
            return None if span == resolution // (patch or model.patch) else span
        case _:
            assert_never(model.position)
