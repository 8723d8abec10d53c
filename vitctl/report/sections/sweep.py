"""Sweeps: every run of a grid with its cost and what was measured of it, and error over compute."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from vitctl.artifacts.kinds.evaluation import Metric
from vitctl.artifacts.kinds.sweep import RateOfSweep, SweepRow, SweepTable
from vitctl.report.charts import Chart, Trace, draw
from vitctl.report.html import Content, Html, details, element, name_of, table
from vitctl.report.sections.section import (
    Context,
    Number,
    Section,
    SectionBody,
    bounds,
    count,
    link,
    share,
    share_with,
)
from vitctl.report.subjects import ReportEntry
from vitctl.text.quantities import shown_digits

_MOST_METRICS = 4
"""Columns of the table that a reader can take in; the files have all."""
_MOST_LINES = 7


def _numbers(subject: ReportEntry) -> Iterator[Number]:
    one = subject.summary
    if not isinstance(one, SweepTable):
        return
    best = _best(one)
    if best is not None and one.accuracy is not None:
        metric = best.metrics[one.accuracy]
        yield share_with(f"best {one.accuracy}", metric.value, metric.interval, on=best.model)
    yield Number("runs", count(len(one.rows)))
    if one.failed:
        yield Number("failed", count(one.failed))


def _best(one: SweepTable) -> SweepRow | None:
    name = one.accuracy
    rows = [row for row in one.rows if name is not None and name in row.metrics]
    return max(rows, key=lambda row: row.metrics[name or ""].value, default=None)


def _part(subjects: Sequence[ReportEntry], context: Context) -> SectionBody:
    summaries = [(s, s.summary) for s in subjects if isinstance(s.summary, SweepTable)]
    rows = [
        (
            link(subject),
            count(len(one.rows)),
            count(one.failed),
            count(len({row.model for row in one.rows})),
            count(len({row.data_size for row in one.rows})),
            f"{one.flops:.3g}",
            f"{one.flops_apart:.3g}",
        )
        for subject, one in summaries
    ]
    columns = ("sweep", "runs", "failed", "models", "sizes", "FLOPs", "FLOPs with a run each")
    overview = table(
        "Grids of models, training set sizes and durations; durations that share a trunk cost less "
        "than a run each",
        columns,
        rows,
        numbers=range(1, len(columns)),
    )
    return SectionBody(overview, [(subject, _article(one, context)) for subject, one in summaries])


def _article(one: SweepTable, context: Context) -> Content:
    return [_chart(one), _runs(one, context), _rates(one)]


def _chart(one: SweepTable) -> Html | None:
    """A line for each model on its largest training set."""
    name = one.accuracy
    if name is None:
        return None
    lines = []
    for number, model in enumerate(dict.fromkeys(row.model for row in one.rows)):
        own = [row for row in one.rows if row.model == model and name in row.metrics]
        largest = max((row.data_size for row in own), default=0)
        rows = sorted((row for row in own if row.data_size == largest), key=lambda row: row.flops)
        if rows and number < _MOST_LINES:
            lines.append(
                Trace(
                    f"{model} on {largest:,} images",
                    np.array([row.flops for row in rows]),
                    np.array([1 - row.metrics[name].value for row in rows]),
                    style=number,
                    marks=True,
                )
            )
    return draw(
        Chart(
            f"Error ({name}) over compute, on the largest training set",
            "FLOPs of a run",
            "error",
            tuple(lines),
            log_x=True,
            share=True,
        )
    )


def _runs(one: SweepTable, context: Context) -> Html:
    axes = list(dict.fromkeys(name for row in one.rows for name in row.axes))
    metrics = one.metrics[:_MOST_METRICS]
    with_seeds = len({row.seed for row in one.rows}) > 1
    rows = [
        (
            name_of(row.model),
            count(row.data_size),
            *(name_of(str(row.axes.get(name, ""))) for name in axes),
            *((count(row.seed),) if with_seeds else ()),
            count(row.steps),
            count(row.images_seen),
            shown_digits(row.epochs, least=3),
            "" if row.lr is None else f"{row.lr:g}",
            f"{row.flops:.3g}",
            "" if row.device_seconds is None else f"{row.device_seconds:,.0f}",
            *(_cell(name, row.metrics.get(name)) for name in metrics),
            *((_failure(row, context),) if one.failed else ()),
        )
        for row in one.rows
    ]
    seeds = ("seed",) if with_seeds else ()
    begin = ("model", "training set", *map(name_of, axes), *seeds)
    numbers = ("steps", "images seen", "epochs", "rate", "FLOPs", "device-seconds")
    failures = ("why it failed",) if one.failed else ()
    right = range(len(begin), len(begin) + len(numbers) + len(metrics))
    part = f"; part {one.part} of the grid" if one.part else ""
    return table(
        f"Every run, cooldown included; in brackets 95 % intervals{part}",
        (*begin, *numbers, *map(name_of, metrics), *failures),
        rows,
        numbers=(1, *right),
    )


def _cell(name: str, metric: Metric | None) -> Content:
    if metric is None:
        return ""
    if "loss" in name or metric.value > 1:
        return Number(name, shown_digits(metric.value, least=4), bounds(metric.interval)).as_cell()
    return Number(name, share(metric.value), bounds(metric.interval, percent=True)).as_cell()


def _failure(row: SweepRow, context: Context) -> Content:
    return "" if row.failure is None else element("span", context.redaction(row.failure))


def _rates(one: SweepTable) -> Html | None:
    if not one.rates:
        return None
    rows = [
        (
            name_of(choice.model),
            count(choice.data_size),
            count(choice.steps),
            _tried(choice),
            "" if choice.lr is None else f"{choice.lr:g}",
        )
        for choice in one.rates
    ]
    return details(
        "How learning rates were chosen",
        table(
            "The candidate with the least loss on training images that were held out",
            ("model", "training set", "steps", "candidates and their losses", "chosen"),
            rows,
            numbers=(1, 2, 4),
        ),
    )


def _tried(choice: RateOfSweep) -> str:
    shown = []
    for one in choice.tried:
        loss = None if one.scores is None else one.scores.loss
        shown.append(f"{one.lr:g}: {'diverged' if loss is None else f'{loss:.4g}'}")
    return ", ".join(shown)


SECTION = Section("Sweeps", _numbers, _part)
