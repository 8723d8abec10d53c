"""The flags of both commands."""

from __future__ import annotations

from typing import Annotated, Any

from typer import Option

from vitctl.console.flag import Flag

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
            "(floor), with c=0 (shift), with both 0 (power); auto takes the one that predicts "
            "held-out runs best.",
        ),
        flag(
            "law.frontier",
            "Runs that the law is fitted to: those that no cheaper run beats (running-minimum, the "
            "default), of these the lower convex hull (hull), or all.",
        ),
    )
