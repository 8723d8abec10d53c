"""Hashes of images, which `vitctl dedup` makes on its way."""

from __future__ import annotations

from collections.abc import Sequence

from vitctl.artifacts.kinds.image_hashes import ImageHashes
from vitctl.report.html import table
from vitctl.report.sections.section import Context, Number, Section, SectionBody, count, link
from vitctl.report.subjects import ReportEntry


def _numbers(subject: ReportEntry) -> list[Number]:
    one = subject.summary
    return [Number("images", count(one.examples))] if isinstance(one, ImageHashes) else []


def _part(subjects: Sequence[ReportEntry], context: Context) -> SectionBody:
    rows = [
        (
            link(subject),
            one.dataset,
            one.split,
            count(one.examples),
            count(one.unreadable),
            count(one.flat),
        )
        for subject in subjects
        if isinstance(one := subject.summary, ImageHashes)
    ]
    columns = ("hashes", "dataset", "split", "images", "unreadable", "of one colour")
    overview = table("Hashes that duplicates are searched by", columns, rows, numbers=(3, 4, 5))
    return SectionBody(overview, [(subject, None) for subject in subjects])


SECTION = Section("Hashes of images", _numbers, _part)
