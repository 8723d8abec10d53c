"""The flags of `vitctl pretrain`, and what it prints."""

from __future__ import annotations

from typing import Annotated

from typer import Option

from stages.pretrain.settings import resolve
from vitctl.console import completion, flags
from vitctl.console.flag import Flag, Flags
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.recipes import pretraining
from vitctl.recipes.going_on import has_dataset, inherits_mock
from vitctl.recipes.settings import length
from vitctl.text.quantities import parse_count
from vitctl.train.config import TrainConfig, TrainRuntime

_SETTINGS = (
    flags.BATCH,
    flags.RESOLUTION,
    flags.LR,
    Flag(
        "schedule.cooldown_steps",
        "Cool the learning rate down to 0 over the last N steps; such a run cannot be continued "
        "(default: no cooldown).",
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
        "With --from, where the schedule continues: steps in which the learning rate rises again "
        "(default: the recipe's warmup if the optimizer starts anew, else 0).",
        name="--rewarm",
        reads=parse_count,
        metavar="N",
        rare=True,
    ),
    Flag(
        "from_schedule",
        "With --from: continue its schedule, which must be open-ended, or restart with a new one "
        "(default: continue; restart for an import).",
        rare=True,
    ),
    Flag(
        "from_weights",
        "With --from: begin from the weights of the last step (raw) or from their average (ema) "
        "(default: raw; ema where a schedule restarts and there is an average).",
        name="--weights",
        rare=True,
    ),
    Flag(
        "from_head",
        "With --from: start with a new classifier although the classes are the same.",
        name="--fresh-head",
        sets="fresh",
        rare=True,
    ),
    Flag(
        "procedural.steps",
        "Before the first image, train the blocks for N steps on sequences of brackets, of which "
        "some are hidden (default: none).",
        name="--procedural",
        reads=parse_count,
        metavar="N",
        rare=True,
    ),
    flags.HEAD,
    Flag("optim.wd_head", "Weight decay of the classifier (default: the recipe's).", rare=True),
    Flag(
        "optim.wd_body",
        "Weight decay of all other weight matrices (default: the recipe's).",
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
            help="Start from the weights of this run, RUN@STEP, checkpoint or import; - reads it "
            "from stdin (default: random weights).",
            autocompletion=completion.checkpoints,
        ),
    ] = None,
    steps: Annotated[
        str | None,
        Option(
            metavar="N",
            help="Total length of the run in steps, for example 20k; a larger total continues it. "
            "With --from counted from there (default: the recipe's).",
        ),
    ] = None,
    images: flags.Images = None,
    epochs: flags.Epochs = None,
    recipe: flags.RecipeChoice = None,
    mock: Annotated[
        bool, Option("--mock", help="Train on synthetic images instead of a dataset.")
    ] = False,
) -> None:
    """Example: vitctl pretrain --model S16 --steps 20k

    Pretrain a vision transformer. On an open-ended schedule (the default) the same command with
    more steps continues the run, and vitctl cooldown makes a finished model from any of its
    checkpoints. With --from, a new run starts from the weights of another, on the same images or
    others.
    """
    pretraining.check_one_asked(mock=mock, data=data)
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
