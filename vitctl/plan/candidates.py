"""Ways to run: mesh, recomputation and batch, each with what can be counted without compiling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vitctl.errors import UsageError
from vitctl.hardware.tpus import Hardware
from vitctl.model.remat import Remat
from vitctl.plan.estimate import estimate, step_flops
from vitctl.plan.program import StepPlan
from vitctl.sharding.spec import MeshSpec
from vitctl.train.config import TrainConfig
from vitctl.train.program import footprint

SLACK = 1.25
"""The count from shapes is off by about this factor either way: what it puts over the memory by
more, or makes slower by more than one that fits, is not compiled."""


@dataclass(frozen=True)
class Option:
    """One way to run, with what counts say about it.

    Attributes:
      cfg: the run with this option's batch.
      needed: bytes on a device, by shapes.
      seconds: of a step, estimated; None where the hardware is unknown.
    """

    cfg: TrainConfig
    plan: StepPlan
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


def kind(mesh: MeshSpec) -> tuple[bool, bool, bool]:
    """Which axes a mesh has beside `data`."""
    return mesh.zero > 1, mesh.fsdp > 1, mesh.tensor > 1


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
    ways = []
    for spec in specs:
        for batch in batches:
            for remat in remats:
                try:
                    mesh = spec.resolve(devices=devices)
                    mesh.check_model(cfg.model)
                    mesh.check_batch(batch)
                    footprint.checked_microbatch(microbatch, images=batch // mesh.batch_shards)
                except UsageError:
                    continue
                ways.append(
                    option(
                        cfg,
                        StepPlan(mesh, remat, microbatch),
                        batch=batch,
                        hardware=hardware,
                        devices=devices,
                    )
                )
    return sorted(
        ways,
        key=lambda o: (-o.rate, step_flops(cfg.model, cfg.optim, remat=o.plan.remat), o.needed),
    )


def option(
    cfg: TrainConfig, plan: StepPlan, *, batch: int, hardware: Hardware | None, devices: int
) -> Option:
    """What counts say about one way to run."""
    cfg = with_batch(cfg, batch)
    seconds = None
    if hardware is not None:
        seconds = estimate(cfg, plan, hardware=hardware, devices=devices).seconds
    return Option(cfg, plan, need(cfg, plan).total, seconds)


def with_batch(cfg: TrainConfig, batch: int) -> TrainConfig:
    """The same run with another batch: as many images, so other steps."""
    if batch == cfg.data.batch:
        return cfg
    steps = max(1, round(cfg.steps * cfg.data.batch / batch))
    return cfg.model_copy(
        update={
            "data": cfg.data.model_copy(update={"batch": batch}),
            "schedule": cfg.schedule.model_copy(update={"total_steps": steps}),
        }
    )


def need(cfg: TrainConfig, plan: StepPlan) -> footprint.Need:
    """Bytes on one device by shapes, nothing compiled: the count that `pretrain` refuses by."""
    return footprint.need(cfg, spec=plan.mesh, remat=plan.remat, microbatch=plan.microbatch)


def worth_compiling(ways: Sequence[Option], *, available: int | None, slack: bool) -> list[Option]:
    """Those that fit by the count, then, with `slack`, those that may; if none, the one that needs
    least."""
    if available is None:
        return list(ways)
    fit = [o for o in ways if o.needed <= available]
    may = [o for o in ways if available < o.needed <= available * SLACK] if slack else []
    return [*fit, *may] or [min(ways, key=lambda o: o.needed)]


def batches_to_try(devices: int, *, most: int) -> list[int]:
    """1 to 512 images a device, by powers of two, up to `most` in all."""
    return [devices * 2**k for k in range(10) if devices * 2**k <= most]


def distinct(ways: Sequence[Option]) -> list[Option]:
    """The first of those that differ only in how many devices an axis has."""
    first: dict[object, Option] = {}
    for o in ways:
        first.setdefault((kind(o.plan.mesh), o.plan.remat, o.cfg.data.batch), o)
    return list(first.values())
