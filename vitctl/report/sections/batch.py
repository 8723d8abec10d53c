"""Batches that a step diverged on."""

from __future__ import annotations

from collections.abc import Sequence

from vitctl.artifacts.kinds.batch import Batch
from vitctl.report.html import table
from vitctl.report.sections.section import Context, Number, Section, SectionBody, count, link
from vitctl.report.subjects import ReportEntry


def _numbers(subject: ReportEntry) -> list[Number]:
    one = subject.summary
    return [Number("diverged at step", count(one.step))] if isinstance(one, Batch) else []


def _part(subjects: Sequence[ReportEntry], context: Context) -> SectionBody:
    rows = [
        (link(subject), count(one.step), count(one.number), count(one.images), one.loss,
         one.grad_norm, one.update_norm or "", one.param_norm or "")
        for subject in subjects
        if isinstance(one := subject.summary, Batch)
    ]  # fmt: skip
    columns = ("batch", "step", "number", "images", "loss", "gradient", "update", "weights")
    overview = table(
        "Batches that a step diverged on, with the norms of that step",
        columns,
        rows,
        numbers=range(1, 8),
    )
    return SectionBody(overview, [(subject, None) for subject in subjects])


SECTION = Section("Diverged batches", _numbers, _part)
