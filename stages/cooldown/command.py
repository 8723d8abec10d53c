"""The flags of `vitctl cooldown`, and what it prints."""

from __future__ import annotations

from typing import Annotated

from typer import Option

from stages.cooldown.settings import resolve
from stages.cooldown.spec import Inputs
from vitctl.console import flags
from vitctl.console.flag import Flags, none_of
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.optim.schedules import CooldownShape
from vitctl.summaries import WeightsName
from vitctl.train.config import TrainConfig, TrainRuntime


@verb(sets=none_of(TrainConfig), runs=Flags(TrainRuntime, flags.TRAINING), parallel=True)
def cooldown(
    session: Session,
    source: flags.Source = None,
    steps: Annotated[
        str | None,
        Option(
            metavar="N",
            help="Length of the cooldown in steps, counted from the checkpoint, for example 2k "
            "(default: 20% of the checkpoint's step with the recipes small and little, 10k to 50k "
            "with paper).",
        ),
    ] = None,
    shape: Annotated[
        CooldownShape,
        Option(
            help="Decay of the learning rate to 0 (default: linear).",
            show_default=False,
        ),
    ] = "linear",
    weights: Annotated[
        WeightsName,
        Option(
            help="Begin from the weights of the last step (raw, the default) or from their average "
            "(ema).",
            show_default=False,
        ),
    ] = "raw",
) -> None:
    """Example: vitctl cooldown --from RUN@20k --steps 2k

    Make a finished model: start from any checkpoint of a run with an open-ended schedule, which may
    still be training, and lower the learning rate to 0. The run itself is not changed and can
    continue.
    """
    length = flags.count(steps, "--steps")
    runtime = session.runtime(TrainRuntime)
    for checkpoint in session.many("checkpoint", source, option="--from", trunk=True):
        cfg = resolve(
            session.overrides,
            checkpoint,
            steps=length,
            shape=shape,
            weights=weights,
            emit=session.emit,
        )
        inputs = Inputs(checkpoint, session.trained_on(checkpoint))
        session.deliver("cooldown", cfg, inputs, runtime=runtime)
