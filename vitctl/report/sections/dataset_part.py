"""Parts of datasets, which `vitctl shard --part` makes and `vitctl merge` reads."""

from __future__ import annotations

from collections.abc import Sequence

from vitctl.artifacts.kinds.dataset_part import DatasetPart
from vitctl.report.html import table
from vitctl.report.sections.section import Context, Number, Section, SectionBody, count, link
from vitctl.report.subjects import ReportEntry


def _numbers(subject: ReportEntry) -> list[Number]:
    one = subject.summary
    if not isinstance(one, DatasetPart):
        return []
    return [Number("images", count(sum(one.examples.values())))]


def _part(subjects: Sequence[ReportEntry], context: Context) -> SectionBody:
    rows = [
        (
            link(subject),
            one.name,
            f"{one.index} of {one.count}",
            count(sum(one.examples.values())),
            count(sum(one.shards.values())),
            count(one.rejected),
        )
        for subject in subjects
        if isinstance(one := subject.summary, DatasetPart)
    ]
    columns = ("artifact", "dataset", "part", "images", "shards", "left out")
    overview = table("Parts of datasets", columns, rows, numbers=(3, 4, 5))
    return SectionBody(overview, [(subject, None) for subject in subjects])


SECTION = Section("Parts of datasets", _numbers, _part)
