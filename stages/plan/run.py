"""How `vitctl plan` works: settings and hardware -> what to expect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stages.plan.command import Inputs, PlanRuntime
from vitctl import machine
from vitctl.errors import UsageError
from vitctl.events import Caution, Emit, Note, Progress, silent
from vitctl.model import accounting
from vitctl.plan import judge, search, topology
from vitctl.plan.answer import Answer, Basis, Candidate, Memory, Rate
from vitctl.plan.bill import bill
from vitctl.plan.cost import DEPTHS, Cost, extrapolate
from vitctl.plan.estimate import estimate, update_bytes
from vitctl.plan.hardware import Hardware
from vitctl.plan.program import Program, Target, compile_step
from vitctl.plan.search import Option, Tried
from vitctl.plan.topology import Topology
from vitctl.sharding import spec as specs
from vitctl.sharding.spec import MeshSpec
from vitctl.train.config import TrainConfig

_COST_COMPILES = len(DEPTHS)


def run(cfg: TrainConfig, inputs: Inputs, *, runtime: PlanRuntime, emit: Emit = silent) -> Answer:
    """Plan a run. What does not fit is an answer.

    Raises:
      UsageError: a batch or mesh that the devices do not divide, an unknown topology or remat.
    """
    # Devices
    there, devices = _devices(inputs)
    hardware = there.hardware
    available = hardware.memory if hardware and inputs.topology else machine.device_bytes()
    if devices is None:
        emit(
            Caution(
                "libtpu is not installed, so nothing is compiled: an estimate "
                "(pip install 'vitctl[tpu]' compiles the real step)"
            )
        )

    # Options, by counting
    found = _options(cfg, runtime, there=there)
    worth = search.worth_compiling(
        found, available=available, slack=runtime.search and devices is not None
    )
    emit(Note(f"{len(found)} ways to run counted, {len(worth)} of them may fit"))

    # Programs
    if devices is None:
        return _estimated(worth[0], there=there, available=available, runtime=runtime, found=worth)
    target = Target(there, devices)
    budget = max(1, runtime.max_compiles - _COST_COMPILES)
    compiler = _Compiler(target, emit=emit, at_most=runtime.max_compiles)
    tried = search.fastest(
        worth,
        compiles=budget,
        stop_at_first=not runtime.search,
        hardware=hardware,
        compile_one=compiler.whole,
    )
    best = tried[0]
    cost = None
    if best.program.fits and hardware is not None:
        if compiler.left >= _COST_COMPILES:
            cost = compiler.cost(best.option, hardware=hardware)
        else:
            emit(
                Note(
                    f"--max-compiles {runtime.max_compiles} leaves none for FLOPs and bytes: the "
                    "roofline is an estimate"
                )
            )
            cost = estimate(
                best.option.cfg, best.option.plan, hardware=hardware, devices=there.devices
            )

    # Answer
    memory = judge.memory(best, available=available)
    fits = best.program.fits and (available is None or memory.peak <= available)
    rate = judge.rate(best, cost, hardware=hardware) if fits else judge.UNKNOWN
    return _answer(
        best.option,
        there=there,
        memory=memory,
        fits=fits,
        rate=rate,
        basis="compiled",
        runtime=runtime,
        advice=() if fits else judge.advice(best.option, there=there, available=available),
        candidates=[_candidate(t) for t in tried]
        + [_counted(o, available=available) for o in worth[len(tried) : len(tried) + 6]]
        if runtime.search
        else [],
    )


# Devices


def _devices(inputs: Inputs) -> tuple[Topology, Sequence[Any] | None]:
    """What it runs on, and its devices; None where programs for them cannot be compiled."""
    if inputs.topology is None:
        return topology.local()
    topology.prepare()
    if not topology.has_libtpu():
        return inputs.topology, None
    return inputs.topology, topology.absent_devices(inputs.topology)


# Options


def _options(cfg: TrainConfig, runtime: PlanRuntime, *, there: Topology) -> list[Option]:
    devices = there.devices
    asked = specs.parse(runtime.mesh) if runtime.mesh else None
    if asked is not None:
        resolved = asked.resolve(devices=devices)
        resolved.check_model(cfg.model)
        resolved.check_batch(cfg.data.batch)
        shapes: list[MeshSpec] = [asked]
    elif there.is_local and not runtime.search:
        shapes = [MeshSpec()]  # as pretrain divides work here
    else:
        shapes = list(search.meshes(cfg, devices=devices, every=runtime.search))
    remats = search.REMATS
    if runtime.remat not in (None, "auto"):
        if runtime.remat not in remats:
            raise UsageError(
                f"--remat {runtime.remat!r} is not known", hint=f"take {', '.join(remats)}"
            )
        remats = (runtime.remat,)
    free = runtime.search and not runtime.batch_is_given
    found = search.options(
        cfg,
        devices=devices,
        hardware=there.hardware,
        specs=shapes,
        remats=remats,
        microbatch=runtime.microbatch,
        batches=search.batches_to_try(devices) if free else [cfg.data.batch],
    )
    if not found:
        # Says which batch would divide.
        MeshSpec().resolve(devices=devices).check_batch(cfg.data.batch)
        raise UsageError(f"no mesh of {devices} devices divides a batch of {cfg.data.batch}")
    return found


# Programs


@dataclass
class _Compiler:
    """Compiles and counts."""

    target: Target
    emit: Emit
    at_most: int
    done: int = 0

    @property
    def left(self) -> int:
        return self.at_most - self.done

    def whole(self, option: Option) -> Program:
        """The program that runs: memory, operations."""
        return self._one(option, depth=None, what=f"{option.plan.mesh}, remat {option.plan.remat}")

    def cost(self, option: Option, *, hardware: Hardware) -> Cost:
        """FLOPs and bytes of all layers, from two programs of few."""
        parts = 1
        if option.plan.microbatch is not None:
            parts = int(
                option.cfg.data.batch / option.plan.mesh.batch_shards / option.plan.microbatch
            )
        shallow, deep = (
            self._one(_of_one_part(option, parts), depth=depth, what=f"{depth} layers")
            for depth in DEPTHS
        )
        cost = extrapolate(shallow, deep, depth=option.cfg.model.depth, hardware=hardware)
        return _repeated(cost, parts, option, hardware=hardware)

    def _one(self, option: Option, *, depth: int | None, what: str) -> Program:
        self.emit(Progress("compiling", self.done, self.at_most, "programs", {"now": what}))
        self.done += 1
        return compile_step(option.cfg, option.plan, target=self.target, depth=depth)


def _of_one_part(option: Option, parts: int) -> Option:
    """The same with the images of one of `parts` microbatches: a loop's body counts only once."""
    if parts == 1:
        return option
    data = option.cfg.data.model_copy(update={"batch": option.cfg.data.batch // parts})
    plan = search.Plan(option.plan.mesh, option.plan.remat, None)
    cfg = option.cfg.model_copy(update={"data": data})
    return Option(cfg, plan, option.needed, option.seconds)


def _repeated(cost: Cost, parts: int, option: Option, *, hardware: Hardware) -> Cost:
    """The cost of `parts` microbatches and one update."""
    if parts == 1:
        return cost
    mesh = option.plan.mesh
    update = update_bytes(
        accounting.parameters(option.cfg.model).total, parts=mesh.zero * mesh.fsdp * mesh.tensor
    )
    accessed = parts * cost.bytes - (parts - 1) * update
    return Cost(
        flops=parts * cost.flops,
        bytes=accessed,
        cycle_seconds=None,
        compute_seconds=parts * cost.compute_seconds,
        memory_seconds=accessed / hardware.bandwidth,
        link_seconds=cost.link_seconds,
    )


# Answer


def _estimated(
    best: Option,
    *,
    there: Topology,
    available: int | None,
    runtime: PlanRuntime,
    found: Sequence[Option],
) -> Answer:
    """The answer where nothing can be compiled."""
    memory = judge.counted_memory(best, available=available)
    hardware = there.hardware
    assert hardware is not None  # only slices are estimated, and they have one
    fits = available is None or memory.peak <= available
    rate = judge.estimated_rate(best, hardware=hardware) if fits else judge.UNKNOWN
    return _answer(
        best,
        there=there,
        memory=memory,
        fits=fits,
        rate=rate,
        basis="estimated",
        runtime=runtime,
        advice=() if fits else judge.advice(best, there=there, available=available),
        candidates=[_counted(o, available=available) for o in found[:8]] if runtime.search else [],
    )


def _answer(
    option: Option,
    *,
    there: Topology,
    memory: Memory,
    fits: bool | None,
    rate: Rate,
    basis: Basis,
    runtime: PlanRuntime,
    advice: Sequence[str],
    candidates: Sequence[Candidate],
) -> Answer:
    cfg = option.cfg
    images = cfg.steps * cfg.data.batch
    return Answer(
        model=cfg.name,
        resolution=cfg.model.resolution,
        classes=cfg.model.classes,
        topology=there.name,
        devices=there.devices,
        precision=cfg.precision,
        batch=cfg.data.batch,
        batch_per_device=cfg.data.batch // option.plan.mesh.batch_shards,
        steps=cfg.steps,
        images=images,
        parameters=accounting.parameters(cfg.model),
        gflops_per_image=accounting.matmul_flops(cfg.model) / 1e9,
        mesh=str(option.plan.mesh),
        remat=option.plan.remat,
        microbatch=option.plan.microbatch,
        basis=basis,
        memory=memory,
        fits=fits,
        advice=tuple(advice),
        rate=rate,
        bill=None
        if rate.predicted is None
        else bill(
            images=images,
            images_per_second_per_device=rate.predicted,
            devices=there.devices,
            price=runtime.price,
            watts=runtime.watts,
        ),
        candidates=tuple(candidates),
    )


def _candidate(tried: Tried) -> Candidate:
    option = tried.option
    return Candidate(
        mesh=str(option.plan.mesh),
        remat=option.plan.remat,
        microbatch=option.plan.microbatch,
        batch=option.cfg.data.batch,
        peak_bytes=tried.program.peak or tried.program.temporaries,
        fits=tried.program.fits,
        images_per_second_per_device=tried.rate,
        basis="compiled",
    )


def _counted(option: Option, *, available: int | None) -> Candidate:
    """Not compiled; its rate is on another scale than a calibrated one, so it has none."""
    return Candidate(
        mesh=str(option.plan.mesh),
        remat=option.plan.remat,
        microbatch=option.plan.microbatch,
        batch=option.cfg.data.batch,
        peak_bytes=option.needed,
        fits=available is None or option.needed <= available,
        images_per_second_per_device=None,
        basis="estimated",
    )
