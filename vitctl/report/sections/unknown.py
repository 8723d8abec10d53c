"""Artifacts of a kind that this version does not know, or whose summary does not fit their kind."""

from __future__ import annotations

from collections.abc import Sequence

from vitctl.report.html import Content, facts
from vitctl.report.sections.section import Context, Number, Section, SectionBody
from vitctl.report.subjects import ReportEntry

_MOST = 24


def _numbers(subject: ReportEntry) -> list[Number]:
    return []


def _part(subjects: Sequence[ReportEntry], context: Context) -> SectionBody:
    return SectionBody(None, [(subject, _fields(subject, context)) for subject in subjects])


def _fields(subject: ReportEntry, context: Context) -> Content:
    """The plain fields of a summary, by their names."""
    summary = {} if subject.artifact is None else subject.artifact.summary
    pairs = [
        (key.replace("_", " "), context.redaction(str(value)))
        for key, value in summary.items()
        if isinstance(value, str | int | float)
    ]
    return facts(pairs[:_MOST])


SECTION = Section("Others", _numbers, _part)
