"""What a user gives -> the settings of both commands; needs no terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from stages.scaling.plot.spec import Inputs, PlotConfig
from vitctl.artifacts import Artifact
from vitctl.errors import NotFoundError, UsageError
from vitctl.scaling.config import ScalingConfig
from vitctl.settings.overrides import Overrides
from vitctl.settings.trees import at, merge

STUDY = "study."
"""Where the settings of `plot` have the `ScalingConfig`."""


def of_fit(overrides: Overrides, *, loss: str | None) -> ScalingConfig:
    """The settings of a fit; what they leave open, the table decides (`settled_fit`)."""
    return _with_loss(overrides, loss).build(ScalingConfig, {})


def settled_fit(cfg: ScalingConfig, table: Path) -> ScalingConfig:
    """Those that the table of this file will be fitted with."""
    from stages.scaling.analysis import resolve_config
    from vitctl.tables import read_table

    return resolve_config(cfg, read_table(table))


def resolve_inputs(table: str | None, fit: Callable[[str | None], Artifact]) -> Inputs:
    """A file is a table; anything else names a fit, which `fit` looks up."""
    if table not in (None, "-") and Path(str(table)).is_file():
        return Inputs(table=Path(str(table)), fit=None)
    if table not in (None, "-") and Path(str(table)).suffix and not Path(str(table)).exists():
        raise NotFoundError(f"there is no table {table}")
    return Inputs(table=None, fit=fit(table))


def of_plot(overrides: Overrides, inputs: Inputs, *, loss: str | None) -> PlotConfig:
    """The settings of figures. Raises UsageError for those that a fit has settled."""
    overrides = _with_loss(overrides, loss, prefix=STUDY)
    cfg = overrides.build(PlotConfig, {})
    if inputs.fit is not None and "study" in overrides.tree():
        raise UsageError(
            f"{inputs.fit.path} is a fit, whose columns and form are settled",
            hint="give the table instead, or leave these settings out",
        )
    return cfg


def settled_plot(cfg: PlotConfig, inputs: Inputs) -> PlotConfig:
    """Those that the table, if it is one, will be drawn with."""
    if inputs.table is None:
        return cfg
    from stages.scaling.plot.run import resolve
    from vitctl.tables import read_table

    return resolve(cfg, read_table(inputs.table))


def _with_loss(overrides: Overrides, loss: str | None, *, prefix: str = "") -> Overrides:
    """These and what `--loss COLUMN` sets: the column, which has no unit. UsageError unless one
    column at most is named, and `--unit` fits it."""
    given = merge({}, overrides.flags, overrides.settings)  # a flag wins over a file
    columns = at(given, f"{prefix}columns") or {}
    _only_one_metric(
        error=columns.get("error"),
        accuracy=columns.get("accuracy"),
        loss=loss,
        unit=columns.get("unit"),
    )
    if loss is None:
        return overrides
    column = {f"{prefix}columns.error": loss, f"{prefix}columns.unit": "none"}
    return overrides.with_flags(column)


def _only_one_metric(
    *, error: str | None, accuracy: str | None, loss: str | None, unit: str | None
) -> None:
    """Raise UsageError unless one column at most is named, and `--unit` fits it."""
    named = {"--error": error, "--accuracy": accuracy, "--loss": loss}
    given = [flag for flag, column in named.items() if column is not None]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} are both given", hint="keep one of them")
    if loss is not None and unit not in (None, "none"):
        raise UsageError(
            f"--loss {loss} cannot have --unit {unit}: a loss is fitted as it is",
            hint=f"if it is an error rate: --error {loss} --unit {unit}",
        )
