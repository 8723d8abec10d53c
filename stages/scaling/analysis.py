"""From a table to what is known of it, for both commands."""

from __future__ import annotations

from typing import Any

from stages.scaling.user_table import read_points, resolve
from vitctl.events import Caution, Emit, Note
from vitctl.scaling import report
from vitctl.scaling.config import ScalingConfig
from vitctl.scaling.settings import resolve_against, settings
from vitctl.scaling.study import study
from vitctl.tables import Table


def resolve_config(cfg: ScalingConfig, table: Table) -> ScalingConfig:
    """The configuration without open questions: columns, unit, the law to compare with."""
    cfg = cfg.model_copy(update={"columns": resolve(cfg.columns, table)})
    return cfg.model_copy(update={"against": resolve_against(cfg)})


def study_table(cfg: ScalingConfig, table: Table, *, emit: Emit) -> dict[str, Any]:
    """The summary of a resolved configuration, with the law's `band` for drawing."""
    if table.remarks:
        emit(Note(f"{table.source}: {', '.join(table.remarks)}"))
    points, skipped = read_points(table, cfg.columns)
    if skipped:
        emit(Caution(f"{skipped} rows with empty cells were skipped"))
    found = study(points, settings(cfg, points))
    against = None if cfg.against == "none" else cfg.against
    summary = report.summary(found, unit=cfg.columns.compute_unit or "", against=against)
    return {**summary, "band": report.band(found)}
