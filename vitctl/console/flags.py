"""Flags that several commands have. Those of a command alone are in its `command.py`."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, get_args

from typer import Argument, Option

from vitctl.console import completion
from vitctl.console.flag import Flag
from vitctl.optim.config import SPIKE_SIGMAS
from vitctl.recipes.recipe import RecipeName
from vitctl.text import quantities
from vitctl.train.config import TrackerName

RUNNING = "Running"
"""Where and how fast: no flag of this panel changes a result beyond rounding, except for the
batches that a run skips after a divergence."""


def count(text: str | None, name: str) -> int | None:
    """`20k` -> 20000; None stays None."""
    return None if text is None else quantities.parse_count(text, name=name)


# Parameters: what has no setting of its own.
Source = Annotated[
    str | None,
    Option(
        "--from",
        metavar="REF",
        help="Run, RUN@STEP or checkpoint (default: the one that is piped in, else the newest).",
        autocompletion=completion.checkpoints,
    ),
]
Sources = Annotated[
    list[str] | None,
    Option(
        "--from",
        metavar="REF",
        help="Run, RUN@STEP or checkpoint; repeatable (default: those that are piped in, else the "
        "newest).",
        autocompletion=completion.checkpoints,
    ),
]
Data = Annotated[
    str | None,
    Option(
        metavar="REF",
        help="Dataset: path, name or id (default: the one that is piped in, else the newest).",
        autocompletion=completion.datasets,
    ),
]
InheritedData = Annotated[
    str | None,
    Option(
        metavar="REF",
        help="Dataset: path, name or id (default: what the run was trained on).",
        autocompletion=completion.datasets,
    ),
]
InheritedDatasets = Annotated[
    list[str] | None,
    Option(
        "--data",
        metavar="REF",
        help="Dataset: path, name or id; repeatable (default: what the run was trained on).",
        autocompletion=completion.datasets,
    ),
]
VtabDatasets = Annotated[
    list[str] | None,
    Option(
        "--data",
        metavar="[TASK=]REF",
        help="Dataset: path, name or id; repeatable. Its name says which of VTAB's tasks it is, or "
        "TASK does, as in pets=my-cats.",
        autocompletion=completion.datasets,
    ),
]
Reference = Annotated[
    str | None,
    Argument(
        metavar="REF",
        help="Artifact or run: path, name, id or RUN@STEP (default: the newest).",
        autocompletion=completion.artifacts,
    ),
]
Model = Annotated[
    str | None,
    Option(
        help="Model size and patch, for example Ti/16, S/16, B/16, L/16, g/14 (default: S/16, "
        "or mini/8 with the recipe little).",
        autocompletion=completion.models,
    ),
]
RecipeChoice = Annotated[
    RecipeName | None,
    Option(
        "--recipe",
        help="Settings to start from: paper, as published; small, for small datasets; little, for "
        "fewer than 5k images and minutes on a CPU, never a default (default: paper for 1M images "
        "or more and for models from g/14 on, else small).",
    ),
]
# The length of a run is a total, in every command. `pretrain` and `finetune` say more of theirs.
Steps = Annotated[
    str | None,
    Option(
        metavar="N",
        help="Total length of the run in steps, for example 20k (default: the recipe's).",
    ),
]
Images = Annotated[
    str | None,
    Option(
        metavar="N",
        help="Total length in images instead of steps, each pass counted, for example 1.2M.",
    ),
]
Epochs = Annotated[
    str | None,
    Option(metavar="N", help="Total length in passes over the training split, instead of steps."),
]

# Settings of a training run (TrainConfig).
BATCH = Flag("data.batch", "Images per step, over all devices (default: the recipe's).")
RESOLUTION = Flag(
    "model.resolution",
    "Side of the square input image in pixels (default: 224, or the nearest size that patches "
    "divide).",
    name="--res",
)
HEAD = Flag(
    "model.head",
    "How tokens become one vector for the classifier: by attention (map, the default), their mean "
    "(gap), a [class] token (token), or that and a distillation token (distilled).",
    rare=True,
)
LR = Flag("schedule.peak_lr", "Peak learning rate (default: the recipe's).", name="--lr")
WARMUP = Flag(
    "schedule.warmup_steps",
    "Steps of linear warmup (default: the recipe's).",
    name="--warmup",
    reads=quantities.parse_count,
    metavar="N",
    rare=True,
)
EMA = Flag(
    "optim.ema",
    "Also save a moving average of the weights with this decay, for example 0.9999; 1 is the mean "
    "over the whole run (default: no average).",
    rare=True,
)
SKIP_SPIKES = Flag(
    "optim.skip_spikes",
    f"Skip updates whose gradient norm is more than {SPIKE_SIGMAS:g} standard deviations above its "
    "recent mean.",
    sets=SPIKE_SIGMAS,
    rare=True,
)
KEEP_BEST = Flag(
    "keep_best.metric",
    "The result is the checkpoint with the best held-out top1, top5 or loss; split test never "
    "chooses it (default: the last).",
    name="--keep-best",
)
PATIENCE = Flag(
    "keep_best.patience",
    "With --keep-best: stop after N scores in a row without a better one (default: train to the "
    "end).",
    metavar="N",
)
SCORE_EVERY = Flag(
    "keep_best.every",
    "With --keep-best: steps between scores that count (default: a twentieth of the run).",
    name="--score-every",
    reads=quantities.parse_count,
    metavar="STEPS",
    rare=True,
)
HOLD_OUT = Flag(
    "data.held_out",
    "Hold out this share of the training images, for example 0.02, and score them while training, "
    "as split held-out (default: train on all).",
    name="--hold-out",
    metavar="SHARE",
)
LAYER_DECAY = Flag(
    "optim.layer_decay",
    "Multiply the learning rate by this for each layer from the last to the first, for example "
    "0.85 (default: one rate for all layers).",
)
FREEZE = Flag(
    "optim.freeze",
    "Do not train the parameters whose whole name matches this regular expression, for example "
    "'embedding/.*' or 'blocks/[0-5]/.*'; repeatable (default: train all).",
    metavar="REGEX",
    many=True,
    reads=lambda text, name: text,
    rare=True,
)
MIXUP = Flag(
    "data.augment.mixup_alpha",
    "Mix each image with its neighbour in the batch, by mixup's Beta(A, A) (default: no mixup).",
    name="--mixup",
    metavar="A",
    rare=True,
)
SMOOTHING = Flag(
    "label_smoothing",
    "Share of the target that is spread over all classes, for example 0.1 (default: 0).",
    rare=True,
)
BALANCE = Flag(
    "class_balance",
    "Give images of rare classes more weight, class-balanced with this beta, for example "
    "0.999 (default: all images alike).",
    metavar="BETA",
    rare=True,
)
SEED = Flag("seed", "Seed of weights, data order and augmentation (default: 0).", rare=True)
TRAIN_SPLIT = Flag(
    "data.split", "Split to train on (default: train).", name="--train-split", rare=True
)
EVAL_SPLIT = Flag(
    "data.eval_split",
    "Split to score while training (default: val, else test).",
    rare=True,
)
WEIGHTS = Flag(
    "weights",
    "The checkpoint's weights (raw) or their average (ema; the default if the run kept one).",
)
SCORED_SPLIT = Flag("eval_split", "Split to score (default: val, else test).")


def _running(key: str, help: str, **more: Any) -> Flag:
    return Flag(key, help, panel=RUNNING, **more)


# How to run.
LOOK_BATCH = _running(
    "batch",
    "Images at a time, over all devices (default: fitted to them); no effect on the result.",
)
TRACK = _running(
    "track",
    f"Also send the metrics to an experiment tracker ({' or '.join(get_args(TrackerName))}); "
    "repeatable.",
    many=True,
    metavar="TRACKER",
    complete=completion.trackers,
    rare=True,
)
WORKERS = _running("workers", "Threads that decode images (default: one per core).", rare=True)
RAY = Flag(
    "ray",
    "Work on the nodes of a Ray cluster: auto, the one of this machine; local, one that is begun "
    "here; or HOST:PORT (default: this machine without Ray).",
    metavar="ADDRESS",
)
CACHE_DIR = _running(
    "cache_dir",
    "Copy the dataset's files to this local folder and read them there (default: a dataset in a "
    "bucket is copied to ~/.cache/vitctl, any other read in place).",
    envvar="VITCTL_CACHE_DIR",
    metavar="DIR",
    rare=True,
)
IMAGE_CACHE = _running(
    "image_cache",
    "Keep decoded images in up to this much memory, for example 500MiB; 0 keeps none (default: "
    "auto, the images of a dataset that fits into a tenth of the free memory); no effect on the "
    "result.",
    metavar="BYTES|auto",
    rare=True,
)

_STEPS: dict[str, Any] = {"reads": quantities.parse_count, "metavar": "STEPS"}
DEVICES = _running(
    "devices",
    "Use the first N devices (GPUs, TPU cores) of this machine (default: all).",
    metavar="N",
)
LOOKING = (LOOK_BATCH, DEVICES, replace(WORKERS, rare=False), replace(CACHE_DIR, rare=False))
"""How to run what looks at a trained model."""
MESH = _running(
    "mesh",
    "Number of devices along each mesh axis, for example data=4,fsdp=2 (default: auto: all along "
    "data; along fsdp what memory needs).",
    rare=True,
)
MICROBATCH = _running(
    "microbatch",
    "Images per device processed at a time, to save memory (default: all); no effect on the "
    "result beyond rounding.",
    rare=True,
)
REMAT = _running(
    "remat",
    "Activations that the backward pass recomputes instead of keeping them (default: auto, the "
    "fastest that fits).",
    rare=True,
)
TRAINING = (
    _running(
        "checkpoint_every",
        "Steps between checkpoints (default: a tenth of the run, at most 1000).",
        **_STEPS,
    ),
    _running(
        "eval_every",
        "Steps between evaluations; 0 evaluates only at the end (default: as --checkpoint-every).",
        **_STEPS,
    ),
    DEVICES,
    _running(
        "keep_every",
        "Keep each checkpoint whose step is a multiple of this; older others are deleted (default: "
        "a tenth of the run, in multiples of --checkpoint-every).",
        rare=True,
        **_STEPS,
    ),
    _running(
        "keep_newest",
        "Also keep the N newest checkpoints, whatever their steps (default: 2).",
        metavar="N",
        rare=True,
    ),
    _running(
        "on_divergence",
        "If the loss or a gradient is not a finite number: end with an error (stop, the default), "
        "or return to the last checkpoint and train on without the batches since (rollback).",
        rare=True,
    ),
    _running(
        "max_rollbacks",
        "With --on-divergence rollback: roll back at most N times in a run, then stop (default: "
        "3).",
        metavar="N",
        rare=True,
    ),
    MESH,
    MICROBATCH,
    REMAT,
    WORKERS,
    CACHE_DIR,
    IMAGE_CACHE,
    _running(
        "tensorboard", "Also write the metrics as TensorBoard event files (default: on).", rare=True
    ),
    TRACK,
)
"""How to run what trains: fields of `TrainRuntime`."""

# Making a dataset of images

MAX_BAD_FRACTION = Flag(
    "max_bad_fraction",
    "End with an error if a larger fraction of the images cannot be used (default: 0.01, or 3 "
    "images).",
)
_ABOUT = "Describing the dataset"
ABOUT = (
    Flag(
        "about.license",
        "License of the dataset, for its croissant.json, for example CC-BY-4.0.",
        panel=_ABOUT,
        rare=True,
    ),
    Flag("about.creator", "Person who made the dataset.", panel=_ABOUT, rare=True),
    Flag("about.organization", "Organization that made the dataset.", panel=_ABOUT, rare=True),
    Flag(
        "about.homepage", "Address of the dataset's page.", metavar="URL", panel=_ABOUT, rare=True
    ),
    Flag("about.citation", "How the dataset is cited.", panel=_ABOUT, rare=True),
    Flag(
        "about.description",
        "What the dataset holds (default: how many images of how many classes).",
        panel=_ABOUT,
        rare=True,
    ),
    Flag(
        "about.date_published",
        "Day on which the dataset is published.",
        metavar="YYYY-MM-DD",
        panel=_ABOUT,
        rare=True,
    ),
)
