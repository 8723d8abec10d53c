"""From costs to images a second, by the throughput that the paper measured on TPU v3.

A roofline says what no step can beat, not what it takes: the paper's models reach 40 to 60 % of it,
the thin ones least. What explains the difference is libtpu's own estimate of every fused operation
(vector units, padded tiles, memory, each for itself). Against the sum of those, plus the links, all
of its models reach nearly the same share, `Calibration.share`. So

    images/s = images / cost · efficiency,   efficiency = share · cost / (operations + links)

A model that was measured takes its own share and so its measured throughput, if the step is the
paper's; another takes the geometric mean. How good that is says `leave_one_out`: each model
predicted from the others.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal, TypeVar

from vitctl.hardware.tpus import TPUS, Hardware
from vitctl.model.config import ModelConfig, from_name
from vitctl.plan.cost import Cost
from vitctl.text import strict_json

MeasuredOn = Literal["TPU v3", "GPUs"]
"""What an efficiency was measured on: TPU v3 by the paper, GPUs by others with their programs."""
Key = TypeVar("Key")
_FILE = "paper_costs.json"
_ON = TPUS["v3"]


@dataclass(frozen=True)
class PaperModel:
    """One of the paper's models.

    Attributes:
      images_per_second: on a TPU v3 core, measured by the paper.
      images: of one core and step, in the step whose cost follows.
      cost: of that step, as the paper's code made it: weights replicated, nothing scanned.
    """

    model: str
    images_per_second: float
    images: int
    cost: Cost

    @property
    def share(self) -> float:
        """Measured over what operations and links alone would give."""
        return self.images_per_second * operations_seconds(self.cost) / self.images

    @property
    def efficiency(self) -> float:
        """Measured over what the cost alone would give."""
        return self.images_per_second * self.cost.seconds / self.images


def operations_seconds(cost: Cost) -> float:
    """libtpu's estimate of every operation, plus the links. ValueError where it gives none."""
    if cost.cycle_seconds is None:
        raise ValueError("the compiler gave no estimate of operations")
    return cost.cycle_seconds + cost.link_seconds


@cache
def paper_models() -> tuple[PaperModel, ...]:
    """The paper's models, from the file that ships; tests/plan/paper_costs.py makes it."""
    text = resources.files("vitctl.plan").joinpath(_FILE).read_text(encoding="utf-8")
    return tuple(_read(row) for row in strict_json.loads(text)["models"])


def _read(row: Mapping[str, Any]) -> PaperModel:
    depth = from_name(row["model"], classes=1).depth
    first, second = row["depths"]

    def at(name: str) -> float:
        shallow, deep = row[name]
        return shallow + (deep - shallow) / (second - first) * (depth - first)

    flops, accessed = at("flops"), at("bytes")
    assert _ON.hertz is not None  # of the table
    cost = Cost(
        flops=flops,
        bytes=accessed,
        cycle_seconds=at("cycles") / _ON.hertz,
        compute_seconds=flops / _ON.flops,
        memory_seconds=accessed / _ON.bandwidth,
        link_seconds=at("link_seconds"),
    )
    return PaperModel(row["model"], row["images_per_second"], row["images_per_device"], cost)


def leave_one_out(of: Sequence[PaperModel] | None = None) -> dict[str, float]:
    """Each model's throughput as the others predict it, over the measured one."""
    rows = paper_models() if of is None else of
    return by_the_others({row.model: row.share for row in rows})


def by_the_others(values: Mapping[Key, float]) -> dict[Key, float]:
    """What the mean of all others says of each, over what it is."""
    return {
        key: geometric_mean(other for name, other in values.items() if name != key) / value
        for key, value in values.items()
    }


def worst_error(of: Sequence[PaperModel] | None = None) -> float:
    """The largest error of `leave_one_out`, as a share: 0.1 means 10 %."""
    return max(abs(ratio - 1) for ratio in leave_one_out(of).values())


@dataclass(frozen=True)
class Efficiency:
    """Of a step: predicted rate over what its cost alone would give, with a range or none.

    Attributes:
      assumed: it was measured on other hardware.
      in_paper: the paper measured this model.
      measured_on: what it was measured on.
      left_out: error of its rate as the other models predict it, over the measured one, less 1; of
        a model that was not measured the largest such error. None without the compiler's estimate.
    """

    value: float
    low: float | None
    high: float | None
    assumed: bool
    in_paper: bool
    left_out: float | None
    measured_on: MeasuredOn = "TPU v3"


def efficiency(cost: Cost, *, model: ModelConfig, hardware: Hardware) -> Efficiency:
    """What to expect of a step with this cost.

    On v3 a model that the paper measured has no range; another has that of the worst left-out
    model. Elsewhere the share is an assumption, between the lowest measured one less that error
    and all of what the compiler estimates. Without the compiler's estimate of operations the
    efficiencies of the paper's models themselves are the range.
    """
    rows = paper_models()
    own = next((row for row in rows if _same(row.model, model)), None)
    here = hardware.kind == _ON.kind
    if cost.cycle_seconds is None:
        efficiencies = [row.efficiency for row in rows]
        value = own.efficiency if own is not None else geometric_mean(efficiencies)
        return Efficiency(
            value,
            min(efficiencies),
            max(efficiencies),
            assumed=not here,
            in_paper=own is not None,
            left_out=None,
        )
    per_share = cost.seconds / operations_seconds(cost)
    value = own.share if own is not None else geometric_mean(row.share for row in rows)
    low: float | None = None
    high: float | None = None
    if not here:
        low, high = min(row.share for row in rows) * (1 - worst_error()), 1.0
    elif own is None:
        low, high = value * (1 - worst_error()), min(1.0, value * (1 + worst_error()))
    return Efficiency(
        value * per_share,
        None if low is None else low * per_share,
        None if high is None else high * per_share,
        assumed=not here,
        in_paper=own is not None,
        left_out=worst_error() if own is None else leave_one_out()[own.model] - 1,
    )


def _same(name: str, model: ModelConfig) -> bool:
    """Whether it is that model as the paper trained it, whatever its classes."""
    fields = {"width", "depth", "mlp_dim", "mlp", "heads", "patch", "resolution", "head"}
    theirs = from_name(name, classes=1)
    return model.model_dump(include=fields) == theirs.model_dump(include=fields)


def geometric_mean(values: Iterable[float]) -> float:
    """The geometric mean: rates err by factors."""
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs))
