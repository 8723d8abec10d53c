"""Sets of features: of which model, of which images."""

from __future__ import annotations

from collections.abc import Sequence

from vitctl.artifacts.kinds.feature_set import FeatureSet
from vitctl.report.html import table
from vitctl.report.sections.section import (
    Context,
    Number,
    Section,
    SectionBody,
    count,
    dataset_name,
    link,
    weights_of,
)
from vitctl.report.subjects import ReportEntry


def _numbers(subject: ReportEntry) -> list[Number]:
    one = subject.summary
    if not isinstance(one, FeatureSet):
        return []
    return [Number("images", count(sum(one.examples.values()))), Number("width", count(one.width))]


def _part(subjects: Sequence[ReportEntry], context: Context) -> SectionBody:
    rows = [
        (
            link(subject),
            weights_of(one.model, one.step, one.weights),
            one.at,
            dataset_name(one.dataset),
            ", ".join(f"{number:,} {split}" for split, number in one.examples.items()),
            count(one.width),
        )
        for subject in subjects
        if isinstance(one := subject.summary, FeatureSet)
    ]
    columns = ("features", "model", "read at", "data", "images", "numbers an image")
    overview = table("Features that were stored", columns, rows, numbers=(5,))
    return SectionBody(overview, [(subject, None) for subject in subjects])


SECTION = Section("Features", _numbers, _part)
