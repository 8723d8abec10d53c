"""A model as it was read -> the settings of the run it becomes; needs no terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from stages.import_.spec import ImportConfig
from vitctl.data.config import AugmentConfig, EvalPreprocess
from vitctl.errors import InputError, UsageError
from vitctl.hardware.precision import Precision
from vitctl.interop.described import Described
from vitctl.interop.reading import Model
from vitctl.model import variants
from vitctl.model.config import ModelConfig, nearest_sizes
from vitctl.optim.schedules import ScheduleConfig
from vitctl.text.quoting import quoted
from vitctl.train.config import DataConfig, TrainConfig

UNNAMED = "output"
"""Classes that no file names are called so, with their number: never a name that a dataset has."""


def model_of(model: Model, cfg: ImportConfig) -> ModelConfig:
    """The model's configuration in the size that is wanted. Raises UsageError."""
    patch = cfg.patch or model.config.patch
    resolution = cfg.resolution or model.config.resolution
    if cfg.resolution is None and patch != model.config.patch:
        resolution = nearest_sizes(resolution, patch=patch)[0]
    try:
        return ModelConfig.model_validate(
            model.config.model_dump() | {"patch": patch, "resolution": resolution}
        )
    except ValueError:
        raise UsageError(
            f"--res {resolution} is smaller than one patch of {patch} pixels"
        ) from None


def name_of(config: ModelConfig, about: Described) -> str:
    """The usual name of a model of this size; else its architecture's."""
    size = (config.width, config.depth, config.mlp_dim, config.heads)
    for variant in variants.RECOGNIZED:
        if size == (variant.width, variant.depth, variant.mlp_dim, variant.heads):
            return f"{variant.name}/{config.patch}"
    return f"ViT {config.width}x{config.depth}/{config.patch}"


def classes_of(
    config: ModelConfig, about: Described, *, given: Sequence[str] | None
) -> tuple[tuple[str, ...], str | None]:
    """Names of the classifier's outputs, and a sentence if they are made up or were changed.

    Raises UsageError if `given` are not as many as outputs.
    """
    if given is not None:
        if len(given) != config.classes:
            raise UsageError(
                f"--classes names {len(given):,} classes, and the model has {config.classes:,}",
                hint="one name a line, in the order of the model's outputs",
            )
        return tuple(given), None
    if not config.classes:
        return (), None
    if len(about.classes) != config.classes:
        return tuple(f"{UNNAMED} {i}" for i in range(config.classes)), (
            f"nothing names the {config.classes:,} classes: they are called {UNNAMED} 0, "
            f"{UNNAMED} 1, ...; --classes FILE names them, a line each"
        )
    counts = Counter(about.classes)
    if max(counts.values()) == 1:
        return about.classes, None
    names = tuple(
        f"{name} ({i})" if counts[name] > 1 else name for i, name in enumerate(about.classes)
    )
    if len(set(names)) < len(names):
        raise InputError("the files beside the weights name classes that cannot be told apart")
    first = next(name for name in counts if counts[name] > 1)
    return names, f"several classes have one name, as {quoted(first)}: their numbers are added"


def trained_as(
    config: ModelConfig, about: Described, *, name: str, precision: Precision
) -> TrainConfig:
    """The settings of a run that has done nothing: a model with the way its images are seen.

    Schedule and optimizer are of no training: what branches off names its own, and a cooldown is
    refused, as the schedule is one that ends by itself.
    """
    usual = EvalPreprocess()
    ratio = about.crop_ratio if about.crop_ratio is not None else usual.ratio
    return TrainConfig(
        name=name,
        recipe="small",
        model=config,
        loss="softmax",
        data=DataConfig(
            batch=1,
            augment=AugmentConfig(),
            evaluation=EvalPreprocess(
                resize="squash" if about.squashed else "small", ratio=min(max(ratio, 1.0), 4.0)
            ),
        ),
        schedule=ScheduleConfig(kind="cosine", peak_lr=1e-3, warmup_steps=0, total_steps=1),
        precision=precision,
    )
