"""What `vitctl advise` answers, as one value."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from vitctl.scaling.profile import Interval

Reading = Literal["interpolated", "extrapolated"]


@dataclass(frozen=True)
class AdvisedRun:
    """A run, and what to expect of it.

    Attributes:
      steps: of the trunk and its cooldown.
      epochs: over the training set.
      error: expected, a fraction; `interval` is of one new run.
      reading: whether it lies between measured runs; `extrapolated` says in what it does not.
      best: how often it would be the best of all candidates; None with an error to reach.
      pareto: no other run is both as good and as cheap to use (FLOPs of an image).
      chosen: it is the advice, or would be without its shortening.
      hours, device_hours, money: None where no speed or price is known.
      core_days: of a TPUv3 core by the paper's throughput; None for models that it has not.
      images_per_second_per_device, rate_basis, rate_source: of training, and where from.
      peak_bytes: on a device, by the count from shapes.
      layout: mesh and recomputation.
    """

    model: str
    batch: int
    steps: int
    trunk_steps: int
    cooldown_steps: int
    images: int
    epochs: float
    error: float
    interval: Interval
    reading: Reading
    extrapolated: tuple[str, ...]
    best: float | None
    pareto: bool
    chosen: bool
    flops: float
    gflops_per_image: float
    core_days: float | None
    hours: float | None
    device_hours: float | None
    money: float | None
    images_per_second_per_device: float | None
    images_per_second_low: float | None
    images_per_second_high: float | None
    rate_basis: str | None
    rate_source: str | None
    peak_bytes: int | None
    layout: str | None
    notes: tuple[str, ...]
    command: str


@dataclass(frozen=True)
class OtherBudget:
    """What another budget would give: `scale` is in units of the one given."""

    scale: float
    model: str
    images: int
    error: float
    reading: Reading


@dataclass(frozen=True)
class LeftOut:
    """A model that is no candidate, and why."""

    model: str
    reason: str


@dataclass(frozen=True)
class EvidenceInWords:
    """The measured runs that advice rests on.

    Attributes:
      foretold: how far laws of the shorter runs are off on the longer ones, root mean square; None
        without such runs.
      worth: epochs that all repeats of a training set are worth at most, by model; null where
        repeats cost nothing that shows.
    """

    source: str
    title: str
    metric: str
    runs: int
    models: int
    data_sizes: tuple[int, int]
    foretold: float | None
    worth: dict[str, float | None]


@dataclass(frozen=True)
class Advice:
    """The answer. `goal`: the budget, or the error to reach, as it was given; `meaning`: in other
    units. `frontier_error`: by the law of the frontier over all models, at the same compute, where
    it can be fitted. `unused`: the part of the budget that would gain less than the tolerance."""

    goal: str
    meaning: str
    devices: str | None
    device_count: int | None
    memory_available: int | None
    data: str
    examples: int
    classes: int
    evidence: EvidenceInWords
    run: AdvisedRun
    frontier_error: float | None
    unused: float
    tolerance: float
    candidates: tuple[AdvisedRun, ...]
    left_out: tuple[LeftOut, ...]
    budgets: tuple[OtherBudget, ...]
    cautions: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The object of `vitctl advise --json`; docs/schemas/advice.schema.json."""
        run = self.run
        return {
            "kind": "advice",
            "summary": {
                "model": run.model,
                "steps": run.steps,
                "batch": run.batch,
                "images": run.images,
                "error": run.error,
                "interval": list(run.interval),
                "reading": run.reading,
                "device_hours": run.device_hours,
                "command": run.command,
            },
            **asdict(self),
        }
