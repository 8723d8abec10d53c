"""A fitted law, for `vitctl show`: its parameters, the forms, and what qualifies it.

They stand for the tables of every run that its summary holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vitctl.console.text import safe
from vitctl.scaling.names import FREE
from vitctl.scaling.summary import Ends, FitSummary
from vitctl.text.quantities import with_interval

SHOWN = ("form", "measure", "compute_unit", "scatter", "points")
"""Fields of the summary that are shown as they are."""


def of_interest(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a law's summary that `lines` does not say better."""
    return {name: value for name, value in summary.items() if name in SHOWN}


def lines(law: FitSummary) -> Iterator[str]:
    """The law with intervals, forms by their predictions, seeds, repeated data, cautions."""
    yield f"{law.measure} = a (C + d)^-b + c, C in {safe(law.compute_unit)}"
    for name in FREE[law.form]:
        yield f"{name}  {_with_interval(getattr(law, name), law.intervals.get(name))}"
    yield f"fitted to {len(law.frontier)} of {law.points} runs, intervals at {law.interval_level:g}"
    if law.form_chosen is not None:
        yield f"form chosen by {law.form_chosen.by}: {law.form}"
    for one in law.held_out:
        wins = "" if one.wins is None else f", best in {one.wins:.0%} of drawn tables"
        off = "?" if one.rmse is None else law.difference(one.rmse)
        yield f"{one.form:<10}  off by {off} in {one.predicted} predictions{wins}"
    seeds = law.seeds
    if seeds is not None and seeds.freedom:
        yield (
            f"{seeds.runs} runs averaged to {seeds.cells} cells; noise of a run "
            f"{law.difference(seeds.noise)}"
        )
    again = law.repeats
    if again is not None:
        worth = (
            "no limit shows" if again.worth is None else _with_interval(again.worth, again.interval)
        )
        yield f"all repeats of an image are worth so many epochs of new ones: {worth}"
    for caution in law.cautions:
        yield f"caution: {safe(caution)}"


def _with_interval(value: float, interval: Ends | None) -> str:
    low, high = ("?" if end is None else f"{end:.3g}" for end in interval or (None, None))
    return with_interval(f"{value:.4g}", low, high)
