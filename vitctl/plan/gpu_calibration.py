"""From costs to images a second of GPUs, by the throughput that others measured with theirs.

The cost of each published row is counted as `plan` counts this project's step, but with attention
fused, as both programs do: softmax is computed again in the backward pass (remat "dots"), and no
attention weights are written. The measured rate over that cost is an efficiency.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from importlib import resources

from vitctl.hardware.gpus import GPUS
from vitctl.model.config import from_name
from vitctl.optim.schedules import ScheduleConfig
from vitctl.plan.calibration import Efficiency, by_the_others, geometric_mean
from vitctl.plan.cost import Cost
from vitctl.plan.estimate import estimate
from vitctl.plan.program import StepPlan
from vitctl.sharding.spec import MeshSpec
from vitctl.text import strict_json
from vitctl.train.config import DataConfig, TrainConfig

_FILE = "gpu_rates.json"
_CLASSES = 1000  # ImageNet-1k, which both sources trained on


@dataclass(frozen=True)
class PublishedRate:
    """A measured training step.

    Attributes:
      program: that was measured; `source`: where that is published.
      devices: GPUs, in machines of 8.
      images_per_second: of all of them.
      cost: of the step, counted; with fused attention.
    """

    program: str
    source: str
    model: str
    gpu: str
    devices: int
    batch_per_device: int
    images_per_second: float
    cost: Cost

    @property
    def efficiency(self) -> float:
        """Measured rate over what the cost alone would give."""
        seconds = self.devices * self.batch_per_device / self.images_per_second
        return self.cost.seconds / seconds


@cache
def published() -> tuple[PublishedRate, ...]:
    """The rows of the file that ships."""
    text = resources.files("vitctl.plan").joinpath(_FILE).read_text(encoding="utf-8")
    return tuple(PublishedRate(**row, cost=_cost(**row)) for row in strict_json.loads(text)["rows"])


def _cost(*, model: str, gpu: str, devices: int, batch_per_device: int, **_: object) -> Cost:
    cfg = TrainConfig(
        name=model,
        recipe="paper",
        model=from_name(model, classes=_CLASSES),
        loss="softmax",
        data=DataConfig(batch=devices * batch_per_device),
        schedule=ScheduleConfig(peak_lr=1e-3, total_steps=1),
        precision="bfloat16",
    )
    plan = StepPlan(MeshSpec().resolve(devices=devices), "dots", None)
    return estimate(cfg, plan, hardware=GPUS[gpu], devices=devices, fused_attention=True)


def leave_one_out() -> dict[tuple[str, str], float]:
    """By model and GPU: the efficiency that the others give, over the measured one."""
    return by_the_others(_groups())


@cache
def efficiency() -> Efficiency:
    """What to expect on a GPU: the mean of all models and GPUs that were measured, between the
    lowest of them and all of what the cost allows."""
    return Efficiency(
        geometric_mean(_groups().values()),
        min(row.efficiency for row in published()),
        1.0,
        assumed=True,
        in_paper=False,
        left_out=max(abs(ratio - 1) for ratio in leave_one_out().values()),
        measured_on="GPUs",
    )


def _groups() -> dict[tuple[str, str], float]:
    """The mean efficiency of each model on each GPU, so that one measured at many sizes counts
    once."""
    rows: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for row in published():
        rows[row.model, row.gpu].append(row.efficiency)
    return {key: geometric_mean(values) for key, values in rows.items()}
