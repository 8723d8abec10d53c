"""Many runs by one call: a grid of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from stages.api.call import Call, Options, Reference
from stages.api.data import subset
from stages.api.measure import evaluate, fewshot
from stages.api.train import cooldown, pretrain
from stages.api.translation import in_python
from vitctl.artifacts import Artifact

if TYPE_CHECKING:
    from stages.sweep.plan import SweepPlan
    from stages.sweep.spec import SweepCommands


def sweep_commands() -> SweepCommands:
    """The commands that a sweep is made of, for `vitctl sweep` itself."""
    from stages.evaluate.spec import EvaluateConfig
    from stages.fewshot.spec import FewshotConfig
    from stages.sweep.spec import SweepCommands

    return SweepCommands.of(
        subset=subset,
        pretrain=pretrain,
        cooldown=cooldown,
        fewshot=fewshot,
        evaluate=evaluate,
        settings={"fewshot": FewshotConfig, "evaluate": EvaluateConfig},
        made_by=sweep_commands,
    )


@overload
def sweep(
    grid: Path | str | Mapping[str, Any],
    *,
    data: Reference | None = None,
    dry_run: Literal[False] = False,
    **options: Unpack[Options],
) -> Artifact: ...


@overload
def sweep(
    grid: Path | str | Mapping[str, Any],
    *,
    data: Reference | None = None,
    dry_run: Literal[True],
    **options: Unpack[Options],
) -> SweepPlan: ...


@in_python
def sweep(
    grid: Path | str | Mapping[str, Any],
    *,
    data: Reference | None = None,
    dry_run: bool = False,
    **options: Unpack[Options],
) -> Artifact | SweepPlan:
    """A grid of models, dataset sizes and durations, a TOML file or what it would hold -> a table
    of trained models; with `dry_run` what would be trained, at which cost. Runs that failed are
    rows of the table: `SWEEP.summary(artifact).failed` counts them."""
    from stages.sweep.settings import resolve, runtime_of
    from stages.sweep.spec import SweepRuntime

    call = Call(sweep, options)
    given = Path(grid) if isinstance(grid, str) else grid
    runtime = runtime_of(call.runtime(SweepRuntime), given)
    cfg, inputs = resolve(
        call.overrides,
        given,
        dataset=lambda reference: call.input("dataset", reference),
        data=None if data is None else call.named(data),
        commands=sweep_commands(),
        emit=call.emit,
    )
    call.resolved(lambda: cfg)
    from stages.sweep.run import planned, run

    if dry_run:
        return planned(cfg, inputs, store=call.store, runtime=runtime, emit=call.emit)
    return run(cfg, inputs, store=call.store, runtime=runtime, emit=call.emit)
