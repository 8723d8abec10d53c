"""The flags of `vitctl cooldown`, and how they become its settings."""

from __future__ import annotations

from typing import Annotated

from typer import Option

from stages.cooldown.settings import resolve
from stages.cooldown.spec import Inputs
from vitctl.console.flags import (
    Source,
    count,
)
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.optim.config import WeightsName
from vitctl.optim.schedules import CooldownShape
from vitctl.train.config import TrainRuntime


@verb(configurable=True, parallel=True, trains=True)
def cooldown(
    session: Session,
    source: Source = None,
    steps: Annotated[str | None, Option(help="Length; the recipe's rule if left out.")] = None,
    shape: Annotated[CooldownShape, Option(help="How the rate falls to 0.")] = "linear",
    weights: Annotated[
        WeightsName,
        Option(help="Begin from the weights as they are, or from their average."),
    ] = "raw",
) -> None:
    """Example: vitctl cooldown --from RUN@20k --steps 2k

    Branch off any checkpoint of an open-ended run, also one still training, and let the learning
    rate fall to 0: a finished model. The trunk is left alone and can go on.
    """
    length = count(steps, "--steps")
    runtime = session.runtime(TrainRuntime)
    for checkpoint in session.many("checkpoint", source, option="--from"):
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
