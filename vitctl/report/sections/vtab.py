"""VTAB-1k results: each task with its interval, and the means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vitctl.artifacts.kinds.vtab import Vtab
from vitctl.measures.vtab import GROUPS, TASKS
from vitctl.report.html import Content, name_of, table
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
    weights_of,
)
from vitctl.report.subjects import ReportEntry


def _numbers(subject: ReportEntry) -> Iterator[Number]:
    one = subject.summary
    if not isinstance(one, Vtab):
        return
    if one.mean is not None:
        of = "VTAB's" if one.of_vtab == len(TASKS) else f"{one.of_vtab} of VTAB's"
        yield Number("mean top-1", share(one.mean), on=f"{of} {len(TASKS)} tasks")
    if one.mean_of_groups is not None:
        yield Number("mean of groups", share(one.mean_of_groups))
    for row in one.tasks[: 0 if one.mean is not None else 1]:
        yield share_with("top-1", row.top1, row.interval, on=row.task)


def _part(subjects: Sequence[ReportEntry], context: Context) -> SectionBody:
    summaries = [(s, s.summary) for s in subjects if isinstance(s.summary, Vtab)]
    groups = [
        g for g in GROUPS if any(row.group == g for _, one in summaries for row in one.groups)
    ]
    rows = []
    for subject, one in summaries:
        mean_of = {row.group: share(row.top1) for row in one.groups}
        rows.append(
            (
                link(subject),
                weights_of(one.model, one.step, one.weights),
                count(one.images),
                *(mean_of.get(group, "") for group in groups),
                f"{one.of_vtab} of {len(TASKS)}",
                "" if one.mean is None else share(one.mean),
                "" if one.mean_of_groups is None else share(one.mean_of_groups),
            )
        )
    columns = (
        "result", "model", "training images", *groups, "tasks", "mean of tasks", "mean of groups",
    )  # fmt: skip
    overview = table(
        "Top-1 after fine-tuning on few images of each dataset; means over tasks, each alike",
        columns,
        rows,
        numbers=range(2, len(columns)),
    )
    return SectionBody(overview, [(subject, _article(one)) for subject, one in summaries])


def _article(one: Vtab) -> Content:
    rows = [
        (
            name_of(row.task),
            row.group,
            name_of(dataset_name(row.dataset)),
            share_with("", row.top1, row.interval).as_cell(),
            f"{count(row.examples)} ({row.split})",
            count(row.train_examples),
            count(row.classes),
            f"{row.lr:g}",
            overlap_in_words(row.overlap),
        )
        for row in one.tasks
    ]
    titles = ("task", "group", "data", "top-1", "images scored", "trained on", "classes", "rate")
    known = any(row.overlap is not None for row in one.tasks)
    return table(
        "Tasks, with the 95 % interval for other test images",
        (*titles, "pretraining images among them") if known else titles,
        rows if known else [row[:-1] for row in rows],
        numbers=(3, 4, 5, 6, 7),
    )


SECTION = Section("VTAB-1k", _numbers, _part)
