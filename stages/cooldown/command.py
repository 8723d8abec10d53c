"""The flags of `vitctl cooldown`, and how they become its settings."""

from __future__ import annotations

from typing import Annotated, Literal

from typer import Option

from stages.cooldown.spec import Inputs
from vitctl.console.flags import (
    Source,
    count,
)
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.events import Caution, Note
from vitctl.optim.schedules import CooldownShape
from vitctl.train.config import TrainConfig, TrainRuntime


@verb(configurable=True, parallel=True, trains=True)
def cooldown(
    session: Session,
    source: Source = None,
    steps: Annotated[str | None, Option(help="Length; the recipe's rule if left out.")] = None,
    shape: Annotated[CooldownShape, Option(help="How the rate falls to 0.")] = "linear",
    weights: Annotated[
        Literal["raw", "ema"],
        Option(help="Begin from the weights as they are, or from their average."),
    ] = "raw",
) -> None:
    """Example: vitctl cooldown --from RUN@20k --steps 2k

    Branch off any checkpoint of an open-ended run, also one still training, and let the learning
    rate fall to 0: a finished model. The trunk is left alone and can go on.
    """
    from vitctl.recipes import branching, measuring

    length = count(steps, "--steps")
    runtime = session.runtime(TrainRuntime)
    for checkpoint in session.many("checkpoint", source, option="--from"):
        waiting = branching.unfinished_before(checkpoint)
        if waiting is not None:
            session.emit(Caution(waiting))
        branch = branching.cooled(checkpoint, steps=length, shape=shape)
        if weights == "ema":
            branch.tree["from_weights"] = measuring.weights(checkpoint, asked=weights).name
        for note in branch.notes:
            session.emit(Note(note))
        cfg = session.build(TrainConfig, branch.tree, {})
        branching.check_goes_on(cfg, checkpoint)
        dataset = session.trained_on(checkpoint)
        session.deliver("cooldown", cfg, Inputs(checkpoint, dataset), runtime=runtime)
