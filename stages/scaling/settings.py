"""What a user gives -> the settings of both commands; needs no terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from stages.scaling.fit.spec import Inputs as FitInputs
from stages.scaling.plot.spec import Inputs, PlotConfig
from vitctl.artifacts import Artifact
from vitctl.artifacts.kinds import SWEEP
from vitctl.artifacts.kinds.sweep import COMPUTE, TABLE
from vitctl.artifacts.references import table_file
from vitctl.errors import UsageError
from vitctl.places import Place
from vitctl.scaling.config import ScalingConfig
from vitctl.settings.overrides import Overrides
from vitctl.settings.trees import Tree, at, from_keys, merge

STUDY = "study."
"""Where the settings of `plot` have the `ScalingConfig`."""


def of_fit(
    overrides: Overrides, *, loss: str | None, sweep: Artifact | None = None
) -> ScalingConfig:
    """The settings of a fit; what they leave open, the table decides (`settled_fit`), or that it is
    a sweep's."""
    overrides = _with_loss(overrides, loss)
    return overrides.build(ScalingConfig, _of_sweep(sweep, overrides.tree()))


def _of_sweep(sweep: Artifact | None, given: Tree, *, prefix: str = "") -> Tree:
    """What is known of the columns of a sweep: accuracies are fractions, compute is in FLOPs, and
    rows of runs that failed are empty."""
    if sweep is None:
        return {}
    columns = at(given, f"{prefix}columns") or {}
    base: Tree = {"compute": COMPUTE, "unit": "fraction", "missing": "skip"}
    if columns.get("compute") in (None, COMPUTE):
        base["compute_unit"] = "FLOPs"
    if columns.get("error") is None and columns.get("accuracy") is None:
        base["accuracy"] = SWEEP.summary(sweep).accuracy
    return from_keys({f"{prefix}columns": base})


def settled_fit(cfg: ScalingConfig, table: Path | Place) -> ScalingConfig:
    """Those that the table of this file will be fitted with."""
    from stages.scaling.analysis import resolve_config
    from vitctl.text.tables import read_table

    return resolve_config(cfg, read_table(table))


def fit_inputs(table: str | None, sweep: Callable[[str | None], Artifact]) -> FitInputs:
    """A file is a table; anything else names a sweep, which `sweep` looks up."""
    if (file := table_file(table)) is not None:
        return FitInputs(file)
    artifact = sweep(table)
    return FitInputs(artifact.path / TABLE, artifact)


def resolve_inputs(table: str | None, artifact: Callable[[str | None], Artifact]) -> Inputs:
    """A file is a table; anything else names a fit or a sweep, which `artifact` looks up."""
    if (file := table_file(table)) is not None:
        return Inputs(table=file, fit=None)
    named = artifact(table)
    if named.kind == SWEEP.name:
        return Inputs(table=named.path / TABLE, fit=None, sweep=named)
    return Inputs(table=None, fit=named)


def of_plot(overrides: Overrides, inputs: Inputs, *, loss: str | None) -> PlotConfig:
    """The settings of figures. Raises UsageError for those that a fit has settled."""
    overrides = _with_loss(overrides, loss, prefix=STUDY)
    cfg = overrides.build(PlotConfig, _of_sweep(inputs.sweep, overrides.tree(), prefix=STUDY))
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
    from vitctl.text.tables import read_table

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
