"""From a table to what is known of it, for both commands."""

from __future__ import annotations

from pathlib import Path

from vitctl.artifacts import Artifact, Parent
from vitctl.artifacts.references import plain_name
from vitctl.errors import UsageError
from vitctl.events import Caution, Emit, Note, Settings
from vitctl.scaling import report
from vitctl.scaling.config import ScalingConfig
from vitctl.scaling.names import FrontierRule, Resampling
from vitctl.scaling.settings import loss_bounds, resolve_against, settings
from vitctl.scaling.study import study
from vitctl.scaling.summary import FitReport
from vitctl.scaling.user_table import guesses, read_points, repeats_seeds, resolve
from vitctl.text.quantities import counted
from vitctl.text.tables import Table

_FRONTIERS: dict[FrontierRule, str] = {
    "running-minimum": "the law is fitted to the runs that no cheaper run beats",
    "hull": "the law is fitted to the lower convex hull of the runs in log-log",
    "all": "the law is fitted to every run",
}


def parent_of(table: Table, sweep: Artifact | None) -> Parent:
    """A table as an input: known by its bytes, wherever it lies; that of a sweep by the sweep."""
    if sweep is not None:
        return sweep.as_parent("sweep")
    return Parent(
        role="table",
        kind="source",
        id=table.sha256,
        digest=table.sha256,
        path=str(Path(table.source).resolve()),
    )


def name_of(table: Table, sweep: Artifact | None) -> str:
    """What results of a table are named after: its file, or its sweep."""
    return Path(table.source).stem if sweep is None else plain_name(sweep)


def resolve_config(cfg: ScalingConfig, table: Table) -> ScalingConfig:
    """The configuration without open questions: columns, unit, bounds, the law to compare with."""
    cfg = cfg.model_copy(update={"columns": resolve(cfg.columns, table)})
    if cfg.columns.unit == "none":
        law = cfg.law.model_copy(update={"bounds": loss_bounds(cfg.law.bounds)})
        cfg = cfg.model_copy(update={"law": law})
    return cfg.model_copy(
        update={"against": resolve_against(cfg), "resampling": resolve_resampling(cfg, table)}
    )


def say_guesses(given: ScalingConfig, resolved: ScalingConfig, table: Table, *, emit: Emit) -> None:
    """Report what was unusual in the table, and everything that was guessed."""
    if table.remarks:
        emit(Note(f"{table.source}: {', '.join(table.remarks)}"))
    values = guesses(given.columns, resolved.columns, table)
    if given.resampling != resolved.resampling:
        values["bootstrap"] = (
            "draws cells, and of each its seeds (--set resampling=rows takes cells as they are)"
        )
    values["frontier"] = f"{_FRONTIERS[resolved.law.frontier]} (--frontier)"
    emit(Settings(f"how {table.source} is read", values))


def resolve_resampling(cfg: ScalingConfig, table: Table) -> Resampling:
    """What the bootstrap draws: seeds too, of a table that repeats some, unless another choice was
    made. Raises UsageError for seeds of a table that repeats none."""
    repeated = repeats_seeds(table, cfg.columns)
    if cfg.resampling == "seeds" and not repeated:
        raise UsageError(
            "resampling=seeds draws seeds of repeated runs, and the table has none",
            hint="name their column: --set columns.seed=COLUMN, or leave the setting out",
        )
    return "seeds" if repeated and "resampling" not in cfg.model_fields_set else cfg.resampling


def study_table(cfg: ScalingConfig, table: Table, *, emit: Emit) -> FitReport:
    """The summary of a resolved configuration, with the law's `band` for drawing."""
    points, skipped, seeds = read_points(table, cfg.columns)
    if skipped:
        emit(Caution(f"skipped: {counted(skipped, 'row')} with empty cells"))
    result = study(points, settings(cfg, points, seeds=seeds))
    against = None if cfg.against == "none" else cfg.against
    unit = cfg.columns.compute_unit or ""
    summary = report.summary(result, unit=unit, against=against, seeds=seeds)
    return FitReport(**dict(summary), band=report.band(result))
