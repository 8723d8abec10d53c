"""What the flags of both commands mean together."""

from __future__ import annotations

from typing import Annotated, Any

from typer import Option

from vitctl.console.flag import Flag
from vitctl.errors import UsageError
from vitctl.settings.trees import Tree, at

Loss = Annotated[
    str | None,
    Option(metavar="COLUMN", help="Column of losses, in place of error rates."),
]


def study(prefix: str = "") -> tuple[Flag, ...]:
    """The flags that say what a table holds and which law it is fitted with; `prefix` is where the
    command's settings have the `ScalingConfig`."""

    def flag(key: str, help: str, **more: Any) -> Flag:
        return Flag(prefix + key, help, **more)

    return (
        flag(
            "columns.compute", "Column of each run's compute (default: compute).", metavar="COLUMN"
        ),
        flag("columns.error", "Column of error rates (default: error).", metavar="COLUMN"),
        flag(
            "columns.accuracy",
            "Column of accuracies, in place of error rates (default: accuracy, if there is one).",
            metavar="COLUMN",
        ),
        flag(
            "columns.unit",
            "Unit of errors or accuracies; none for a loss (default: by the values).",
        ),
        flag(
            "columns.compute_unit",
            "Name of the unit of compute (default: the column's).",
            metavar="NAME",
        ),
        flag(
            "columns.where",
            "Use only these rows, for example 'steps>=1000' (in quotes); repeatable.",
            many=True,
            metavar="CONDITION",
        ),
        flag(
            "law.form",
            "Form of the law: saturating, a(C+d)^-b+c for compute C (the default); or with d=0 "
            "(floor), with c=0 (shift), with both 0 (power).",
        ),
        flag(
            "law.frontier",
            "Runs that the law is fitted to: those that no cheaper run beats (running-minimum, the "
            "default), of these the lower convex hull (hull), or all.",
        ),
    )


def with_loss(flags: Tree, loss: str | None, *, prefix: str = "") -> dict[str, Any]:
    """What `--loss COLUMN` sets: the column, which has no unit. UsageError unless one column at
    most is named, and `--unit` fits it."""
    columns = at(flags, f"{prefix}columns") or {}
    only_one_metric(
        error=columns.get("error"),
        accuracy=columns.get("accuracy"),
        loss=loss,
        unit=columns.get("unit"),
    )
    if loss is None:
        return {}
    return {f"{prefix}columns.error": loss, f"{prefix}columns.unit": "none"}


def only_one_metric(
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
