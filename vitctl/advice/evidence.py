"""Measured runs that advice rests on: errors of models after so many images of so large a set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vitctl.errors import InputError, UsageError
from vitctl.optim.schedules import CooldownShape
from vitctl.scaling.config import ColumnsConfig
from vitctl.scaling.model_fit import foretold, model_laws, models_with_laws
from vitctl.scaling.model_law import ModelLaw
from vitctl.scaling.points import Points
from vitctl.scaling.user_table import read_points, resolve
from vitctl.text.quantities import plural, show_count
from vitctl.text.quoting import quoted
from vitctl.text.suggestions import suggest
from vitctl.text.tables import Table, read_table

Source = Literal["own runs", "table", "paper"]

_DRAWS, _SEED = 300, 0

PAPER = "paper"
"""What `--runs` calls the paper's points."""
OWN = "store"
"""What `--runs` calls the results of the store."""


@dataclass(frozen=True)
class OwnTraining:
    """How a model of the user's was trained: `settings` by dotted key that its recipe would not
    have chosen, and its cooldown as a share of all steps (None: its schedule ended by itself)."""

    settings: Mapping[str, Any]
    cooldown_share: float | None = None
    cooldown_shape: CooldownShape = "linear"


@dataclass(frozen=True)
class Evidence:
    """Measured runs.

    Attributes:
      source: whose they are; `title` says it in words.
      metric: what the errors are of.
      unit: of `points.compute`.
      points: with models, images seen and sizes of training sets.
      probe: words of the command that measures the metric of a new run.
      settings: what all own runs have in common and no other run would have by itself, by key.
      sizes: of own models, by name, the settings of those that a name alone does not stand for.
      trained: of own models, by name, how they were trained where their recipe does not say so.
      remarks: sentences on results that do not count.
    """

    source: Source
    title: str
    metric: str
    unit: str
    points: Points
    probe: tuple[str, ...] = ("fewshot",)
    settings: Mapping[str, Any] = field(default_factory=dict)
    sizes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    trained: Mapping[str, OwnTraining] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @cached_property
    def laws(self) -> dict[str, ModelLaw]:
        """Of every model with enough runs, by its name."""
        return model_laws(self.points, draws=_DRAWS, seed=_SEED)

    @cached_property
    def models_with_laws(self) -> tuple[str, ...]:
        """Their names, without a fit."""
        return models_with_laws(self.points)

    @cached_property
    def foretold(self) -> float | None:
        """How far laws of the shorter runs are off on the longer ones."""
        return foretold(self.points)

    @property
    def data_sizes(self) -> tuple[int, int]:
        assert self.points.data_size is not None
        return int(self.points.data_size.min()), int(self.points.data_size.max())

    @property
    def in_words(self) -> str:
        low, high = self.data_sizes
        sizes = f"{show_count(low)} to {show_count(high)}" if low != high else show_count(low)
        runs, models = len(self.points), len(self.points.models)
        return (
            f"{self.title}: {self.metric}, {plural(runs, 'run')} of {plural(models, 'model')} on "
            f"{sizes} images"
        )


# ---- The paper's


@dataclass(frozen=True)
class _Points:
    """A table of the paper's. `metrics`: column -> what it is of; `accuracy`: of all columns."""

    file: str
    title: str
    metrics: Mapping[str, str]
    accuracy: bool


_JFT = _Points(
    "paper_fewshot.csv",
    "the paper's tables 4 to 13 (JFT)",
    {
        f"{name}{shots}": f"{shots}-shot {title} error"
        for name, title in (("inet", "ImageNet"), ("cifar", "CIFAR-100"), ("pets", "Pets"))
        for shots in (10, 5)
    },
    accuracy=True,
)
_I21K = _Points(
    "paper_i21k.csv",
    "the paper's ImageNet-21k study",
    {"inet10_error_pct": "10-shot ImageNet error"},
    accuracy=False,
)
_SPLIT_AT = 13_000_000 * (30 / 13) ** 0.5
"""Images between the largest set of one study (13M) and the smallest of the other (30M), in the
logarithm: up to here a training set is nearer to those of ImageNet-21k."""


def of_paper(*, examples: int, metric: str | None) -> Evidence:
    """The paper's points of the study whose training sets are nearer to `examples` images, or that
    has `metric`. UsageError for a metric of neither."""
    study = _I21K if examples <= _SPLIT_AT else _JFT
    if metric is not None and metric not in study.metrics:
        other = _JFT if study is _I21K else _I21K
        if metric not in other.metrics:
            raise unknown_metric(metric, [*_JFT.metrics, *_I21K.metrics], of="the paper")
        study = other
    return _of_study(study.file, metric or next(iter(study.metrics)))


@cache
def _of_study(file: str, column: str) -> Evidence:
    """Read, and fitted, once in a process."""
    study = _JFT if file == _JFT.file else _I21K
    with resources.as_file(resources.files("vitctl.advice") / file) as path:
        table = read_table(path)
    kind = "accuracy" if study.accuracy else "error"
    columns = ColumnsConfig.model_validate(
        {"compute": "tpuv3_core_days", kind: column, "unit": "percent", "missing": "skip"}
    )
    points, _, _ = read_points(table, resolve(columns, table))
    title = study.metrics[column]
    probe = ("fewshot", "--shots", title.partition("-shot")[0])
    return Evidence("paper", study.title, title, "TPUv3 core-days", points, probe)


def unknown_metric(metric: str, known: Sequence[str], *, of: str) -> UsageError:
    return UsageError(
        f"--metric {quoted(metric)}: {of} has no such metric",
        hint=suggest(metric, known, otherwise=f"there is {', '.join(known)}", cutoff=0.5),
    )


# ---- A table of the user's


def of_table(path: Path, *, metric: str | None) -> Evidence:
    """The runs of a table that `scaling fit` reads, too: with a column of models, of images seen
    and of the images in the training set. A column that says "acc" in its name holds accuracies.

    Raises InputError for a table without those, UsageError where the metric is not clear.
    """
    table = read_table(path)
    columns = ColumnsConfig(seed="seed" if "seed" in table.columns else None, missing="skip")
    if metric is not None:
        table.column(metric)  # refuses an unknown one with the nearest
        kind = "accuracy" if "acc" in metric.lower() else "error"
        columns = columns.model_copy(update={kind: metric})
    if "compute" not in table.columns:
        columns = columns.model_copy(update={"compute": _compute(table)})
    columns = resolve(columns, table)
    for role, column in (
        ("model", columns.model), ("images_seen", columns.images), ("data_size", columns.data_size),
    ):  # fmt: skip
        if column is None:
            raise InputError(
                f"{path} has no column {role}, which advice on models takes",
                hint="rows have model, images_seen (with repeats), data_size and an error; "
                "examples/scaling has some",
            )
    if columns.unit == "none":
        raise UsageError(
            f"{columns.metric} is a loss, and advice is on error rates", hint="--metric COLUMN"
        )
    points, _, _ = read_points(table, columns)
    what = "accuracy, as an error" if columns.accuracy else "error"
    return Evidence(
        "table", str(path), f"{columns.metric} ({what})", str(columns.compute_unit), points
    )


def _compute(table: Table) -> str:
    """A column to stand for compute where there is none of that name: images seen will do, as the
    laws of models count those."""
    named = [name for name in table.columns if "core_days" in name or "flops" in name.lower()]
    return named[0] if named else "images_seen"


# ---- Cells


@dataclass(frozen=True)
class Cell:
    """One measured run of the user's."""

    model: str
    images: int
    examples: int
    error: float
    flops: float


def points_of(cells: Sequence[Cell]) -> Points:
    """Cells as points, those of the same model, length and training set averaged."""
    by_key: dict[tuple[str, int, int], list[Cell]] = {}
    for cell in cells:
        by_key.setdefault((cell.model, cell.images, cell.examples), []).append(cell)
    rows = [(same[0], float(np.mean([cell.error for cell in same]))) for same in by_key.values()]
    return Points(
        compute=np.array([cell.flops for cell, _ in rows], np.float64),
        error=np.array([error for _, error in rows], np.float64),
        row=np.arange(1, len(rows) + 1),
        model=np.array([cell.model for cell, _ in rows]),
        data_size=np.array([cell.examples for cell, _ in rows], np.float64),
        images=np.array([cell.images for cell, _ in rows], np.float64),
    )
