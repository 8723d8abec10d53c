"""The table of a VTAB-1k result, for people and as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stages.vtab.spec import TaskData
from vitctl.artifacts.kinds.vtab import TaskScore, Vtab
from vitctl.errors import VitctlError
from vitctl.measures.vtab import GROUPS, TASKS
from vitctl.text.delimited import csv_text

_FIELDS = (
    "task",
    "group",
    "dataset",
    "top1",
    "low",
    "high",
    "split",
    "examples",
    "train_examples",
    "classes",
    "lr",
    "checkpoint",
)


def readable(summary: Vtab) -> dict[str, str]:
    """A line for each dataset, in the order of the groups, and the means."""
    weights = ", averaged weights" if summary.weights == "ema" else ""
    rows = {"model": f"{summary.model} at step {summary.step}{weights}"}
    for row in _ordered(summary.tasks):
        rows[row.task] = _line(row)
    return {**rows, **_means(summary)}


def with_failures(outcomes: Sequence[tuple[TaskData, TaskScore | VitctlError]]) -> dict[str, str]:
    """The same of datasets some of which failed; no mean is told, as it would be of others."""
    rows = {}
    for one, outcome in sorted(outcomes, key=lambda pair: GROUPS.index(pair[0].task.group)):
        rows[one.task.name] = (
            _line(outcome) if isinstance(outcome, TaskScore) else f"failed: {outcome.message}"
        )
    return rows


def as_table(summary: Vtab) -> str:
    """Aligned text."""
    rows = readable(summary)
    width = max(map(len, rows))
    return "".join(f"{name:{width}}  {line}\n" for name, line in rows.items())


def as_csv(summary: Vtab) -> str:
    """A row for each dataset."""
    rows = []
    for row in _ordered(summary.tasks):
        low, high = row.interval
        fields = {name: getattr(row, name, None) for name in _FIELDS}
        rows.append({**fields, "low": low, "high": high})
    return csv_text(rows)


def compared(summaries: Sequence[Vtab]) -> dict[str, str]:
    """Several models in one table: a line for each dataset and mean, a column for each model."""
    names = list(dict.fromkeys(row.task for s in summaries for row in _ordered(s.tasks)))
    columns = [{row.task: f"{row.top1:7.2%}" for row in s.tasks} for s in summaries]
    for column, summary in zip(columns, summaries, strict=True):
        column |= {name: line.partition(" ")[0].rjust(7) for name, line in _means(summary).items()}
    names += list(dict.fromkeys(name for s in summaries for name in _means(s)))
    models = "  ".join(f"{s.model} at step {s.step}" for s in summaries)
    return {
        "models": models,
        **{name: "  ".join(c.get(name, "-".rjust(7)) for c in columns) for name in names},
    }


def _ordered(tasks: Sequence[TaskScore]) -> Iterator[TaskScore]:
    """By group; within VTAB's groups as its table has them."""
    places = {name: place for place, name in enumerate(TASKS)}
    rest = len(places)
    yield from sorted(
        tasks, key=lambda row: (GROUPS.index(row.group), places.get(row.task, rest), row.task)
    )


def _line(row: TaskScore) -> str:
    low, high = row.interval
    return (
        f"{row.top1:.2%} ± {100 * (high - low) / 2:.2f} of {row.examples:,} images of {row.split}, "
        f"{row.train_examples:,} to train on, {row.classes} classes, rate {row.lr:g}"
    )


def _means(summary: Vtab) -> dict[str, str]:
    rows = {
        f"mean of {row.group}": f"{row.top1:.2%} ({row.tasks} task{'s' if row.tasks > 1 else ''})"
        for row in summary.groups
    }
    if summary.mean is not None:
        count = summary.of_vtab
        score = "the VTAB score" if count == len(TASKS) else f"{count} of VTAB's {len(TASKS)}"
        rows["mean of tasks"] = f"{summary.mean:.2%} ({score})"
    if summary.mean_of_groups is not None:
        rows["mean of groups"] = f"{summary.mean_of_groups:.2%}"
    return rows
