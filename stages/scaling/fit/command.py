"""The flags of `vitctl scaling fit`, and what it prints."""

from __future__ import annotations

from typing import Annotated

from typer import Argument

from stages.scaling import flags
from stages.scaling.settings import fit_inputs, of_fit, settled_fit
from vitctl.artifacts.kinds import SWEEP
from vitctl.console import completion
from vitctl.console.flag import Flag, Flags
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.scaling.config import ScalingConfig
from vitctl.stage import Runtime
from vitctl.text.quantities import parse_amount

_SETTINGS = (
    *flags.study(),
    Flag(
        "law.space",
        "Minimise squared deviations of the error or of its logarithm (default: error).",
    ),
    Flag(
        "law.huber", "Count residuals above this linearly, as the Huber loss does (default: off)."
    ),
    Flag("noise", "Standard deviation of one run's error, as a fraction (default: estimated)."),
    Flag(
        "budgets",
        "Recommend a model and duration for this compute, in the unit of --compute; repeatable.",
        name="--budget",
        reads=parse_amount,
        many=True,
        metavar="COMPUTE",
    ),
    Flag(
        "compare",
        "Compare how many images two models need for the same error; repeatable (default: all "
        "pairs).",
        many=True,
        metavar="MODEL:OTHER",
    ),
    Flag(
        "against",
        "Compare with a law of the paper, for example imagenet-10shot.",
        metavar="NAME",
    ),
)


@verb(sets=Flags(ScalingConfig, _SETTINGS))
def fit(
    session: Session,
    table: Annotated[
        str | None,
        Argument(
            help="Table with one row for each run (CSV, TSV, JSON, JSON lines or Parquet), or a "
            "sweep: its path, name or id, or - for stdin (default: the newest sweep).",
            autocompletion=completion.sweeps,
        ),
    ] = None,
    loss: flags.Loss = None,
) -> None:
    """Example: vitctl scaling fit runs.csv --compute core_days --accuracy inet10

    Fit error = a (compute + d)^-b + c to the best runs of a table. Reports intervals, other forms
    of the law, residuals, bottlenecks, sample efficiency, and what to train next for a budget.
    """
    inputs = fit_inputs(table, lambda reference: session.one(SWEEP.name, reference, option="TABLE"))
    cfg = of_fit(session.overrides, loss=loss, sweep=inputs.sweep)
    if session.options.print_config:
        cfg = settled_fit(cfg, inputs.table)
    session.deliver("scaling.fit", cfg, inputs, runtime=session.runtime(Runtime))
