"""What runs logged, as series over the images that they had seen."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import numpy as np

from vitctl.artifacts import Run
from vitctl.report.subjects import Contents, ReportEntry
from vitctl.report.thinning import Floats, Thinned, thinned
from vitctl.train.telemetry import metrics

MOST_POINTS = 60_000
"""Of all lines of a page together."""
_MOST_OF_A_LINE = 600
_LEAST_OF_A_LINE = 40

TRAIN = ("loss", "lr", "images_per_second", "grad_norm")
EVAL = ("loss", "top1", "ema_loss", "ema_top1")


@dataclass(frozen=True)
class Logged:
    """The rows of one run.

    steps, images   int64-like float64[n] of the rows of training; images seen by its weights'
                    schedule, so that a cooldown goes on where its trunk was
    train           name -> float64[n], NaN where a row has none
    eval_steps, eval_images, eval   the same of rows of held-out scores, float64[m]
    damaged         lines that could not be read
    """

    subject: ReportEntry
    steps: Floats
    images: Floats
    train: dict[str, Floats]
    eval_steps: Floats
    eval_images: Floats
    eval: dict[str, Floats]
    damaged: int

    @cached_property
    def last_step(self) -> int:
        return int(max([*self.steps[-1:], *self.eval_steps[-1:]], default=0))


def logged(subject: ReportEntry) -> Logged | None:
    """The rows of a run's metrics, read one by one; None of what is no run, or logged none."""
    if not isinstance(subject.entry, Run):
        return None
    train = {name: array("d") for name in ("step", "images", *TRAIN)}
    scores = {name: array("d") for name in ("step", *EVAL)}
    damaged = 0
    for row in metrics.each(subject.entry.metrics):
        if row is None:
            damaged += 1
            continue
        columns = {"train": train, "eval": scores}.get(row["kind"])
        for name, column in (columns or {}).items():
            column.append(_number(row.get(name)))
    if not train["step"] and not scores["step"] and not damaged:
        return None
    steps, images, *values = (np.array(column) for column in train.values())
    eval_steps, *eval_values = (np.array(column) for column in scores.values())
    images = np.where(np.isfinite(images), images, steps * _batch(subject))
    return Logged(
        subject,
        steps,
        images,
        dict(zip(TRAIN, values, strict=True)),
        eval_steps,
        _images_at(eval_steps, steps, images, batch=_batch(subject)),
        dict(zip(EVAL, eval_values, strict=True)),
        damaged,
    )


@dataclass(frozen=True)
class Family:
    """Runs that belong into one picture: a trunk and what branched off it, or fine-tunings on one
    dataset."""

    title: str
    runs: tuple[Logged, ...]


def families(contents: Contents) -> list[Family]:
    """All runs that logged something, in groups."""
    rows = [row for subject in contents.of_kind("checkpoint") if (row := logged(subject))]
    keyed = sorted(
        ((_family(row.subject, contents), number, row) for number, row in enumerate(rows)),
        key=lambda one: one[:2],
    )
    grouped = []
    for (_, title), members in groupby(keyed, key=lambda one: one[0]):
        some = list(members)
        grouped.append((some[0][1], Family(title, tuple(row for *_, row in some))))
    return [family for _, family in sorted(grouped, key=lambda one: one[0])]


def points_of_a_line(lines: int) -> int:
    """How many points each of so many lines of a page may have."""
    return max(_LEAST_OF_A_LINE, min(_MOST_OF_A_LINE, MOST_POINTS // max(1, lines)))


def series(row: Logged, name: str, *, most: int, of: str = "train") -> Thinned:
    """One column of a run, thinned."""
    if of == "train":
        return thinned(row.images, row.train[name], most=most)
    return thinned(row.eval_images, row.eval[name], most=most)


def _family(subject: ReportEntry, contents: Contents) -> tuple[str, str]:
    """A key and a title: the trunk that a run goes back to without a change of its data's order,
    or the dataset it was fine-tuned on."""
    if subject.stage == "finetune":
        data = contents.input_as("data", subject)
        if data is not None:
            return f"finetune {data.id}", f"Fine-tuning on {data.label}"
        return f"finetune {subject.id}", f"Fine-tuning {subject.label}"
    trunk = trunk_of(subject, contents)
    branches = any(
        trunk_of(other, contents) is trunk and other is not trunk
        for other in contents.of_kind("checkpoint")
    )
    title = f"{trunk.label} and its cooldowns" if branches else trunk.label
    return f"trunk {trunk.id}", title


def trunk_of(subject: ReportEntry, contents: Contents) -> ReportEntry:
    """The run that a cooldown branched off, and that one's; itself for all else."""
    visited = set()
    while subject.stage == "cooldown" and subject.id not in visited:
        visited.add(subject.id)
        before = contents.input_as("from", subject)
        if before is None:
            break
        subject = before
    return subject


def _batch(subject: ReportEntry) -> float:
    data = subject.config.get("data")
    batch = data.get("batch") if isinstance(data, dict) else None
    return float(batch) if isinstance(batch, int) and batch > 0 else 1.0


def _images_at(at: Floats, steps: Floats, images: Floats, *, batch: float) -> Floats:
    """Images seen at steps: between logged ones and past them by steps of `batch` images."""
    if not len(steps):
        return at * batch
    nearest = np.clip(np.searchsorted(steps, at), 0, len(steps) - 1)
    return images[nearest] + (at - steps[nearest]) * batch


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def sampled(values: Sequence[int], most: int) -> Iterator[int]:
    """At most `most` of them, the first and the last among them."""
    if len(values) <= most:
        yield from values
        return
    yield from (values[round(i * (len(values) - 1) / (most - 1))] for i in range(most))
