"""The files of an evaluation.

results.json   scores, metrics with intervals, every class, what was mistaken for what, calibration
answers.jsonl  a line an image: its labels and what the model answered
mistakes.png   the images of the most frequent confusions that the model was surest of
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitctl.artifacts.documents import json_bytes
from vitctl.data import pipeline
from vitctl.data.columns import Column
from vitctl.data.config import EvalPreprocess
from vitctl.data.image_source import ImageSource
from vitctl.data.sheet import sheet
from vitctl.inference.confusion import Confusion
from vitctl.measures.answers import Answers
from vitctl.measures.metrics import reliability
from vitctl.measures.table import MeasuredMetric

ANSWERS = "answers.jsonl"
FORMAT = 1

_PAIRS = 8
_IMAGES_OF_A_PAIR = 3


@dataclass(frozen=True)
class AnswerTable:
    """Answers with names: a row an image that was scored, n of them.

    positions  int64[n], where in its split each image is
    labels     names of each image's
    names      of the classes that could be answered
    """

    answers: Answers
    positions: NDArray[np.int64]
    labels: Sequence[Sequence[str]]
    names: Sequence[str]

    def predicted(self, row: int) -> str:
        return self.names[self.answers.ranked[row, 0]]


def results(
    scores: dict[str, Any],
    rows: Sequence[MeasuredMetric],
    table: AnswerTable,
    *,
    confusion: Confusion,
) -> bytes:
    """The content of `results.json`."""
    precisions = {
        table.names[label]: ranked.average_precision()
        for label, ranked in table.answers.rankings.items()
    }
    classes = [{**row, **_precision(precisions.get(row["class"]))} for row in confusion.per_class()]
    content = {
        "format": FORMAT,
        **scores,
        "metrics": [_row(row) for row in rows],
        "classes": classes,
        "confusions": confusion.most_frequent(),
        "calibration": reliability(table.answers),
    }
    return json_bytes(content)


def _row(row: MeasuredMetric) -> dict[str, Any]:
    return {
        "name": row.metric.name,
        "title": row.metric.title,
        "value": row.value,
        "interval": row.interval,
        **({"draws": row.draws} if row.draws else {}),
        "description": row.metric.description,
    }


def _precision(value: float | None) -> dict[str, float]:
    return {} if value is None else {"average_precision": value}


def answer_lines(table: AnswerTable, *, keys: Column) -> bytes:
    """The content of `answers.jsonl`, in the order of the split. `keys` uint64 of the whole split:
    the first 8 bytes of the sha256 of each image's id."""
    answers, own_keys = table.answers, keys[table.positions]

    def lines() -> Iterator[str]:
        right = answers.right()
        for row in np.argsort(table.positions, kind="stable").tolist():
            confidence = float(answers.confidence[row])
            line = {
                "position": int(table.positions[row]),
                "key": f"{int(own_keys[row]):016x}",
                "labels": table.labels[row],
                "predicted": table.predicted(row),
                "confidence": float(f"{confidence:.6g}") if np.isfinite(confidence) else None,
                "right": bool(right[row]),
            }
            yield json.dumps(line, ensure_ascii=False, allow_nan=False)

    return "".join(f"{line}\n" for line in lines()).encode()


def mistakes(
    table: AnswerTable,
    *,
    confusion: Confusion,
    dataset: ImageSource,
    split: str,
    resolution: int,
    preprocess: EvalPreprocess,
) -> bytes | None:
    """The content of `mistakes.png`. None where no image of one label was mistaken."""
    rows = _surest_of_confusions(table, confusion)
    if not rows:
        return None
    positions = table.positions[rows]
    (batch,) = pipeline.eval_batches(
        dataset,
        split=split,
        resolution=resolution,
        preprocess=preprocess,
        batch=len(rows),
        indices=positions,
    )
    captions = [
        (
            table.labels[row][0],
            f"as {table.predicted(row)}",
            f"{table.answers.confidence[row]:.0%} {_last_part(image_id)}",
        )
        for row, image_id in zip(rows, dataset.ids(split, positions), strict=True)
    ]
    return sheet(batch.images, captions)


def _surest_of_confusions(table: AnswerTable, confusion: Confusion) -> list[int]:
    """Rows of a few images of each of the most frequent confusions, those first of which the model
    was surest."""
    answers = table.answers
    shown: dict[tuple[str, str], list[int]] = {
        (row["label"], row["predicted"]): [] for row in confusion.most_frequent()[:_PAIRS]
    }
    wrong = np.flatnonzero(~answers.right())
    for row in wrong[np.argsort(-answers.confidence[wrong], kind="stable")].tolist():
        if len(table.labels[row]) == 1:
            images = shown.get((table.labels[row][0], table.predicted(row)))
            if images is not None and len(images) < _IMAGES_OF_A_PAIR:
                images.append(row)
    return [row for images in shown.values() for row in images]


def _last_part(image_id: str | None) -> str:
    return (image_id or "").rpartition("/")[2]
