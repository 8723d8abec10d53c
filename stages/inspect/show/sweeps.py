"""The runs of a sweep, for `vitctl show`: a line each, in place of all that its summary holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vitctl.artifacts.kinds.sweep import SweepRow, SweepTable
from vitctl.console.table import table
from vitctl.text.quantities import show_count, shown_digits

SHOWN = ("accuracy", "part", "flops", "flops_apart")
"""Fields of the summary that are shown as they are."""
MOST_METRICS = 4
"""Columns of metrics, so that a row is a line; the files have all."""


def of_interest(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a sweep's summary that `lines` does not say better."""
    return {name: summary[name] for name in SHOWN if summary.get(name) is not None}


def lines(sweep: SweepTable) -> Iterator[str]:
    """A heading, and a line for each run: its cell, its length, metrics, or why it has none."""
    axes = [*dict.fromkeys(name for row in sweep.rows for name in row.axes)]
    metrics = _metrics(sweep)
    columns = ["model", "images", *axes, "seen", "lr", *metrics]
    rows = [[*_cell(row, axes), *_values(row, metrics)] for row in sweep.rows]
    if sweep.failed:
        columns.append("failure")
        for row, values in zip(sweep.rows, rows, strict=True):
            values.append(row.failure or "")
    yield from table(columns, rows).splitlines()


def _metrics(sweep: SweepTable) -> list[str]:
    """The accuracy that a law is fitted to first."""
    first = [sweep.accuracy] if sweep.accuracy is not None else []
    return [*first, *(name for name in sweep.metrics if name not in first)][:MOST_METRICS]


def _cell(row: SweepRow, axes: list[str]) -> list[str]:
    lr = "" if row.lr is None else f"{row.lr:g}"
    values = [str(row.axes.get(name, "")) for name in axes]
    return [row.model, show_count(row.data_size), *values, show_count(row.images_seen), lr]


def _values(row: SweepRow, metrics: list[str]) -> list[str]:
    return [
        shown_digits(row.metrics[name].value, least=4) if name in row.metrics else ""
        for name in metrics
    ]
