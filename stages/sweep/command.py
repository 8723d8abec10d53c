"""The flags of `vitctl sweep`, and what it prints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from stages.sweep.settings import resolve, runtime_of
from stages.sweep.spec import SweepConfig, SweepRuntime
from vitctl.console import flags
from vitctl.console.flag import Flag, Flags
from vitctl.console.session import Session
from vitctl.console.verb import verb

_SETTINGS = (
    Flag(
        "part",
        "Train one part of the grid, as in 2/8 on the second of eight machines; without it, the "
        "same command gathers all parts into one table (default: all of the grid).",
        metavar="I/N",
    ),
)
_OURS = {
    "eval_every": "Steps between evaluations; 0 evaluates only at the end (default: 0).",
    "keep_newest": "Also keep the N newest checkpoints of each run (default: 1).",
    "keep_every": "Keep each checkpoint whose step is a multiple of this (default: those that "
    "cooldowns branch off, and the last one).",
    "devices": "Use the first N devices (GPUs, TPU cores) of this machine, or with --ray N GPUs "
    "for each run (default: all; with --ray 1).",
}
_RUNNING = (
    *(replace(flag, help=_OURS.get(flag.key, flag.help)) for flag in flags.TRAINING),
    flags.RAY,
)


@verb(sets=Flags(SweepConfig, _SETTINGS), runs=Flags(SweepRuntime, _RUNNING), computes=True)
def sweep(
    session: Session,
    grid: Annotated[
        Path,
        Argument(
            metavar="GRID.toml", help="File with models, dataset sizes, durations and further axes."
        ),
    ],
    data: flags.Data = None,
    dry_run: Annotated[
        bool,
        Option("--dry-run", help="Train nothing; print every run with its predicted cost."),
    ] = False,
) -> None:
    """Example: vitctl sweep grid.toml --data photos --dry-run

    Train every model on every dataset size for every duration of a grid, measure each, and publish
    one table that vitctl scaling fit reads. On an open-ended schedule the durations of a model are
    cooldowns off one trunk. Cheap runs come first; the same command continues where one was
    stopped. A run that fails stops no other: its row says why, and the exit code is that of its
    error.
    """
    # Made of other stages: they come from above, as from a program of a user.
    from stages import api

    runtime = runtime_of(session.runtime(SweepRuntime), grid)
    cfg, inputs = resolve(
        session.overrides,
        grid,
        dataset=lambda reference: session.one("dataset", reference, option="--data"),
        data=data,
        commands=api.grids.sweep_commands(),
        emit=session.emit,
    )
    if dry_run and not session.options.print_config:
        from stages.sweep.run import planned

        plan = planned(cfg, inputs, store=session.store, runtime=runtime, emit=session.emit)
        if session.options.json:
            session.answer_json(plan.as_json())
        else:
            from stages.sweep.answer import as_text

            session.answer_text(as_text(plan))
        return
    artifact = session.deliver("sweep", cfg, inputs, runtime=runtime)
    if artifact is not None:
        from stages.sweep.run import failure_of

        failure = failure_of(artifact)
        if failure is not None:
            raise failure
