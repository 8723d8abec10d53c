"""Exports: for which library, and how far their outputs are from the model's."""

from __future__ import annotations

from collections.abc import Sequence

from vitctl.artifacts.kinds.export import Export
from vitctl.report.html import table
from vitctl.report.sections.section import (
    Context,
    Number,
    Section,
    SectionBody,
    count,
    link,
    weights_of,
)
from vitctl.report.subjects import ReportEntry


def _numbers(subject: ReportEntry) -> list[Number]:
    one = subject.summary
    return [Number("largest difference", f"{one.error:.2g}")] if isinstance(one, Export) else []


def _part(subjects: Sequence[ReportEntry], context: Context) -> SectionBody:
    rows = [
        (
            link(subject),
            weights_of(one.model, one.step, one.weights),
            one.to,
            f"{one.resolution} px",
            count(one.classes),
            f"{one.error:.2g}",
            count(one.outputs_compared),
        )
        for subject in subjects
        if isinstance(one := subject.summary, Export)
    ]
    columns = ("export", "model", "for", "images", "classes", "largest difference", "compared")
    overview = table(
        "Files for other libraries, and the largest difference of an output when read back",
        columns,
        rows,
        numbers=(4, 5, 6),
    )
    return SectionBody(overview, [(subject, None) for subject in subjects])


SECTION = Section("Exports", _numbers, _part)
