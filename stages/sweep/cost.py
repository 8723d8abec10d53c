"""What a plan will take on this machine: whether it fits in memory, bytes on disk, seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

from stages.sweep.sentences import of_a_run
from stages.sweep.spec import SweepRuntime
from stages.sweep.trunks import GridTrunk, RateSearch
from vitctl.advice import own_runs, rates, target
from vitctl.advice.fitting import Fitted
from vitctl.advice.rates import ModelRate
from vitctl.artifacts import Store
from vitctl.errors import DoesNotFitError, UsageError
from vitctl.hardware import machine
from vitctl.model import remat
from vitctl.sharding import spec as specs
from vitctl.train.config import TrainConfig
from vitctl.train.program import footprint


@dataclass(frozen=True)
class Costs:
    """Of the runs of a plan on this machine, by `key_of` their settings.

    rates       images a second on one device; a model of which nothing is known is not there
    devices     that train together
    free_bytes  on the disk of the store; None of a bucket
    """

    rates: Mapping[str, ModelRate]
    devices: int
    free_bytes: int | None

    def seconds(self, cfg: TrainConfig, *, images: float) -> float | None:
        """Of training on so many images, without compiling, scoring and saving."""
        rate = self.rates.get(key_of(cfg))
        return None if rate is None else images / (rate.rate * self.devices)

    def basis(self, cfg: TrainConfig) -> str | None:
        """What the rate of a model rests on, in words."""
        rate = self.rates.get(key_of(cfg))
        if rate is None:
            return None
        return rate.basis if rate.source is None else f"{rate.basis}: {rate.source}"


def key_of(cfg: TrainConfig) -> str:
    """The same for settings that are laid out alike and cost the same an image."""
    model = cfg.model.model_dump_json()
    return f"{model} {cfg.optim.model_dump_json()} {cfg.data.batch} {cfg.precision}"


def costs_of(
    trunks: Sequence[GridTrunk],
    searches: Sequence[RateSearch],
    *,
    runtime: SweepRuntime,
    store: Store,
) -> Costs:
    """What is known of the costs on this machine. The nodes of a Ray cluster have memory of their
    own, and as many devices for a run as it is given: there training refuses what has no room.

    Raises:
      UsageError: a batch, mesh or microbatch that the devices do not divide.
      DoesNotFitError: a model that has no room in memory, with the number of such trunks.
    """
    devices = target.local()
    if runtime.devices is not None:
        here = runtime.ray is None
        count = min(devices.count, runtime.devices) if here else runtime.devices
        devices = replace(devices, count=count)
    layouts = _layouts(trunks, searches, runtime=runtime, devices=devices.count)
    speeds = own_runs.speeds(store.entries(check=False), devices)
    fitted = [Fitted(key, cfg, (), layout, ()) for key, (cfg, layout) in layouts.items()]
    return Costs(
        rates.rates(fitted, devices=devices, speeds=speeds),
        devices.count,
        _free_bytes(store),
    )


def _layouts(
    trunks: Sequence[GridTrunk],
    searches: Sequence[RateSearch],
    *,
    runtime: SweepRuntime,
    devices: int,
) -> dict[str, tuple[TrainConfig, footprint.MemoryPlan]]:
    """How each kind of run is laid out, as training itself chooses it."""
    runs = [
        *((trunk.label, trunk.cfg) for trunk in trunks),
        *(
            (f"the choice of a learning rate for {search.model}", search.candidates[0])
            for search in searches
        ),
    ]
    available = machine.device_bytes() if runtime.ray is None else None
    layouts: dict[str, tuple[TrainConfig, footprint.MemoryPlan]] = {}
    too_large: dict[str, tuple[str, DoesNotFitError]] = {}
    for name, cfg in runs:
        key = key_of(cfg)
        if key in layouts or key in too_large:
            continue
        try:
            layouts[key] = (
                cfg,
                footprint.choose(
                    cfg,
                    devices=devices,
                    available=available,
                    mesh=specs.parse(runtime.mesh),
                    remats=remat.to_try(runtime.remat),
                    microbatch=runtime.microbatch,
                ),
            )
        except DoesNotFitError as refusal:
            too_large[key] = name, refusal
        except UsageError as error:
            raise of_a_run(error, name=name) from None
    if too_large:
        name, least = next(iter(too_large.values()))
        count = sum(key_of(cfg) in too_large for _, cfg in runs)
        others = f" ({count - 1} more of this grid do not fit either)" if count > 1 else ""
        refused = DoesNotFitError(f"{least.message}{others}", hint=least.hint)
        raise of_a_run(refused, name=name)
    return layouts


def _free_bytes(store: Store) -> int | None:
    with suppress(OSError):
        return store.root.free_bytes()
    return None


def core_days(
    cfg: TrainConfig, *, images: int
) -> tuple[float, Literal["paper", "estimated"]] | None:
    """Days that training on so many images takes one core of TPUv3, and what that rests on: the
    throughput that the paper measured of this model, or `plan`'s calibration by its other models.
    """
    rate = rates.v3_rate(cfg)
    if rate is None:
        return None
    basis: Literal["paper", "estimated"] = (
        "estimated" if rates.paper_rate(cfg.model) is None else "paper"
    )
    return images / rate / rates.DAY_S, basis
