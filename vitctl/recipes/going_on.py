"""A checkpoint and images -> the settings of pretraining that goes on from it.

What a user expects of "go on with other data" is that training goes on: model, optimizer, schedule
and augmentation of the checkpoint, its learning rate where it was. That needs a schedule that is
open-ended; of weights without one (imported, fine-tuned, cooled down) a new schedule begins, with
the recipe of this dataset and model. Why, and what differs: docs/decisions/0024.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

from vitctl.artifacts import inputs as artifact_inputs
from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.kinds import CHECKPOINT
from vitctl.data.config import MockConfig
from vitctl.errors import UsageError
from vitctl.events import Emit, Note
from vitctl.hardware import precision
from vitctl.model import variants
from vitctl.model.config import FREE_FIELDS, Loss, ModelConfig, calm_bias, nearest_sizes
from vitctl.optim import schedules
from vitctl.recipes import finetuning, measuring, pretraining
from vitctl.recipes.branching import (
    IMPORT,
    check_no_sequences,
    off_schedule,
    trained_with,
    trunk_of,
)
from vitctl.recipes.pretraining import MOCK_CLASSES, ImageFacts
from vitctl.recipes.recipe import RecipeName, load
from vitctl.recipes.settings import Length, RunSettings, built
from vitctl.settings.overrides import Overrides, build, check_keys
from vitctl.settings.trees import Tree, at, merge, positive
from vitctl.text import quantities
from vitctl.text.quantities import show_count
from vitctl.text.quoting import quoted
from vitctl.train.carried_over import keeps_state, same_classes
from vitctl.train.config import FromSchedule, TrainConfig


@dataclass(frozen=True)
class Source:
    """What is gone on from, on which images: a dataset, or synthetic ones if that is None."""

    checkpoint: Artifact
    dataset: Artifact | None
    images: ImageFacts

    @property
    def before(self) -> TrainConfig:
        return trained_with(self.checkpoint)

    @property
    def step(self) -> int:
        assert self.checkpoint.step is not None  # see trained_with
        return self.checkpoint.step

    @property
    def classes(self) -> tuple[str, ...]:
        return CHECKPOINT.summary(self.checkpoint).classes

    def keeps_head(self, tree: Tree) -> bool:
        fresh = tree.get("from_head") == "fresh"
        return not fresh and same_classes(self.classes, self.images.names)


def made_up(checkpoint: Artifact, overrides: Overrides) -> ImageFacts:
    """Synthetic images to go on with: the checkpoint's own, if it was trained on such."""
    from vitctl.data.mock import MockDataset

    before, tree = trained_with(checkpoint), overrides.tree()
    check_keys(TrainConfig, tree)
    mock = build(MockConfig, merge(_mock_of(before), at(tree, "data.mock") or {}))
    classes = positive(tree, "model.classes") or before.model.classes or MOCK_CLASSES
    return ImageFacts(
        mock.examples,
        classes,
        eval_split="val",
        names=MockDataset(classes).info.classes,
        made_up=True,
    )


def _mock_of(before: TrainConfig) -> Tree:
    return (before.data.mock or MockConfig()).model_dump(mode="json")


def inherits_mock(checkpoint: Artifact, *, emit: Emit) -> bool:
    """Whether a run that goes on from this checkpoint, and names no images, sees synthetic ones, as
    that did."""
    if not artifact_inputs.is_synthetic(checkpoint):
        return False
    emit(Note(f"no --data: synthetic images, as {checkpoint.path} was trained on"))
    return True


def has_dataset(checkpoint: Artifact | None) -> Artifact | None:
    """The checkpoint, if a dataset is recorded that a run which goes on from it may mean; an import
    has none."""
    if checkpoint is None or checkpoint.manifest.stage == IMPORT:
        return None
    return None if artifact_inputs.is_synthetic(checkpoint) else checkpoint


def resolve(
    source: Source,
    overrides: Overrides,
    *,
    model: str | None,
    recipe: RecipeName | None,
    length: Length | None,
    target_precision: precision.Precision | None = None,
) -> RunSettings:
    """The settings of pretraining that goes on from a checkpoint.

    Args:
      model: a name that a user gave; it must be the checkpoint's.
      length: of the training that is added, where the schedule goes on.
      target_precision: of a new schedule; None means this machine's.

    Raises UsageError for settings that the checkpoint does not allow.
    """
    tree = overrides.tree()
    check_keys(TrainConfig, tree)
    check_no_sequences(tree)
    _check_model(source, model, tree)
    match _from_schedule(source, requested=at(tree, "from_schedule")):
        case "continue":
            return _continued(source, overrides, model=model, recipe=recipe, length=length)
        case "restart":
            return _restarted(
                source,
                overrides,
                model=model,
                recipe=recipe,
                length=length,
                target_precision=target_precision,
            )


def _from_schedule(source: Source, *, requested: Any) -> FromSchedule:
    """Whether the schedule of the checkpoint goes on: if it is open-ended. Of an import or a mean
    a new one begins; of other weights only where that is requested, as a step of a trunk is usually
    meant."""
    if requested == "restart":
        return "restart"
    if requested not in (None, *get_args(FromSchedule)):
        raise UsageError(
            f"from_schedule must be {' or '.join(get_args(FromSchedule))} (got {quoted(requested)})"
        )
    if (why := off_schedule(source.checkpoint)) is not None:
        if requested is None:
            return "restart"
        raise UsageError(
            f"{source.checkpoint.path} {why}",
            hint="leave out --from-schedule: a new schedule begins with its weights",
        )
    try:
        trunk_of(source.checkpoint)
    except UsageError as error:
        restart = "--from-schedule restart begins a new schedule with these weights"
        branch = error.hint if error.hint and error.hint.startswith("branch") else None
        raise UsageError(
            error.message, hint=f"{branch}, or {restart}" if branch else restart
        ) from None
    return "continue"


def _check_model(source: Source, model: str | None, tree: Tree) -> None:
    """Raise UsageError for a model, or parts of one, that are not the checkpoint's. Its patches may
    have another size."""
    before = source.before.model
    requested = {k: v for k, v in (tree.get("model") or {}).items() if k not in FREE_FIELDS}
    if model is not None:
        named = variants.parse(model)
        sizes = ("width", "depth", "mlp_dim", "heads")
        requested |= {size: getattr(named.variant, size) for size in sizes}
    differing = [
        f"{name} {getattr(before, name)}, not {value}"
        for name, value in requested.items()
        if name in ModelConfig.model_fields and getattr(before, name) != value
    ]
    if differing:
        shown = model or "these settings"
        raise UsageError(
            f"{source.checkpoint.path} is {source.before.label}, and {shown} would be another "
            f"model ({', '.join(differing)}): its weights decide what the model is",
            hint="leave that out, or train from scratch, without --from",
        )


def _named(source: Source, tree: Tree, *, model: str | None) -> tuple[str, int]:
    """What settings call the model, and the size of its patches: the checkpoint's, unless another
    is requested."""
    before = source.before
    patch = positive(tree, "model.patch")
    if patch is None:
        patch = before.model.patch if model is None else variants.parse(model).patch
    if patch == before.model.patch:
        return before.name, patch
    try:
        size = variants.parse(before.name).variant.name
    except UsageError:  # a name of the user's own
        return before.name, patch
    return f"{size}/{patch}", patch


def _resolution(source: Source, tree: Tree, *, patch: int) -> int:
    """Images keep their size, or get the nearest that patches of another size fill."""
    before = source.before.model
    usual = before.resolution
    if patch != before.patch:
        usual = nearest_sizes(usual, patch=patch)[0]
    return positive(tree, "model.resolution") or usual


def _model_of(source: Source, tree: Tree, *, patch: int, loss: Any) -> Tree:
    """The checkpoint's model, for these classes and the sizes of images and patches that are
    wanted."""
    before, resolution = source.before.model, _resolution(source, tree, patch=patch)
    bias = before.head_bias
    if not source.keeps_head(tree) and loss in get_args(Loss):
        bias = calm_bias(loss, classes=source.images.classes)
    changes: Tree = {
        "resolution": resolution,
        "patch": patch,
        "classes": source.images.classes,
        "head_bias": bias,
    }
    if "position_grid" not in (tree.get("model") or {}):
        changes["position_grid"] = finetuning.span_of(before, resolution=resolution, patch=patch)
    return before.model_copy(update=changes).model_dump(mode="json")


def _continued(
    source: Source,
    overrides: Overrides,
    *,
    model: str | None,
    recipe: RecipeName | None,
    length: Length | None,
) -> RunSettings:
    """The checkpoint's schedule goes on from its step, with its settings of training. Which images
    it held out, and how its result was chosen, are its own affair."""
    before, images, step, tree = source.before, source.images, source.step, overrides.tree()
    named = recipe or at(tree, "recipe")
    if named not in (None, before.recipe):
        raise UsageError(
            f"{source.checkpoint.path} goes on with recipe {before.recipe}, not {named}",
            hint="leave out --recipe, or begin a new schedule: --from-schedule restart",
        )
    rules = load(before.recipe)
    batch = positive(tree, "data.batch") or before.data.batch
    epoch = pretraining.examples_of_epoch(images, tree)
    own = rules.duration.of(batch=batch, examples=epoch)
    added = own
    if length is not None:
        added = quantities.to_steps(*length, batch=batch, examples=epoch)
        overrides = overrides.with_flags({"schedule.total_steps": step + added})
    loss = tree.get("loss") or before.loss
    name, patch = _named(source, tree, model=model)
    base = before.model_dump(mode="json")
    merge(
        base,
        {
            "name": name,
            "from_schedule": "continue",
            "from_weights": "raw",
            "from_head": "keep",
            "data": {
                "split": "train",
                "eval_split": images.eval_split,
                "mock": _mock_of(before) if source.dataset is None else None,
                "first_step": step,
                "held_out": None,
                "made_on": "hosts",
            },
            "keep_best": None,
            "procedural": None,
            "schedule": trunk_of(source.checkpoint).model_dump() | {"total_steps": step + added},
        },
    )
    base["model"] = _model_of(source, tree, patch=patch, loss=loss)
    cfg = built(overrides, base)
    if at(tree, "data.first_step") is None and _same_order(source, cfg):
        goes_on = {"first_step": before.data.first_step, "made_on": before.data.made_on}
        merge(base, {"data": goes_on})
        cfg = built(overrides, base)
    keeps = keeps_state(before, cfg, classes_before=source.classes, classes_after=images.names)
    if not keeps:
        again = rules.warmup.of(whole=own)
        merge(base, {"schedule": {"rewarm_at": step, "rewarm_steps": again}})
        cfg = built(overrides, base)
    if cfg.steps <= step:
        raise UsageError(
            f"schedule.total_steps={cfg.steps} ends before step {step}, where training goes on",
            hint="give the length that is added: --steps",
        )
    notes = [
        f"the schedule of {source.checkpoint.path} goes on from step {show_count(step)}, "
        f"{_rate(cfg, step=step, keeps=keeps)}",
        _order(source, cfg),
    ]
    if length is None and at(tree, "schedule.total_steps") is None:
        notes.append(f"--steps {show_count(added)} (the {before.recipe} recipe's for this dataset)")
    notes += [*_sizes(source, cfg, tree), *_loss(source, cfg)]
    return RunSettings(cfg, images, tuple(notes), from_step=step)


def _rate(cfg: TrainConfig, *, step: int, keeps: bool) -> str:
    """The learning rate to begin with, as a clause."""
    schedule = cfg.schedule
    if keeps or not schedule.rewarm_steps:
        optimizer = "with its optimizer's state" if keeps else "with a new optimizer, unwarmed"
        return f"at learning rate {schedules.value(schedule, step=step):.4g}, {optimizer}"
    full = schedule.model_copy(update={"rewarm_steps": 0})
    return (
        f"at learning rate {schedules.value(full, step=step):.4g}, which a warmup of "
        f"{show_count(schedule.rewarm_steps)} steps leads to (--rewarm), as the optimizer "
        "starts anew"
    )


def _order(source: Source, cfg: TrainConfig) -> str:
    if cfg.data.first_step == source.step:
        return "the order of the images begins anew"
    return "the same images go on in the same order"


def _same_order(source: Source, cfg: TrainConfig) -> bool:
    """Whether these are the checkpoint's own images in its own order."""
    before, data = source.before.data, cfg.data
    recorded = source.checkpoint.manifest.parent("data")
    if source.dataset is None:
        same = before.mock == data.mock and source.before.model.classes == cfg.model.classes
    else:
        same = recorded is not None and recorded.digest == source.dataset.digest
    return (
        same
        and (before.split, before.batch) == (data.split, data.batch)
        and before.held_out == data.held_out
        and source.before.seed == cfg.seed
    )


def _restarted(
    source: Source,
    overrides: Overrides,
    *,
    model: str | None,
    recipe: RecipeName | None,
    length: Length | None,
    target_precision: precision.Precision | None,
) -> RunSettings:
    """A new schedule, by the recipe of this dataset and model, with the checkpoint's weights."""
    before, tree = source.before, overrides.tree()
    name, patch = _named(source, tree, model=model)
    size = {
        "width": before.model.width,
        "patch": patch,
        "resolution": _resolution(source, tree, patch=patch),
    }
    configured = tree.get("recipe")
    if recipe and configured and configured != recipe:
        raise UsageError(
            f"--recipe {recipe} is given, and the settings are of recipe {configured}",
            hint="leave out --recipe, or --config",
        )
    resolved = pretraining.resolve(
        model="S/16",  # its sizes are replaced
        recipe=recipe or configured,
        images=source.images,
        duration=length,
        overrides=merge({"model": size}, tree),
    )
    base = resolved.tree
    weights = measuring.weights(source.checkpoint, requested=at(tree, "from_weights"))
    base |= {
        "name": name,
        "from_schedule": "restart",
        "from_weights": weights.name,
        "model": _model_of(source, tree, patch=patch, loss=tree.get("loss") or base["loss"]),
    }
    base["data"]["evaluation"] = before.data.evaluation.model_dump(mode="json")
    if source.dataset is None:
        base["data"]["mock"] = _mock_of(before)
    if "precision" not in tree:
        base["precision"] = target_precision or precision.resolve()
    if length is not None:  # a flag wins over a file
        steps = at(base, "schedule.total_steps")
        overrides = overrides.with_flags({"schedule.total_steps": steps})
    cfg = built(overrides, base)
    schedule = cfg.schedule
    notes = [
        f"a new schedule begins with the weights of {source.checkpoint.path}: "
        f"{show_count(schedule.warmup_steps)} steps of warmup to learning rate "
        f"{schedule.peak_lr:g}, a new optimizer"
    ]
    notes += [*weights.notes, *resolved.notes, *_sizes(source, cfg, tree), *_loss(source, cfg)]
    return RunSettings(cfg, source.images, tuple(notes))


def _sizes(source: Source, cfg: TrainConfig, tree: Tree) -> list[str]:
    """A sentence if patches of another size made the images another size."""
    before, model = source.before.model, cfg.model
    if model.resolution == before.resolution or at(tree, "model.resolution") is not None:
        return []
    return [
        f"--res {model.resolution} (of {before.resolution} px the nearest size that patches of "
        f"{model.patch} px divide)"
    ]


def _loss(source: Source, cfg: TrainConfig) -> list[str]:
    """A sentence if the loss is another; of an import none is known."""
    before = source.before
    if source.checkpoint.manifest.stage == IMPORT or before.loss == cfg.loss:
        return []
    return [f"loss {cfg.loss} ({source.checkpoint.path} was trained with {before.loss})"]
