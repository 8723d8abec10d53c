"""What a user gives -> the settings of `vitctl finetune`; needs no terminal."""

from __future__ import annotations

from dataclasses import replace

from stages.finetune.spec import Inputs, recipe_of
from vitctl.artifacts import Artifact, Store
from vitctl.errors import UsageError
from vitctl.events import Caution, Doing, Emit
from vitctl.recipes import finetuning, measuring, pretraining, settings
from vitctl.settings.overrides import Overrides, check_keys
from vitctl.settings.trees import at
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
) -> tuple[TrainConfig, Inputs]:
    """The settings and inputs that fine-tune a checkpoint on a dataset. Begins from the average
    of its weights where it has one and no setting says otherwise."""
    tree = overrides.tree()
    check_keys(TrainConfig, tree)
    images = pretraining.images_of(dataset, split=at(tree, "data.split") or "train")
    branch = finetuning.resolve(checkpoint, images=images, duration=length, overrides=tree)
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
    inputs = Inputs(checkpoint, dataset)
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
