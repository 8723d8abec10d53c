"""Evaluations: metrics with intervals, mistakes, calibration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from vitctl.artifacts.documents import read_part
from vitctl.artifacts.kinds.evaluation import Evaluation, Metric
from vitctl.errors import VitctlError
from vitctl.measures import metric_titles
from vitctl.measures.results import MISTAKES, RESULTS, EvaluationResults
from vitctl.report.charts import Chart, Trace, draw
from vitctl.report.html import Content, details, element, name_of, table
from vitctl.report.pictures import sheet_of
from vitctl.report.sections.overlap import overlap_in_words
from vitctl.report.sections.section import (
    Context,
    Number,
    Section,
    SectionBody,
    count,
    dataset_name,
    link,
    share,
    share_with,
    sheet,
)
from vitctl.report.subjects import ReportEntry
from vitctl.text.quantities import counted

_SHOWN = 10


def _numbers(subject: ReportEntry) -> Iterator[Number]:
    one = subject.summary
    if not isinstance(one, Evaluation):
        return
    yield share_with("top-1", one.top1, one.top1_interval, on=dataset_name(one.dataset))
    for name, metric in one.metrics.items():
        if name != "top1":
            yield _number(name, metric)
    if not one.metrics:
        yield Number("top-5", share(one.top5))
        yield Number("loss", metric_titles.shown("loss", one.loss))


def _number(name: str, metric: Metric) -> Number:
    title = metric_titles.title(name)
    if metric_titles.is_share(name):
        return share_with(title, metric.value, metric.interval)
    bounds = () if metric.interval is None else metric.interval
    interval = " to ".join(metric_titles.shown(name, end) for end in bounds)
    return Number(title, metric_titles.shown(name, metric.value), interval)


def _part(subjects: Sequence[ReportEntry], context: Context) -> SectionBody:
    summaries = [(s, s.summary) for s in subjects if isinstance(s.summary, Evaluation)]
    each = {s.id: {number.title: number for number in _numbers(s)} for s, _ in summaries}
    titles = list(dict.fromkeys(title for numbers in each.values() for title in numbers))
    rows = [
        (
            link(subject),
            f"{one.model} at step {one.step:,}",
            f"{dataset_name(one.dataset)} ({one.split})",
            count(one.examples),
            *(
                each[subject.id][title].as_cell() if title in each[subject.id] else ""
                for title in titles
            ),
        )
        for subject, one in summaries
    ]
    overview = table(
        "All metrics; in brackets 95 % intervals, for other images of the same kind",
        ("evaluation", "model", "data", "images", *titles),
        rows,
        numbers=range(3, 4 + len(titles)),
    )
    return SectionBody(
        overview, [(subject, _article(subject, one, context)) for subject, one in summaries]
    )


def _article(subject: ReportEntry, one: Evaluation, context: Context) -> Content:
    artifact = subject.artifact
    assert artifact is not None
    remarks = [
        f"{counted(one.without_label, 'image')} without a label left out."
        if one.without_label
        else "",
        f"Left out, as the class has no counterpart: {counted(one.without_counterpart, 'image')}."
        if one.without_counterpart
        else "",
        "The averaged weights were scored." if one.weights == "ema" else "",
        overlap_in_words(one.overlap),
    ]
    if not any(entry.path == RESULTS for entry in artifact.manifest.files):
        return None  # of an early version
    try:
        artifact.require_files(RESULTS.__eq__)
        results = read_part(artifact.path / RESULTS, EvaluationResults)
        picture = sheet_of(artifact, MISTAKES, context.album)
    except VitctlError as error:
        return context.problem(subject, f"its details cannot be shown: {error.message}")
    weakest = sorted(results.classes, key=lambda row: (row.top1, row.name))[:_SHOWN]
    return [
        element("p", " ".join(remark for remark in remarks if remark)) if any(remarks) else None,
        element(
            "div",
            _confusions(results),
            table(
                f"Classes that were hardest, {len(weakest)} of {len(results.classes):,}",
                ("class", "images", "right"),
                [(name_of(row.name), count(row.examples), share(row.top1)) for row in weakest],
                numbers=(1, 2),
            )
            if weakest
            else None,
            _calibration(results),
            class_="charts thirds",
        ),
        details(
            "Images that were taken for another class",
            sheet(picture, "images with their class, what they were taken for, and how surely"),
        )
        if picture
        else None,
    ]


def _confusions(results: EvaluationResults) -> Content:
    rows = [
        (name_of(row.label), name_of(row.predicted), count(row.count))
        for row in results.confusions[:_SHOWN]
    ]
    if not rows:
        return element("p", "No image of one label was mistaken.", class_="note")
    return table(
        f"What was mistaken for what, {len(rows)} of {len(results.confusions):,} pairs",
        ("class", "taken for", "images"),
        rows,
        numbers=(2,),
    )


def _calibration(results: EvaluationResults) -> Content:
    """Right answers over confidence; the diagonal is a model that knows how sure it may be."""
    rows = results.calibration
    if len(rows) < 2:
        return None
    bounds = np.array([0.0, 1.0])
    return draw(
        Chart(
            "Calibration",
            "probability that the model gave its answer",
            "share of answers that is right",
            (
                Trace("calibrated perfectly", bounds, bounds, style=7),
                Trace(
                    "answers of about the same probability",
                    np.array([row.confidence for row in rows], np.float64),
                    np.array([row.top1 for row in rows], np.float64),
                    marks=True,
                    joined=False,
                    names=tuple(f"{row.examples:,} images" for row in rows),
                ),
            ),
            share=True,
        )
    )


SECTION = Section("Evaluations", _numbers, _part)
