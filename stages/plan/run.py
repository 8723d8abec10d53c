"""How `vitctl plan` works: settings and hardware -> what to expect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stages.plan.command import Inputs, PlanRuntime
from vitctl import machine
from vitctl.errors import DoesNotFitError, UsageError
from vitctl.events import Caution, Emit, Note, silent
from vitctl.model import accounting
from vitctl.plan import judge, search, topology
from vitctl.plan.answer import Answer, Basis, Candidate, Memory, Rate
from vitctl.plan.bill import bill
from vitctl.plan.compiler import COST_COMPILES, Compiler
from vitctl.plan.estimate import estimate
from vitctl.plan.program import Plan, Target
from vitctl.plan.search import Option, Tried
from vitctl.plan.topology import Topology
from vitctl.remat import LADDER, Remat
from vitctl.sharding import spec as specs
from vitctl.sharding.spec import MeshSpec
from vitctl.train import memory
from vitctl.train.config import TrainConfig


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
    if runtime.search:
        worth = search.worth_compiling(found, available=available, slack=devices is not None)
        emit(Note(f"{len(found)} ways to run counted, {len(worth)} of them may fit"))
    else:
        worth = _as_pretrain(cfg, found, runtime, there=there, available=available, emit=emit)

    # Programs
    if devices is None:
        return _estimated(worth[0], there=there, available=available, runtime=runtime, found=worth)
    target = Target(there, devices)
    budget = max(1, runtime.max_compiles - COST_COMPILES)
    compiler = Compiler(target, emit=emit, at_most=runtime.max_compiles)
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
        if compiler.left >= COST_COMPILES:
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
    held = judge.memory(best, available=available)
    fits = best.program.fits and (available is None or held.peak <= available)
    rate = judge.rate(best, cost, hardware=hardware) if fits else judge.UNKNOWN
    return _answer(
        best.option,
        there=there,
        held=held,
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
    """What there is to choose from, the fastest by the estimate first."""
    devices = there.devices
    mesh, remat = _asked(runtime)
    if mesh is not None:
        resolved = mesh.resolve(devices=devices)
        resolved.check_model(cfg.model)
        resolved.check_batch(cfg.data.batch)
    free = runtime.search and not runtime.batch_is_given
    found = search.options(
        cfg,
        devices=devices,
        hardware=there.hardware,
        specs=[mesh] if mesh else list(search.meshes(cfg, devices=devices)),
        remats=LADDER if remat is None else (remat,),
        microbatch=runtime.microbatch,
        batches=search.batches_to_try(devices) if free else [cfg.data.batch],
    )
    if not found:
        # Says which batch would divide.
        MeshSpec().resolve(devices=devices).check_batch(cfg.data.batch)
        raise UsageError(f"no mesh of {devices} devices divides a batch of {cfg.data.batch}")
    return found


def _asked(runtime: PlanRuntime) -> tuple[MeshSpec | None, Remat | None]:
    """What the user fixed; None is left to choose. UsageError for words that there are not."""
    mesh = specs.parse(runtime.mesh) if runtime.mesh else None
    if runtime.remat in (None, "auto"):
        return mesh, None
    for known in LADDER:
        if runtime.remat == known:
            return mesh, known
    raise UsageError(f"--remat {runtime.remat!r} is not known", hint=f"take {', '.join(LADDER)}")


def _as_pretrain(
    cfg: TrainConfig,
    found: Sequence[Option],
    runtime: PlanRuntime,
    *,
    there: Topology,
    available: int | None,
    emit: Emit,
) -> list[Option]:
    """The way that `pretrain` would take, then, should the compiler refuse it, what needs less."""
    mesh, remat = _asked(runtime)
    try:
        chosen = memory.choose(
            cfg,
            devices=there.devices,
            available=available,
            mesh=mesh,
            remat=remat or "auto",
            microbatch=runtime.microbatch,
        )
    except DoesNotFitError as error:
        emit(Note(f"pretrain would refuse it: {error.message}"))
        return [min(found, key=lambda o: o.needed)]
    if chosen.reason:
        emit(Note(chosen.reason))
    first = search.option(
        cfg,
        Plan(chosen.spec, chosen.remat, runtime.microbatch),
        batch=cfg.data.batch,
        hardware=there.hardware,
        devices=there.devices,
    )
    return [first, *(o for o in found if o.needed < first.needed)]


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
    held = judge.counted_memory(best, available=available)
    hardware = there.hardware
    assert hardware is not None  # only slices are estimated, and they have one
    fits = available is None or held.peak <= available
    rate = judge.estimated_rate(best, hardware=hardware) if fits else judge.UNKNOWN
    return _answer(
        best,
        there=there,
        held=held,
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
    held: Memory,
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
        memory=held,
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
