"""Few-shot probes: accuracies by shots, with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from vitctl.artifacts.kinds.fewshot import Fewshot, Shots
from vitctl.report.charts import Chart, Trace, draw
from vitctl.report.html import Content, Html, details, element, table
from vitctl.report.sections.overlap import overlap_in_words
from vitctl.report.sections.section import (
    Context,
    Number,
    Section,
    SectionBody,
    bounds,
    count,
    dataset_name,
    link,
    share,
    share_with,
    weights_of,
)
from vitctl.report.subjects import ReportEntry
from vitctl.text.quantities import counted

_SEEN = {
    "all": "all trained on",
    "some": "some trained on",
    "none": "none trained on",
    "unknown": "not known",
}


def _numbers(subject: ReportEntry) -> Iterator[Number]:
    if isinstance(subject.summary, Fewshot):
        # The most shots are the steadiest number.
        for row in reversed(subject.summary.shots):
            yield _number(row, on=dataset_name(subject.summary.dataset))


def _number(row: Shots, *, on: str = "") -> Number:
    return share_with(row.name, row.accuracy_mean, row.interval or row.test_interval, on=on)


def _part(subjects: Sequence[ReportEntry], context: Context) -> SectionBody:
    summaries = [(s, s.summary) for s in subjects if isinstance(s.summary, Fewshot)]
    shots = sorted({row.shots or 10**9 for _, one in summaries for row in one.shots})
    names = {row.shots or 10**9: row.name for _, one in summaries for row in one.shots}

    def cells(one: Fewshot) -> Iterator[Html | str]:
        rows = {row.shots or 10**9: row for row in one.shots}
        for number in shots:
            yield _number(rows[number]).as_cell() if number in rows else ""

    rows = [
        (
            link(subject),
            _what(one),
            f"{dataset_name(one.dataset)} ({one.split})",
            count(one.classes),
            _SEEN[one.seen],
            *cells(one),
        )
        for subject, one in summaries
    ]
    overview = table(
        "Accuracy, and the 95 % interval of its mean over draws of the shots (of a single draw: "
        "over test images)",
        ("probe", "features", "data", "classes", "classes known", *(names[n] for n in shots)),
        rows,
        numbers=(3, *range(5, 5 + len(shots))),
    )
    return SectionBody(
        [overview, _chart(summaries)],
        [(subject, _article(one)) for subject, one in summaries],
    )


def _what(one: Fewshot) -> str:
    of = {"pixels": "raw pixels", "untrained": f"{one.model}, untrained", "given": "given features"}
    return of.get(one.features) or weights_of(one.model, one.step, one.weights)


def _chart(summaries: Sequence[tuple[ReportEntry, Fewshot]]) -> Content:
    """Of probes with several numbers of shots."""
    lines = []
    for number, (subject, one) in enumerate(summaries):
        rows = [row for row in one.shots if row.shots is not None]
        if len(rows) < 2:
            continue
        intervals = [row.interval or row.test_interval for row in rows]
        lines.append(
            Trace(
                subject.label,
                np.array([float(row.shots or 0) for row in rows]),
                np.array([row.accuracy_mean for row in rows]),
                low=np.array([low for low, _ in intervals]),
                high=np.array([high for _, high in intervals]),
                style=number,
                marks=True,
            )
        )
    return draw(
        Chart(
            "Accuracy by shots",
            "images of each class that were learned from",
            "accuracy",
            tuple(lines),
            log_x=True,
            share=True,
            note="The bands are 95 % intervals." if lines else None,
        )
    )


def _article(one: Fewshot) -> Content:
    probe = {"ridge": "ridge regression", "knn": "nearest neighbours"}.get(one.probe, one.probe)
    given = f"l2 {one.l2:g}" if one.l2 is not None else (
        f"{one.neighbours} neighbours" if one.neighbours is not None else "chosen in each draw"
    )  # fmt: skip
    rows = [
        (
            row.name,
            share(row.accuracy_mean, digits=2),
            "" if row.accuracy_std is None else share(row.accuracy_std, digits=2),
            count(row.draws),
            bounds(row.interval, percent=True),
            bounds(row.test_interval, percent=True),
        )
        for row in one.shots
    ]
    left_out = (
        f"; {counted(one.left_out, 'class')} with too few images left out" if one.left_out else ""
    )
    return [
        element(
            "p",
            f"{_what(one)} on {dataset_name(one.dataset)}: {one.examples:,} images of split "
            f"{one.split}, "
            f"{one.classes:,} classes{left_out}. Probe: {probe}, {given}. ",
            overlap_in_words(one.overlap),
        ),
        details(
            "Deviations, and both intervals",
            table(
                "Accuracies, and what other draws and other test images would change",
                ("shots", "mean", "deviation", "draws", "95 % over draws", "95 % over test images"),
                rows,
                numbers=range(1, 6),
            ),
        ),
    ]


SECTION = Section("Few-shot probes", _numbers, _part)
