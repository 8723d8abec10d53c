"""The fastest mesh, recomputation and batch within memory: cheap counts first, compiling last."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from vitctl.errors import UsageError
from vitctl.plan import calibration
from vitctl.plan.calibration import Efficiency
from vitctl.plan.cost import Cost
from vitctl.plan.estimate import estimate, step_flops
from vitctl.plan.hardware import Hardware
from vitctl.plan.program import Plan, Program
from vitctl.remat import Remat
from vitctl.sharding.spec import MeshSpec
from vitctl.train import memory
from vitctl.train.config import TrainConfig

_SLACK = 1.25
"""The count from shapes is off by about this factor either way: what it puts over the memory by
more is not compiled."""


@dataclass(frozen=True)
class Option:
    """One way to run, with what counts say about it.

    Attributes:
      cfg: the run with this option's batch.
      needed: bytes on a device, by shapes.
      seconds: of a step, estimated; None where the hardware is unknown.
    """

    cfg: TrainConfig
    plan: Plan
    needed: int
    seconds: float | None

    @property
    def images_per_device(self) -> float:
        """Images of a step over devices: with a `tensor` axis several work on the same ones."""
        return self.cfg.data.batch / self.plan.mesh.devices

    @property
    def rate(self) -> float:
        """Estimated images/s of a device, for sorting."""
        return self.images_per_device / self.seconds if self.seconds else 0.0


def meshes(cfg: TrainConfig, *, devices: int) -> Iterator[MeshSpec]:
    """Meshes worth a look: all data; optimizer state divided over part of it; weights divided, too;
    two-fold tensor.

    Powers of two up to 64: over more devices a gather costs more than it saves.
    """
    sizes = [2**k for k in range(7) if devices % 2**k == 0]
    for size in sizes:
        yield MeshSpec(zero=size)
    for size in sizes[1:]:
        yield MeshSpec(fsdp=size)
    if devices % 2 == 0 and cfg.model.heads % 2 == 0:
        yield MeshSpec(tensor=2)


def options(
    cfg: TrainConfig,
    *,
    devices: int,
    hardware: Hardware | None,
    specs: Sequence[MeshSpec],
    remats: Sequence[Remat],
    microbatch: int | None,
    batches: Sequence[int],
) -> list[Option]:
    """Every combination that divides, the fastest by the estimate first."""
    found = []
    for spec in specs:
        for batch in batches:
            for remat in remats:
                try:
                    mesh = spec.resolve(devices=devices)
                    mesh.check_model(cfg.model)
                    mesh.check_batch(batch)
                except UsageError:
                    continue
                found.append(
                    option(
                        cfg,
                        Plan(mesh, remat, microbatch),
                        batch=batch,
                        hardware=hardware,
                        devices=devices,
                    )
                )
    return sorted(
        found, key=lambda o: (-o.rate, step_flops(cfg.model, remat=o.plan.remat), o.needed)
    )


def option(
    cfg: TrainConfig, plan: Plan, *, batch: int, hardware: Hardware | None, devices: int
) -> Option:
    """What counts say about one way to run."""
    cfg = cfg.model_copy(update={"data": cfg.data.model_copy(update={"batch": batch})})
    seconds = None
    if hardware is not None:
        seconds = estimate(cfg, plan, hardware=hardware, devices=devices).seconds
    return Option(cfg, plan, need(cfg, plan).total, seconds)


def need(cfg: TrainConfig, plan: Plan) -> memory.Need:
    """Bytes on one device by shapes, nothing compiled: the count that `pretrain` refuses by."""
    return memory.need(cfg, spec=plan.mesh, remat=plan.remat, microbatch=plan.microbatch)


def worth_compiling(found: Sequence[Option], *, available: int | None, slack: bool) -> list[Option]:
    """Those that fit by the count, with `slack` those that may; if none, what needs least."""
    if available is None:
        return list(found)
    may = [o for o in found if o.needed <= available * (_SLACK if slack else 1)]
    return may or [min(found, key=lambda o: o.needed)]


def batches_to_try(devices: int) -> list[int]:
    """1 to 512 images a device, by powers of two."""
    return [devices * 2**k for k in range(10)]


@dataclass(frozen=True)
class Tried:
    """An option that was compiled."""

    option: Option
    program: Program
    rate: float | None


def rate_of(
    program: Program, option: Option, *, hardware: Hardware | None
) -> tuple[float, Efficiency] | None:
    """Images/s of a device by the program that runs, every operation as often as it runs; None
    where the compiler estimates none."""
    if hardware is None or hardware.hertz is None or not program.fits:
        return None
    if not program.cycles or program.link_seconds is None:
        return None
    operations = program.cycles / hardware.hertz
    cost = Cost(0.0, 0.0, operations, 0.0, operations, program.link_seconds)
    efficiency = calibration.efficiency(cost, model=option.cfg.model, hardware=hardware)
    return option.images_per_device / cost.seconds * efficiency.value, efficiency


def fastest(
    found: Sequence[Option],
    *,
    compiles: int,
    stop_at_first: bool,
    hardware: Hardware | None,
    compile_one: Callable[[Option], Program],
) -> list[Tried]:
    """Compile the best by estimate, one after another; the fastest that fits comes first.

    What needs no less, by the count, than one that was refused is not tried.

    Args:
      compiles: at most so many.
      stop_at_first: the first that fits is the answer.
    """
    tried: list[Tried] = []
    refused: int | None = None
    for candidate in found:
        if len(tried) == compiles:
            break
        if refused is not None and candidate.needed >= refused:
            continue
        program = compile_one(candidate)
        rated = rate_of(program, candidate, hardware=hardware)
        tried.append(Tried(candidate, program, rated[0] if rated else None))
        if not program.fits:
            refused = candidate.needed
        elif stop_at_first:
            break
    return sorted(tried, key=lambda t: (not t.program.fits, -(t.rate or t.option.rate)))
