"""The plan of a sweep as text for people, on stdout."""

from __future__ import annotations

from stages.sweep import text
from stages.sweep.plan import SweepPlan
from vitctl.console.table import table
from vitctl.console.tree import fields


def as_text(plan: SweepPlan) -> str:
    """A row for each run, in the order in which they are trained, and what all of it takes."""
    rows = table(text.columns(plan), [*text.rows(plan)])
    return "\n".join([rows, "", *fields(text.totals(plan))])
