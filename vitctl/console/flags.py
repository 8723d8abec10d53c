"""Flags that several commands have: their types and help, and how they are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from vitctl import quantities
from vitctl.model import config as model_config
from vitctl.model.remat import RematChoice
from vitctl.optim.config import WeightsName
from vitctl.recipes.recipe import RecipeName
from vitctl.train import config as train_config

_RUNNING = "Running"
"""Where and how fast: no flag of this panel changes a result beyond rounding, but for what a
divergence makes a run pass over."""

Source = Annotated[
    str | None, Option("--from", help="Run, RUN@STEP or checkpoint; '-' reads stdin.")
]
InheritedData = Annotated[
    str | None, Option(help="Dataset; what the run was trained on if left out.")
]
Model = Annotated[str | None, Option(help="Size and patch: Ti16, S16, B16, L16, g14, G14, ...")]
RecipeChoice = Annotated[RecipeName | None, Option(help="Chosen by model and data if left out.")]
Head = Annotated[model_config.Head | None, Option(help="How tokens become one vector.")]
Steps = Annotated[str | None, Option(help="Length in steps, as in 20k.")]
Images = Annotated[str | None, Option(help="Length in images, as in 1.2M.")]
Epochs = Annotated[str | None, Option(help="Length in epochs.")]
TrainBatch = Annotated[int | None, Option(help="Images a step, over all devices.")]
LookBatch = Annotated[int | None, Option(help="Images at a time; changes no result.")]
Resolution = Annotated[int | None, Option(help="Side of the square image, in pixels.")]
Warmup = Annotated[str | None, Option(help="Steps of linear warmup.")]
Ema = Annotated[float | None, Option(help="Decay of an average of the weights, as 0.9999.")]
SkipSpikes = Annotated[
    bool, Option("--skip-spikes", help="Leave out updates of outlying gradient norm.")
]
WhichWeights = Annotated[
    WeightsName | None,
    Option(help="The last weights, or their average if there is one (the default)."),
]
TrainSplit = Annotated[str | None, Option(help="Split to train on.")]
EvalSplit = Annotated[str | None, Option(help="Split to score.")]
EvalEvery = Annotated[
    str | None,
    Option(help="Steps between scores; 0 for the end only.", rich_help_panel=_RUNNING),
]
CheckpointEvery = Annotated[
    str | None, Option(help="Steps between checkpoints.", rich_help_panel=_RUNNING)
]
KeepEvery = Annotated[
    str | None, Option(help="Keep checkpoints at its multiples.", rich_help_panel=_RUNNING)
]
KeepNewest = Annotated[
    int | None,
    Option(help="Keep so many of the newest, too; 2 if left out.", rich_help_panel=_RUNNING),
]
OnDivergence = Annotated[
    train_config.OnDivergence,
    Option(
        help="Stop, or go back and pass over the batches since the last checkpoint.",
        rich_help_panel=_RUNNING,
    ),
]
MaxRollbacks = Annotated[
    int | None, Option(help="How often a run may go back; 3 if left out.", rich_help_panel=_RUNNING)
]
Workers = Annotated[
    int | None, Option(help="Threads that decode images.", rich_help_panel=_RUNNING)
]
Tensorboard = Annotated[
    bool, Option(help="Also write the metrics for TensorBoard.", rich_help_panel=_RUNNING)
]
Devices = Annotated[
    int | None,
    Option(help="Use so many of this machine's; all if left out.", rich_help_panel=_RUNNING),
]
Mesh = Annotated[
    str | None,
    Option(help="Devices along each axis, as in data=4,fsdp=2; or auto.", rich_help_panel=_RUNNING),
]
Microbatch = Annotated[
    int | None,
    Option(help="Images a device at a time; changes no result.", rich_help_panel=_RUNNING),
]
Remat = Annotated[
    RematChoice | None,
    Option(help="What the backward pass computes again, to save memory.", rich_help_panel=_RUNNING),
]
CacheDir = Annotated[
    Path | None,
    Option(
        envvar="VITCTL_CACHE_DIR",
        help="Copy shards to this local folder and read them there.",
        rich_help_panel=_RUNNING,
    ),
]

TRAINING: dict[str, tuple[Any, Any]] = {
    "eval_every": (EvalEvery, None),
    "checkpoint_every": (CheckpointEvery, None),
    "keep_every": (KeepEvery, None),
    "keep_newest": (KeepNewest, None),
    "on_divergence": (OnDivergence, "stop"),
    "max_rollbacks": (MaxRollbacks, None),
    "workers": (Workers, None),
    "tensorboard": (Tensorboard, True),
    "devices": (Devices, None),
    "mesh": (Mesh, None),
    "microbatch": (Microbatch, None),
    "remat": (Remat, None),
    "cache_dir": (CacheDir, None),
}
"""How to run what trains: field of `TrainRuntime` -> (type of its flag, default)."""
_COUNTS = "eval_every", "checkpoint_every", "keep_every"


def running(given: Mapping[str, Any]) -> dict[str, Any]:
    """Flags of `TRAINING` as fields of `TrainRuntime`, those left out left out."""
    return {
        name: count(value, f"--{name.replace('_', '-')}") if name in _COUNTS else value
        for name, value in given.items()
        if value is not None
    }


def count(text: str | None, name: str) -> int | None:
    """`20k` -> 20000; None stays None."""
    return None if text is None else quantities.parse_count(text, name=name)
