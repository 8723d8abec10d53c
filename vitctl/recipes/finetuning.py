"""A pretrained checkpoint and a dataset -> the settings of fine-tuning."""

from __future__ import annotations

from vitctl import quantities
from vitctl.artifacts.artifact import Artifact
from vitctl.recipes.branching import Branch, trained_with
from vitctl.recipes.pretraining import Images
from vitctl.recipes.recipe import load_finetune
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
    resolution = rules.resolution.of(width=model.width, resolution=model.resolution)
    tree = before.model_dump(mode="json", exclude={"optim", "schedule", "from_weights"})
    merge(
        tree,
        {
            "model": {"resolution": resolution, "classes": images.classes, "head_bias": 0.0},
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
    asked = at(overrides, "model.resolution")
    if asked is None and resolution != model.resolution:
        notes.append(f"--res {resolution} (pretrained at {model.resolution} px)")
    return Branch(tree, tuple(notes))
