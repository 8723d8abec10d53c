"""What `run.json` records of a run: its recipe, when it began, its results, its rollbacks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import field_validator, model_serializer

from vitctl.artifacts.documents import json_bytes, read_document
from vitctl.artifacts.files import LOCK, RUN
from vitctl.artifacts.manifest import MANIFEST, Parent, Recipe
from vitctl.errors import InputError, VitctlError
from vitctl.locks.exclusive import is_locked
from vitctl.places import Place
from vitctl.settings.config import Config, without_defaults

CHECKPOINTS = "checkpoints"
FORMAT = 1


class Segment(Config):
    """One start of a run: from where, with what hardware and versions."""

    started: str
    from_step: int
    runtime: dict[str, Any]
    versions: dict[str, str]


MUST_BE_FINITE = {
    "loss": "loss",
    "grad_norm": "gradient norm",
    "update_norm": "update norm",
    "param_norm": "parameter norm",
}
"""The numbers of a step that make it a divergence, and what they are called."""

_ALWAYS_TOLD = ("loss", "grad_norm")


def diverged_in_words(numbers: Mapping[str, str]) -> str:
    """Loss and gradient norm, and what else is not finite: "loss 2.1, gradient norm inf"."""
    values = {name: float(text) for name, text in numbers.items()}
    shown = (n for n in values if n in _ALWAYS_TOLD or not math.isfinite(values[n]))
    return ", ".join(f"{MUST_BE_FINITE[name]} {values[name]:g}" for name in shown)


class Rollback(Config):
    """A divergence that was passed over.

    diverged   the step that diverged, as messages and metrics count: the update after
               `diverged - 1` finished ones
    step       the checkpoint that training went back to
    batches    how many batches were left out, from the one that followed `step`
    loss, grad_norm, update_norm, param_norm   of the step that diverged, as text, for JSON has no
               infinity; an older run has the first two
    kept       the batch that diverged, an artifact in the run's folder
    """

    at: str
    diverged: int
    step: int
    batches: int
    loss: str
    grad_norm: str
    update_norm: str | None = None
    param_norm: str | None = None
    kept: str

    @field_validator(*MUST_BE_FINITE)
    @classmethod
    def _is_number(cls, text: str | None) -> str | None:
        if text is not None:
            float(text)  # a ValueError is a refusal of the document
        return text

    @property
    def in_words(self) -> str:
        """One sentence."""
        numbers = {n: text for n in MUST_BE_FINITE if (text := getattr(self, n)) is not None}
        batches = "one batch" if self.batches == 1 else f"{self.batches} batches"
        return (
            f"step {self.diverged} diverged ({diverged_in_words(numbers)}); going back to step "
            f"{self.step} and passing over {batches}"
        )


class RunInfo(Config):
    """The content of `run.json`."""

    format: int
    kind: str
    id: str
    name: str
    stage: str
    version: int
    config: dict[str, Any]
    parents: tuple[Parent, ...]
    segments: tuple[Segment, ...] = ()
    results: tuple[int, ...] = ()
    """Steps that a command was asked for and answered with: these checkpoints are never dropped."""
    scored: tuple[tuple[int, float | None], ...] = ()
    """Where the best checkpoint is to be chosen (`keep_best`): steps and scores that count; null is
    one that is not finite."""
    chosen: int | None = None
    """The step that was chosen by them when the run came to its end: what its name stands for."""
    rollbacks: tuple[Rollback, ...] = ()
    """Each time it went back, oldest first. It decides what is trained on from there: one that goes
    behind an earlier one takes its place."""

    failed: str | None = None
    """Why its last start ended before the run had any checkpoint, if it could be written down."""

    @model_serializer(mode="wrap")
    def _as_before(self, dump: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """Earlier versions read runs that choose nothing."""
        return without_defaults(self, dump, later=("scored", "chosen", "failed"))

    @property
    def recipe(self) -> Recipe:
        """What was asked for, as `run.json` records it."""
        return Recipe.recorded_in(self)

    @property
    def kept_intervals(self) -> tuple[int, ...]:
        """Intervals whose multiples stay: what each start of the run promised to keep."""
        intervals = {segment.runtime.get("keep") for segment in self.segments}
        return tuple(sorted(interval for interval in intervals if isinstance(interval, int)))


def new_info(recipe: Recipe, *, name: str) -> RunInfo:
    return RunInfo(
        format=FORMAT,
        kind=recipe.kind,
        id=recipe.id,
        name=name,
        stage=recipe.stage,
        version=recipe.version,
        config=recipe.config,
        parents=recipe.parents,
    )


def read_info(path: Place) -> RunInfo:
    """Raises NotFoundError without a `run.json`, InputError if it is damaged, was edited, or is too
    new."""
    info = read_document(
        path / RUN,
        RunInfo,
        what="run",
        newest=FORMAT,
        missing=f"{path} is not a run (no {RUN})",
        repair=f"its checkpoints can still be named one by one: {path / CHECKPOINTS}/STEP",
    )
    if info.recipe.id != info.id:
        raise InputError(
            f"{path / RUN} was changed after the run began: its id is not that of the settings "
            "and inputs it records",
            hint="bring back the file as it was; other settings make another run",
        )
    return info


def needs_its_start(run: Place) -> bool:
    """Whether what a run began from may still be asked for: it is there, and has not given the
    answer of its last start, or somebody works on it."""
    if not (run / RUN).is_file():
        return False
    try:
        info = read_info(run)
    except VitctlError:  # damaged: what it still needs is not known
        return True
    last = max(info.results, default=None)
    if last is None or not (run / CHECKPOINTS / str(last) / MANIFEST).is_file():
        return True
    if info.chosen is not None:  # at the end of the run, however far behind the best lies
        return is_locked(run / LOCK)
    begun = info.segments[-1].from_step if info.segments else 0
    return begun >= last or is_locked(run / LOCK)


def write_info(path: Place, info: RunInfo) -> None:
    (path / RUN).write_atomic(json_bytes(info.model_dump(mode="json")))
