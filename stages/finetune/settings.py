"""What a user gives -> the settings of `vitctl finetune`; needs no terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stages.finetune.spec import Inputs, Sweep, recipe_of
from vitctl.artifacts import Artifact, Store
from vitctl.errors import UsageError
from vitctl.events import Caution, Doing, Emit
from vitctl.recipes import finetuning, measuring, pretraining, settings
from vitctl.recipes.recipe import Preset, RateScaling, load_finetune
from vitctl.settings.overrides import Overrides, check_keys
from vitctl.settings.trees import at, merge
from vitctl.text import quantities
from vitctl.train.config import TrainConfig, TrainRuntime


def resolve(
    overrides: Overrides,
    checkpoint: Artifact,
    dataset: Artifact,
    *,
    length: settings.Length | None,
    store: Store,
    runtime: TrainRuntime,
    emit: Emit,
    preset: Preset | None = None,
    scale_lr: RateScaling | None = None,
    sweep_lr: str | Sequence[float] | None = None,
) -> tuple[TrainConfig, Inputs]:
    """The settings and inputs that fine-tune a checkpoint on a dataset. Begins from the average
    of its weights where it has one and no setting says otherwise.

    Args:
      preset: the settings of a known dataset in place of the recipe's.
      scale_lr: how the recipe's rate, or those of `sweep_lr`, change with the batch.
      sweep_lr: peak learning rates to choose from, as numbers or as a text with commas.
    """
    tree = overrides.tree()
    check_keys(TrainConfig, tree)
    _one_rate(overrides, scale_lr=scale_lr, sweep_lr=sweep_lr)
    images = pretraining.images_of(dataset, split=at(tree, "data.split") or "train")
    branch = finetuning.resolve(
        checkpoint,
        images=images,
        duration=length,
        overrides=tree,
        preset=preset,
        scaling=scale_lr,
    )
    chosen = measuring.weights(checkpoint, requested=at(tree, "from_weights"))
    if (caution := measuring.uncooled(checkpoint, store=store)) is not None:
        emit(Caution(caution))
    branch.tree["from_weights"] = chosen.name
    flags = ["from_weights"]
    if length is not None:  # a flag wins over a file
        flags.append("schedule.total_steps")
    cfg, *before = settings.versions(overrides, branch.tree, branch.before, flags=flags)
    if cfg.data.mock is not None:
        raise UsageError(
            "fine-tuning needs a dataset, and data.mock requests synthetic images",
            hint="leave out data.mock",
        )
    sweep = None
    if sweep_lr is not None:
        rules = load_finetune(preset)
        rates = _rates(sweep_lr)
        if scale_lr is not None:
            usual = rules.batch.whole(width=cfg.model.width)
            rates = tuple(
                finetuning.scaled_rate(rate, batch=cfg.data.batch, usual=usual, scaling=scale_lr)
                for rate in rates
            )
        sweep = Sweep(rates, share=cfg.data.held_out or rules.hold_out)
    inputs = Inputs(checkpoint, dataset, sweep)
    resolved = settings.continued(
        settings.RunSettings(cfg, images, branch.notes, tuple(before)),
        lambda cfg: recipe_of(cfg, inputs),
        store=store,
        runtime=runtime,
    )
    resolved = replace(resolved, notes=(*resolved.notes, *chosen.notes))
    resolved.announce(emit)
    emit(Doing("import"))
    return resolved.cfg, inputs


def _one_rate(overrides: Overrides, *, scale_lr: object, sweep_lr: object) -> None:
    """Raise UsageError where a learning rate is given and should be scaled or chosen, too."""
    given = overrides.tree() if sweep_lr is None else merge({}, overrides.flags, overrides.settings)
    if at(given, "schedule.peak_lr") is None:
        return
    for flag, value in (("--sweep-lr", sweep_lr), ("--scale-lr", scale_lr)):
        if value is not None:
            raise UsageError(
                f"--lr gives the learning rate, and {flag} would "
                f"{'choose' if flag == '--sweep-lr' else 'change'} it",
                hint="keep one of them",
            )


def _rates(given: str | Sequence[float]) -> tuple[float, ...]:
    """The rates of `--sweep-lr`. Raises UsageError unless they are two or more positive numbers."""
    texts = given.split(",") if isinstance(given, str) else given
    rates = tuple(quantities.parse_amount(text, name="--sweep-lr") for text in texts)
    if len({*rates}) < max(2, len(rates)) or min(rates) <= 0:
        raise UsageError(
            f"--sweep-lr takes two or more different learning rates above 0 (got {given})",
            hint="as in --sweep-lr 0.03,0.01",
        )
    return rates
