"""What `vitctl scaling fit` is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from stages.scaling.fit.spec import Inputs
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.quantities import parse_amount
from vitctl.scaling.config import ScalingConfig
from vitctl.scaling.names import Against, Form, FrontierRule, Space, Unit
from vitctl.stage import Runtime


@verb(configurable=True)
def fit(
    session: Session,
    table: Annotated[Path, Argument(help="CSV, TSV, JSON, JSON lines or Parquet; a row a run.")],
    compute: Annotated[
        str | None, Option(metavar="COLUMN", help="What a run cost; 'compute' if left out.")
    ] = None,
    error: Annotated[str | None, Option(metavar="COLUMN", help="Column of errors.")] = None,
    accuracy: Annotated[
        str | None, Option(metavar="COLUMN", help="Column of accuracies, instead of errors.")
    ] = None,
    unit: Annotated[Unit | None, Option(help="Of that column; told by its values.")] = None,
    compute_unit: Annotated[
        str | None, Option(metavar="NAME", help="Name of compute's unit, for the record.")
    ] = None,
    where: Annotated[
        list[str] | None,
        Option(metavar="CONDITION", help="Keep rows, as in model=G/14 or steps>=1000; repeatable."),
    ] = None,
    form: Annotated[Form | None, Option(help="Form of the law; saturating if left out.")] = None,
    frontier: Annotated[
        FrontierRule | None, Option(help="Which runs it is fitted to; running-minimum.")
    ] = None,
    space: Annotated[
        Space | None, Option(help="Least squares in error or in its logarithm; error.")
    ] = None,
    huber: Annotated[
        float | None, Option(help="Residuals past this count linearly (Huber); off.")
    ] = None,
    noise: Annotated[
        float | None, Option(help="Known deviation of one run's error, 0..1; estimated.")
    ] = None,
    budget: Annotated[
        list[str] | None,
        Option(metavar="COMPUTE", help="Say what to train for so much compute; repeatable."),
    ] = None,
    compare: Annotated[
        list[str] | None,
        Option(metavar="MODEL:OTHER", help="Images needed for equal error; all pairs."),
    ] = None,
    against: Annotated[
        Against | None,
        Option(metavar="NAME", help="Compare with this law of the paper, as in imagenet-10shot."),
    ] = None,
) -> None:
    """Example: vitctl scaling fit runs.csv --compute core_days --accuracy inet10

    Fit error = a (compute + d)^-b + c to the frontier of a table of runs, with intervals, rival
    forms, residuals, bottlenecks, sample efficiency, and what to train next for a budget.
    """
    flags: dict[str, Any] = {
        "columns.compute": compute,
        "columns.error": error,
        "columns.accuracy": accuracy,
        "columns.unit": unit,
        "columns.compute_unit": compute_unit,
        "columns.where": tuple(where) if where else None,
        "law.form": form,
        "law.frontier": frontier,
        "law.space": space,
        "law.huber": huber,
        "noise": noise,
        "budgets": tuple(parse_amount(text, name="--budget") for text in budget or ()) or None,
        "compare": tuple(compare) if compare else None,
        "against": against,
    }
    cfg = session.build(ScalingConfig, {}, flags)
    if session.options.print_config:
        from stages.scaling.analysis import resolve_config
        from vitctl.tables import read_table

        cfg = resolve_config(cfg, read_table(table))
    session.deliver("scaling.fit", cfg, Inputs(table), runtime=session.runtime(Runtime))
