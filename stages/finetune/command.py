"""The flags of `vitctl finetune`, and what it prints."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from typer import Option

from stages.finetune.settings import resolve
from vitctl.console import flags
from vitctl.console.flag import Flag, Flags
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.recipes.recipe import Preset, RateScaling
from vitctl.recipes.settings import length
from vitctl.train.config import TrainConfig, TrainRuntime

_SETTINGS = (
    replace(
        flags.RESOLUTION,
        help="Side of the square input image in pixels (default: 384, from ViT-g on 518, for "
        "models pretrained at 224 px; others keep their size).",
    ),
    flags.BATCH,
    Flag(
        "schedule.peak_lr",
        "Peak learning rate (default: 0.03; the paper also tries 0.01).",
        name="--lr",
    ),
    Flag(
        "from_weights",
        "Begin from the weights of the last step (raw) or from their average (ema; the default if "
        "the run kept one).",
        name="--weights",
    ),
    flags.LAYER_DECAY,
    flags.HOLD_OUT,
    flags.KEEP_BEST,
    flags.PATIENCE,
    flags.SCORE_EVERY,
    flags.WARMUP,
    flags.FREEZE,
    flags.MIXUP,
    flags.SMOOTHING,
    flags.BALANCE,
    flags.EMA,
    flags.SKIP_SPIKES,
    Flag(
        "seed",
        "Seed of data order, augmentation and a new classifier (default: the run's).",
        rare=True,
    ),
    flags.TRAIN_SPLIT,
    flags.EVAL_SPLIT,
)


@verb(sets=Flags(TrainConfig, _SETTINGS), runs=Flags(TrainRuntime, flags.TRAINING), parallel=True)
def finetune(
    session: Session,
    source: flags.Source = None,
    data: flags.InheritedData = None,
    steps: Annotated[
        str | None,
        Option(
            metavar="N",
            help="Total length of fine-tuning in steps, for example 2k (default: 20k, or 100 "
            "epochs if they are fewer).",
        ),
    ] = None,
    images: flags.Images = None,
    epochs: flags.Epochs = None,
    preset: Annotated[
        Preset | None,
        Option(
            help="Settings of a known dataset (default: the paper's recipe, fitted to the data)."
        ),
    ] = None,
    sweep_lr: Annotated[
        str | None,
        Option(
            metavar="LR,LR",
            help="Choose the learning rate: train with each on all but a part of the training "
            "images (2%, or --hold-out), then on all with the best on that part.",
        ),
    ] = None,
    scale_lr: Annotated[
        RateScaling | None,
        Option(
            help="Scale the recipe's learning rate, or those of --sweep-lr, to the batch: linear "
            "or sqrt (default: the same rate for any batch).",
        ),
    ] = None,
) -> None:
    """Example: vitctl finetune --from RUN --data DATASET --res 384

    Fine-tune all weights of a pretrained model: SGD with momentum, a cosine schedule, no weight
    decay. At another resolution learned position embeddings are resampled, and fixed ones span the
    grid of pretraining. A dataset with other classes gets a new classifier.
    """
    given_length = length({"steps": steps, "images": images, "epochs": epochs})
    runtime = session.runtime(TrainRuntime)
    for checkpoint in session.many("checkpoint", source, option="--from"):
        dataset = session.one("dataset", data, option="--data", stdin=False, of=checkpoint)
        cfg, inputs = resolve(
            session.overrides,
            checkpoint,
            dataset,
            length=given_length,
            store=session.store,
            runtime=runtime,
            emit=session.emit,
            preset=preset,
            scale_lr=scale_lr,
            sweep_lr=sweep_lr,
        )
        session.deliver("finetune", cfg, inputs, runtime=runtime)
