"""Before the first image: the blocks of a run from random weights learn formal languages.

The patch embedding is passed by: each symbol has a fixed random vector in place of a patch, and the
classifier answers for every place of the sequence (https://arxiv.org/abs/2511.13945). What the run
begins with are its own random weights, but for the blocks. All of it is a function of the settings,
so a run that is killed meanwhile begins again and comes to the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from vitctl import processes
from vitctl.data import sequences
from vitctl.data.config import ProceduralConfig
from vitctl.errors import DivergedError
from vitctl.events import Doing, Emit, Note, Progress
from vitctl.model import shapes
from vitctl.model.config import HALF
from vitctl.model.roles import STACKED
from vitctl.optim import frozen, schedules
from vitctl.optim.schedules import ScheduleConfig
from vitctl.processes.compile_barrier import in_step
from vitctl.sharding.layout import Layout
from vitctl.train.config import TrainConfig
from vitctl.train.program import run_numbers
from vitctl.train.program import state as states
from vitctl.train.program.footprint import MemoryPlan
from vitctl.train.program.objective import MaskedSymbols
from vitctl.train.program.state import TrainState
from vitctl.train.program.step import StepStats, make_step
from vitctl.train.run.jitted import Jitted
from vitctl.train.telemetry.goodput import Meter

_LOOK_EVERY = 10
_POSITION = "position"
"""Where a model learns its position embeddings, they are under this name."""


class _Batch(NamedTuple):
    step: int
    arrays: sequences.Sequences


def warmed(
    cfg: TrainConfig,
    procedural: ProceduralConfig,
    *,
    layout: Layout,
    memory: MemoryPlan,
    meter: Meter,
    after_step: Callable[[int], None],
    emit: Emit,
) -> TrainState:
    """A fresh state of `cfg`, its blocks trained on sequences, which counts as steps. `after_step`
    is called with the number of steps that are done, and may raise.

    Raises DivergedError for a loss that is not finite.
    """
    own = settings(cfg, procedural)
    # Drawn again below: a step gives up what it is given, and nothing is to lie there meanwhile.
    same = {
        name: value
        for name, value in states.drawn(cfg, layout=layout).items()
        if name in (STACKED, _POSITION)
    }
    of_symbols = states.with_params(
        own, {**states.drawn(own, layout=layout), **same}, layout=layout
    )
    del same
    program = make_step(
        own,
        layout=layout,
        remat=memory.remat,
        microbatch=memory.microbatch,
        objective=MaskedSymbols(),
    )
    step = Jitted(in_step(program)).timed(meter=meter, emit=emit)
    numbers = layout.place(run_numbers.of(own))
    losses: list[float] = []
    with meter.during("step"):
        for batch in _batches(own, procedural, layout=layout):
            processes.mark("compile" if batch.step == 0 else "step", step=batch.step)
            rate = np.float32(schedules.value(own.schedule, step=batch.step))
            arrays = layout.place_batch(tuple(batch.arrays))
            scalars = layout.place((rate, np.int32(batch.step)))
            of_symbols, stats = step(of_symbols, *arrays, *scalars, numbers)
            done = batch.step + 1
            if done == 1:
                emit(Doing("procedural"))
            if done == 1 or done % _LOOK_EVERY == 0 or done == procedural.steps:
                losses.append(_finite_loss(stats, done))
                fields = {"loss": f"{losses[-1]:.3f}"}
                emit(Progress("sequences", done, procedural.steps, "steps", fields))
            after_step(done)
    emit(
        Note(
            f"the blocks have learnt {procedural.language} sequences for {procedural.steps:,} "
            f"steps: loss {losses[0]:.3f} to {losses[-1]:.3f} a hidden symbol (chance "
            f"{math.log(_answers(procedural)):.3f})"
        )
    )
    params = {**states.drawn(cfg, layout=layout), STACKED: of_symbols.params[STACKED]}
    del of_symbols
    return states.with_params(cfg, params, layout=layout)


def _finite_loss(stats: StepStats, done: int) -> float:
    if not bool(stats.finite):
        raise DivergedError(
            f"the loss on sequences is not finite by step {done}, before the first image",
            hint="--set procedural.peak_lr=... takes a smaller learning rate",
        )
    return float(stats.loss)


def flops(cfg: TrainConfig, procedural: ProceduralConfig) -> float:
    """What all the steps on sequences cost."""
    own = settings(cfg, procedural)
    # The classifier answers for each of a sequence's places, and not for their mean alone; forward,
    # and for the gradients of what it sees and of its weights.
    answers = 3 * 2 * (own.model.tokens - 1) * own.model.width * procedural.symbols
    each = frozen.trained_flops(own.model, own.optim) + answers
    return float(procedural.steps * cfg.data.batch * each)


def settings(cfg: TrainConfig, procedural: ProceduralConfig) -> TrainConfig:
    """Settings of the training on sequences: the run's blocks, between fixed embeddings of symbols
    and a classifier of symbols; its optimizer."""
    # The smallest patch with as many numbers as there are symbols, the hidden one included.
    patch = math.isqrt(math.ceil((procedural.symbols + 1) / 3) - 1) + 1
    model = cfg.model.model_copy(
        update={
            "patch": patch,
            "resolution": cfg.model.grid * patch,
            "classes": procedural.symbols,
            "head": "gap",
            "head_bias": 0.0,
            "pre_logits": None,
            "projection": "tanh",
            "registers": 0,
            "class_token": False,
            "norm_after_pool": False,
            "pixel_mean": HALF,
            "pixel_std": HALF,
        }
    )
    constant = ("embedding/.*", *shapes.of_params(model).keys() & {_POSITION})
    optim = cfg.optim.model_copy(
        update={"freeze": constant, "ema": None, "skip_spikes": None, "layer_decay": None}
    )
    steps = procedural.steps
    schedule = ScheduleConfig(
        kind="trapezoid",
        peak_lr=procedural.peak_lr or cfg.schedule.peak_lr,
        warmup_steps=steps // 10,
        total_steps=steps,
        cooldown_steps=max(1, steps // 5),
    )
    return cfg.model_copy(
        update={"model": model, "optim": optim, "schedule": schedule, "procedural": None}
    )


def _batches(own: TrainConfig, procedural: ProceduralConfig, *, layout: Layout) -> Iterator[_Batch]:
    """The rows of this process of each step's batch."""
    rows = np.arange(own.data.batch)[layout.rows(own.data.batch)]
    for step in range(procedural.steps):
        yield _Batch(
            step,
            sequences.masked(
                procedural, seed=own.seed, step=step, rows=rows, length=own.model.tokens
            ),
        )


def _answers(procedural: ProceduralConfig) -> int:
    """How many symbols a hidden one may be, for who knows only where it stands."""
    return procedural.symbols if procedural.language == "copy" else procedural.kinds
