"""A model, the images and the devices -> the settings that `pretrain` would train it with there,
and how it is laid out; or why it does not fit."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

from vitctl.advice import own_settings
from vitctl.advice.evidence import Evidence, OwnTraining
from vitctl.advice.target import Devices
from vitctl.errors import DoesNotFitError, UsageError
from vitctl.hardware.precision import Precision
from vitctl.model import remat
from vitctl.optim import frozen
from vitctl.plan import candidates
from vitctl.plan.program import StepPlan
from vitctl.recipes import settings
from vitctl.recipes.pretraining import ImageFacts
from vitctl.recipes.recipe import RecipeName, load
from vitctl.settings.overrides import Overrides
from vitctl.settings.trees import from_keys
from vitctl.text.quantities import show_count
from vitctl.train.config import TrainConfig
from vitctl.train.program import footprint
from vitctl.train.program.footprint import MemoryPlan, gib


@dataclass(frozen=True)
class Fitted:
    """How a model is trained on the devices.

    Attributes:
      cfg: its settings; the length is any.
      flags: of `pretrain`, that make these settings, without the length.
      layout: where devices are known.
      notes: on what is other than the recipe's.
      trained: as the measured runs of a user's own model were.
    """

    model: str
    cfg: TrainConfig
    flags: tuple[str, ...]
    layout: MemoryPlan | None
    notes: tuple[str, ...]
    trained: OwnTraining | None = None

    @property
    def batch(self) -> int:
        return self.cfg.data.batch

    @property
    def flops_per_image(self) -> int:
        """Of training: three forward passes where nothing is frozen."""
        return frozen.trained_flops(self.cfg.model, self.cfg.optim)


def fitted(
    model: str,
    *,
    evidence: Evidence,
    images: ImageFacts,
    recipe: RecipeName | None,
    batch: int | None,
    devices: Devices | None,
) -> Fitted:
    """Raises DoesNotFitError, with the numbers, if nothing helps but a smaller model; UsageError
    for a batch that can't be."""
    common = evidence.settings
    tree: dict[str, Any] = {}
    flags: list[str] = []
    own_size = evidence.sizes.get(model) or {}
    if own_size:
        size = {"name": model} | {f"model.{key}": value for key, value in own_size.items()}
        tree |= size
        flags += own_settings.as_flags(size)
    else:
        flags.append(f"--model={model}")
    chosen_recipe = recipe or common.get("recipe")
    if chosen_recipe is not None:
        flags.append(f"--recipe={chosen_recipe}")
    trained = evidence.trained.get(model) if recipe is None else None
    if trained is not None:
        tree |= trained.settings
        flags += own_settings.as_flags(trained.settings)
    side = common.get("model.resolution")
    usual_batch = batch or common.get("data.batch")

    def resolved(batch: int | None) -> TrainConfig:
        keys = tree | ({} if batch is None else {"data.batch": batch})
        return settings.resolve(
            Overrides(file={}, settings=from_keys(keys)),
            model=None if own_size else model,
            recipe=chosen_recipe,
            length=(1e9, "images"),
            images=lambda _: images,
            mock=False,
            target_precision=_precision(devices),
        ).cfg

    cfg = resolved(usual_batch)
    if side is not None and cfg.model.resolution != side:
        flags.append(f"--res={side}")
        tree["model.resolution"] = side
        cfg = resolved(usual_batch)
    notes: list[str] = []
    wanted = cfg.data.batch
    if devices is not None and wanted % devices.count:
        divisible = max(devices.count, wanted // devices.count * devices.count)
        notes.append(
            f"--batch {divisible}: the recipe's {wanted} does not divide over {devices.count} "
            "devices"
        )
        cfg = resolved(divisible)
    if cfg.data.batch > images.examples:
        raise UsageError(
            f"a batch of {cfg.data.batch} images is larger than the training set of "
            f"{images.examples}"
        )
    if usual_batch is not None or cfg.data.batch != wanted:
        flags.append(f"--batch={cfg.data.batch}")
    layout = None
    if devices is not None:
        layout = _layout(cfg, devices)
        if layout.microbatch != cfg.data.batch // layout.spec.batch_shards:
            flags.append(f"--microbatch={layout.microbatch}")
            notes.append(
                f"--microbatch {layout.microbatch}: a device has no room for all of its images at "
                "a time; it changes no result"
            )
    return Fitted(model, cfg, tuple(flags), layout, tuple(notes), trained)


def _precision(devices: Devices | None) -> Precision | None:
    """None: what this machine takes."""
    if devices is None or not devices.local:
        return "bfloat16"
    return None


def _layout(cfg: TrainConfig, devices: Devices) -> MemoryPlan:
    """As `pretrain` lays it out; where that has no room, with the most images at a time that
    fit."""

    def chosen(microbatch: int | None) -> MemoryPlan:
        return footprint.choose(
            cfg,
            devices=devices.count,
            available=devices.memory,
            remats=remat.to_try("auto"),
            microbatch=microbatch,
        )

    try:
        return chosen(None)
    except DoesNotFitError as error:
        each = cfg.data.batch // devices.count
        for parts in range(2, each + 1):
            if each % parts == 0:
                try:
                    return chosen(each // parts)
                except DoesNotFitError:
                    continue
        assert devices.memory is not None  # else everything fits
        least = min(
            footprint.need(cfg, spec=mesh.resolve(devices=devices.count), remat="full",
                           microbatch=1).total
            for mesh in candidates.meshes(cfg, devices=devices.count)
        )  # fmt: skip
        raise DoesNotFitError(
            f"needs {gib(least)} a device at least, and {gib(devices.memory)} is there",
            hint=error.hint,
        ) from None


def step_plan(one: Fitted) -> StepPlan:
    """The layout as `plan` counts with it."""
    assert one.layout is not None
    each = one.batch // one.layout.spec.batch_shards
    microbatch = None if one.layout.microbatch == each else one.layout.microbatch
    return StepPlan(one.layout.spec, one.layout.remat, microbatch)


# ---- Trunk and cooldown


@dataclass(frozen=True)
class Split:
    """Steps of a run: a trunk and the cooldown at its end."""

    trunk: int
    cooldown: int


def split_as(one: Fitted, *, steps: int) -> Split:
    """`steps` as the measured runs had them: a schedule that ends by itself has no cooldown, and a
    cooldown of a user's own has its share; else the recipe's rule decides."""
    if not one.cfg.schedule.open_ended:
        return Split(steps, 0)
    share = None if one.trained is None else one.trained.cooldown_share
    if share is None:
        return split(steps, recipe=one.cfg.recipe)
    return split_by(share, steps=steps)


def split_by(share: float, *, steps: int) -> Split:
    """A cooldown over a share of all steps."""
    cooldown = min(steps - 1, max(1, round(steps * share)))
    return Split(steps - cooldown, cooldown)


def split(steps: int, *, recipe: RecipeName) -> Split:
    """The trunk whose cooldown, by the recipe's rule, ends at `steps` in all, or as near before as
    there is one."""
    rule = load(recipe).cooldown
    low, high = 1, max(1, steps - 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle + rule.of(trunk=middle) <= steps else (low, middle - 1)
    return Split(low, max(1, steps - low))


def command(
    one: Fitted, *, steps: int, data: str | None, store: tuple[str, ...], probe: tuple[str, ...]
) -> str:
    """The pipe that trains it, to be pasted into a shell."""
    parts = split_as(one, steps=steps)
    flags = [word for flag in one.flags for word in flag.split("=", 1)]
    pretrain = [
        "vitctl", "pretrain", "--data", data or "DATASET", *flags,
        "--steps", show_count(parts.trunk), *store,
    ]  # fmt: skip
    commands = [pretrain, ["vitctl", *probe, *store]]
    if parts.cooldown:
        shape = "linear" if one.trained is None else one.trained.cooldown_shape
        shaped = [] if shape == "linear" else ["--shape", shape]
        cooldown = ["vitctl", "cooldown", "--steps", show_count(parts.cooldown), *shaped, *store]
        commands.insert(1, cooldown)
    return " | ".join(shlex.join(arguments) for arguments in commands)
