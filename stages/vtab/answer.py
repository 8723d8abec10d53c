"""The plan of a table as text for people, on stdout."""

from __future__ import annotations

from stages.vtab.cost import VtabPlan, totals
from vitctl.console.table import table
from vitctl.console.tree import fields

_COLUMNS = ("task", "group", "dataset", "drawn", "scored on", "steps", "batch", "rates", "FLOPs")


def as_text(plan: VtabPlan) -> str:
    """A row for each dataset, in the order in which they are fine-tuned on, and what all takes."""
    rows = [
        (
            row.one.task.name,
            row.one.task.group,
            row.as_json()["dataset"],
            f"{row.train_examples:,}",
            f"{row.examples:,} of {row.one.split}",
            f"{row.cfg.steps:,}",
            f"{row.cfg.data.batch:,}",
            ", ".join(f"{rate:g}" for rate in row.rates),
            f"{row.flops:.3g}",
        )
        for row in plan.tasks
    ]
    return "\n".join([table(_COLUMNS, rows), "", *fields(totals(plan))])
