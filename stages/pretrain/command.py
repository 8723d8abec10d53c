"""The flags of `vitctl pretrain`, and how they become its settings."""

from __future__ import annotations

from typing import Annotated

from typer import Option

from stages.pretrain.settings import has_dataset, inherits_mock, resolve
from vitctl.console import completion, flags
from vitctl.console.flag import Flag, Flags
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.quantities import parse_count
from vitctl.recipes.settings import length
from vitctl.train.config import TrainConfig, TrainRuntime

_SETTINGS = (
    flags.BATCH,
    flags.RESOLUTION,
    flags.LR,
    Flag(
        "schedule.cooldown_steps",
        "Cool the learning rate down to 0 over the last N steps (default: no cooldown).",
        name="--cooldown",
        reads=parse_count,
        metavar="N",
    ),
    Flag(
        "schedule.kind",
        "Learning rate schedule before any cooldown (default: rsqrt).",
        name="--schedule",
        rare=True,
    ),
    flags.WARMUP,
    Flag(
        "schedule.rewarm_steps",
        "With --from and a schedule that goes on: steps of warmup to its learning rate (default: "
        "the recipe's where the optimizer starts anew, else none).",
        name="--rewarm",
        reads=parse_count,
        metavar="N",
        rare=True,
    ),
    Flag(
        "from_schedule",
        "With --from: continue its schedule, or restart one (default: continue one that is "
        "open-ended, restart for an import).",
        rare=True,
    ),
    Flag(
        "from_weights",
        "With --from: begin from the weights of the last step (raw) or from their average (ema).",
        name="--weights",
        rare=True,
    ),
    flags.HEAD,
    Flag("optim.wd_head", "Weight decay of the classifier (default: the recipe's).", rare=True),
    Flag(
        "optim.wd_body",
        "Weight decay of all other matrices of weights (default: the recipe's).",
        rare=True,
    ),
    flags.EMA,
    flags.SKIP_SPIKES,
    flags.SEED,
    flags.TRAIN_SPLIT,
    flags.EVAL_SPLIT,
)


@verb(sets=Flags(TrainConfig, _SETTINGS), runs=Flags(TrainRuntime, flags.TRAINING), parallel=True)
def pretrain(
    session: Session,
    model: flags.Model = None,
    data: flags.Data = None,
    source: Annotated[
        str | None,
        Option(
            "--from",
            metavar="REF",
            help="Go on from the weights of this run, RUN@STEP, checkpoint or import; - reads "
            "stdin (default: from random weights).",
            autocompletion=completion.checkpoints,
        ),
    ] = None,
    steps: flags.Steps = None,
    images: flags.Images = None,
    epochs: flags.Epochs = None,
    recipe: flags.RecipeChoice = None,
    mock: Annotated[
        bool, Option("--mock", help="Train on synthetic images instead of a dataset.")
    ] = False,
) -> None:
    """Example: vitctl pretrain --model S16 --steps 20k

    Pretrain a vision transformer. On an open-ended schedule (both recipes') the same command with
    more steps continues the run, and any checkpoint can be cooled down into a finished model.
    With --from, a new run goes on from the weights of another, on these images.
    """
    runtime = session.runtime(TrainRuntime)
    checkpoint = None
    if source is not None:
        checkpoint = session.one("checkpoint", source, option="--from", trunk=True)
        mock = mock or (data is None and inherits_mock(checkpoint, emit=session.emit))
    cfg, inputs = resolve(
        session.overrides,
        model=model,
        recipe=recipe,
        length=length({"steps": steps, "images": images, "epochs": epochs}),
        dataset=lambda: session.one(
            "dataset",
            data,
            option="--data",
            stdin=source != "-",
            of=has_dataset(checkpoint),
        ),
        mock=mock,
        checkpoint=checkpoint,
        store=session.store,
        runtime=runtime,
        emit=session.emit,
    )
    session.deliver("pretrain", cfg, inputs, runtime=runtime)
