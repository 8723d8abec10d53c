"""Scores of the held-out split while a run trains."""

from __future__ import annotations

from collections.abc import Callable

from vitctl.inference import scoring
from vitctl.signals import Abandoned
from vitctl.train.program.state import TrainState
from vitctl.train.run.setup import Training
from vitctl.train.telemetry.goodput import Meter

Evaluate = Callable[[TrainState, Callable[[], bool]], scoring.Scoring | None]
"""Scores of a state. The function is called between batches, and while the scoring is compiled;
where it returns True the scoring breaks off and gives None."""


def evaluator(training: Training, *, meter: Meter) -> Evaluate | None:
    """Scores every image of the held-out split once; None where no split is held out."""
    split = training.cfg.data.eval_split
    if training.scorer is None or split is None:
        return None
    program = training.scorer
    layout = training.layout

    def evaluate(state: TrainState, breaks_off: Callable[[], bool]) -> scoring.Scoring | None:
        ema = None if state.average is None else state.average.weights
        batches = training.images.eval_batches(split, layout)
        scorer = program.timed(meter=meter, emit=training.emit, gives_up=breaks_off)
        try:
            return scoring.score(
                scorer, state.params, batches, layout=layout, ema=ema, breaks_off=breaks_off
            )
        except Abandoned:
            return None

    return evaluate
