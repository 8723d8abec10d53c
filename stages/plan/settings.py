"""What a user gives -> the settings and inputs of `vitctl plan`; needs no terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from stages.plan.spec import Inputs, PlanRuntime
from vitctl.artifacts import Artifact
from vitctl.artifacts import inputs as artifact_inputs
from vitctl.artifacts.kinds import CHECKPOINT
from vitctl.events import Emit, Note
from vitctl.hardware.precision import Precision
from vitctl.plan.topology import LOCAL, parse
from vitctl.recipes import going_on, pretraining, settings
from vitctl.recipes.recipe import RecipeName
from vitctl.settings.overrides import Overrides, build
from vitctl.settings.trees import at
from vitctl.text.quantities import counted
from vitctl.train.config import TrainConfig

# What is planned for where nothing says how many images and classes there are.
_IMAGENET = pretraining.ImageFacts(examples=1_281_167, classes=1000, eval_split=None)


@dataclass(frozen=True)
class Planned:
    """What a plan is of. `largest_batch`: that a search may take; None if the batch is fixed."""

    cfg: TrainConfig
    inputs: Inputs
    largest_batch: int | None

    def runtime(self, running: Mapping[str, Any]) -> PlanRuntime:
        """How it is to run, by what is given of the fields of `PlanRuntime`."""
        return build(PlanRuntime, {**running, "largest_batch": self.largest_batch})


def resolve(
    overrides: Overrides,
    *,
    model: str | None,
    recipe: RecipeName | None,
    length: settings.Length | None,
    topology: str,
    dataset: Callable[[Artifact | None], Artifact],
    names_dataset: bool,
    examples: int | str | None,
    checkpoint: Artifact | None = None,
    emit: Emit,
) -> Planned:
    """The settings that `pretrain` would resolve, for a dataset, or for so many `examples`, or for
    ImageNet-1k; from random weights, or from those of a `checkpoint`. One that was trained on
    synthetic images goes on with these.

    Args:
      dataset: finds the dataset that the user named, else that which a checkpoint was trained on.
      names_dataset: whether the user named one.

    Raises UsageError for settings that make no sense, or an unknown topology.
    """
    count = pretraining.example_count(examples, names_dataset=names_dataset)
    where = None if topology.strip().lower() == LOCAL else parse(topology)
    described = _IMAGENET
    own = going_on.has_dataset(checkpoint) if count is None and not names_dataset else None
    data = dataset(own) if names_dataset or own is not None else None
    if data is not None:
        described = pretraining.images_of(data, split="train")
    elif count is not None:
        described = pretraining.ImageFacts(count, _IMAGENET.classes, None)
    target: Precision | None = "bfloat16" if where else None  # this machine decides for itself
    assumed = data is None and count is None
    if checkpoint is not None and data is None:
        if assumed and artifact_inputs.is_synthetic(checkpoint):
            described, assumed = going_on.made_up(checkpoint, overrides), False
        elif at(overrides.tree(), "model.classes") is None:
            names = CHECKPOINT.summary(checkpoint).classes
            described = replace(described, classes=len(names) or described.classes, names=names)
    if checkpoint is None:
        resolved = settings.resolve(
            overrides,
            model=model,
            recipe=recipe,
            length=length,
            images=lambda tree: described,
            mock=data is None,
            target_precision=target,
        )
    else:
        resolved = going_on.resolve(
            going_on.Source(checkpoint, data, described),
            overrides,
            model=model,
            recipe=recipe,
            length=length,
            target_precision=target,
        )
    resolved.announce(emit)
    cfg = resolved.cfg
    if assumed:
        images = counted(described.examples, "image")
        classes = counted(cfg.model.classes, "class")
        emit(Note(f"for {images} in {classes}; --data, or --examples and --classes, say otherwise"))
    layers = (overrides.flags, overrides.settings)
    fixed = any(at(layer, "data.batch") is not None for layer in layers)
    inputs = Inputs(where, resolved.from_step)
    return Planned(cfg, inputs, None if fixed else described.examples)
