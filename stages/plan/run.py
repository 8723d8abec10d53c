"""How `vitctl plan` works: settings and hardware -> what to expect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from stages.plan import results
from stages.plan.spec import Inputs, PlanRuntime
from vitctl import extras
from vitctl.errors import DoesNotFitError, UsageError
from vitctl.events import Caution, Emit, Note, silent
from vitctl.hardware import machine
from vitctl.hardware.gpus import GBIT
from vitctl.model.remat import LADDER, Remat, to_try
from vitctl.plan import candidates, judge, search, topology
from vitctl.plan.answer import Answer, Search
from vitctl.plan.candidates import Option
from vitctl.plan.compiler import COST_COMPILES, Compiler
from vitctl.plan.estimate import estimate
from vitctl.plan.program import StepPlan, Target
from vitctl.plan.topology import Topology
from vitctl.sharding import spec as specs
from vitctl.sharding.spec import MeshSpec
from vitctl.text.quoting import quoted
from vitctl.train.config import TrainConfig
from vitctl.train.program import footprint

_SHOWN = 8
"""Ways to run that an estimate lists."""


def run(cfg: TrainConfig, inputs: Inputs, *, runtime: PlanRuntime, emit: Emit = silent) -> Answer:
    """Plan a run. What does not fit is an answer.

    Raises:
      UsageError: a batch or mesh that the devices do not divide, an unknown topology or remat.
    """
    if inputs.from_step:  # only what is added takes time
        added = {"total_steps": cfg.steps - inputs.from_step}
        cfg = cfg.model_copy(update={"schedule": cfg.schedule.model_copy(update=added)})

    # Devices
    target_topology, devices = _devices(inputs, runtime)
    hardware = target_topology.hardware
    available = target_topology.memory if inputs.topology else machine.device_bytes()
    if devices is None and target_topology.is_gpus:
        for sentence in _about_gpus(target_topology):
            emit(Note(sentence))
    elif devices is None:
        emit(
            Caution(
                "libtpu is not installed, so nothing is compiled and the answer is an estimate "
                f"({extras.install('tpu')} compiles the real step)"
            )
        )

    # Options, by counting
    ways = _options(cfg, runtime, target_topology=target_topology)
    if runtime.search:
        worth = candidates.worth_compiling(ways, available=available, slack=devices is not None)
        emit(Note(f"{_ways(len(ways))} counted, {len(worth)} of them may fit"))
    else:
        worth = _as_pretrain(
            cfg, ways, runtime, target_topology=target_topology, available=available, emit=emit
        )

    # Programs
    if devices is None:
        return _estimated(
            worth,
            counted=len(ways),
            target_topology=target_topology,
            available=available,
            runtime=runtime,
        )
    target = Target(target_topology, devices)
    # Where no compiler estimates operations (GPUs), counts of compiled programs would go unused.
    priced = None if hardware is None or hardware.hertz is None else hardware
    for_cost = COST_COMPILES if priced is not None else 0
    budget = max(1, runtime.max_compiles - for_cost)
    compiler = Compiler(target, emit=emit, at_most=runtime.max_compiles)
    searched = None
    if runtime.search:
        searched = search.fastest(
            worth,
            compiles=budget,
            available=available,
            hardware=hardware,
            compile_one=compiler.whole,
        )
        best = searched.tried[0]
    else:
        best = search.first_that_fits(
            worth,
            compiles=budget,
            available=available,
            hardware=hardware,
            compile_one=compiler.whole,
        )
    cost = None
    if best.program.fits and priced is not None:
        if compiler.left >= COST_COMPILES:
            cost = compiler.cost(best.option, whole=best.program, hardware=priced)
        else:
            emit(
                Note(
                    f"--max-compiles {runtime.max_compiles} leaves no compilation to count FLOPs "
                    "and bytes: the roofline is an estimate"
                )
            )
            cost = estimate(
                best.option.cfg,
                best.option.plan,
                hardware=priced,
                devices=target_topology.devices,
            )
    compiler.end()

    # Answer
    held = judge.memory(best, available=available)
    fits = best.program.fits and (available is None or held.peak <= available)
    rate = judge.rate(best, cost, hardware=hardware) if fits else judge.UNKNOWN
    if fits and rate is judge.UNKNOWN and hardware is not None:
        emit(Note("the compiler does not report what this program costs: the rate is an estimate"))
        rate = judge.estimated_rate(best.option, hardware=hardware)
    return results.answer(
        best.option,
        target_topology=target_topology,
        held=held,
        fits=fits,
        rate=rate,
        basis="compiled",
        runtime=runtime,
        advice=()
        if fits
        else judge.advice(best.option, target_topology=target_topology, available=available),
        searched=None
        if searched is None
        else results.search(searched, counted=len(ways), worth=len(worth)),
        candidates=()
        if searched is None
        else [results.compiled_candidate(t) for t in searched.tried],
    )


# Devices


def _devices(inputs: Inputs, runtime: PlanRuntime) -> tuple[Topology, Sequence[Any] | None]:
    """The topology and its devices; None if programs for them cannot be compiled."""
    in_machines = partial(
        topology.in_machines, gpus_per_node=runtime.gpus_per_node, network=runtime.network
    )
    if inputs.topology is None:
        target, devices = topology.local()
        return in_machines(target), devices
    target = in_machines(inputs.topology)
    topology.prepare()
    if target.is_gpus or not topology.has_libtpu():
        return target, None
    return target, topology.absent_devices(target)


def _about_gpus(target: Topology) -> Iterator[str]:
    """What an answer for GPUs of other machines assumes."""
    yield (
        "nothing is compiled for GPUs that are not here: memory is counted from shapes, and the "
        "rate is an estimate"
    )
    hardware = target.hardware
    assert hardware is not None  # of GPUs
    if target.nodes > 1 and hardware.network is not None:
        yield (
            f"{target.name} in {target.nodes:,} machines of {hardware.node}, with "
            f"{hardware.network / GBIT:g} Gbit/s a GPU between them; --gpus-per-node and --network "
            "say otherwise"
        )


# Options


def _options(cfg: TrainConfig, runtime: PlanRuntime, *, target_topology: Topology) -> list[Option]:
    """All options, the fastest by the estimate first."""
    devices = target_topology.devices
    mesh, remat = _requested(runtime)
    batches = {cfg.data.batch}
    if runtime.search and runtime.largest_batch is not None:
        batches.update(candidates.batches_to_try(devices, most=runtime.largest_batch))
    if mesh is not None:
        resolved = mesh.resolve(devices=devices)
        resolved.check_model(cfg.model)
        if len(batches) == 1:
            resolved.check_batch(cfg.data.batch)
    ways = candidates.options(
        cfg,
        devices=devices,
        hardware=target_topology.hardware,
        specs=[mesh] if mesh else list(candidates.meshes(cfg, devices=devices)),
        remats=LADDER if remat is None else (remat,),
        microbatch=runtime.microbatch,
        batches=sorted(batches),
    )
    if not ways:
        # Says what would divide.
        plain = (mesh or MeshSpec()).resolve(devices=devices)
        plain.check_batch(cfg.data.batch)
        footprint.checked_microbatch(
            runtime.microbatch, images=cfg.data.batch // plain.batch_shards
        )
        raise UsageError(f"no mesh of {devices} devices divides a batch of {cfg.data.batch}")
    return ways


def _requested(runtime: PlanRuntime) -> tuple[MeshSpec | None, Remat | None]:
    """Mesh and remat that the user fixed; None means that plan chooses.

    Raises UsageError for an unknown remat.
    """
    mesh = specs.parse(runtime.mesh) if runtime.mesh else None
    if runtime.remat in (None, "auto"):
        return mesh, None
    for known in LADDER:
        if runtime.remat == known:
            return mesh, known
    raise UsageError(
        f"--remat {quoted(runtime.remat)} is not known", hint=f"choose one of {', '.join(LADDER)}"
    )


def _as_pretrain(
    cfg: TrainConfig,
    ways: Sequence[Option],
    runtime: PlanRuntime,
    *,
    target_topology: Topology,
    available: int | None,
    emit: Emit,
) -> list[Option]:
    """The layout that `pretrain` would choose, then, should the compiler refuse it, those that need
    less memory."""
    mesh, remat = _requested(runtime)
    try:
        chosen = footprint.choose(
            cfg,
            devices=target_topology.devices,
            available=available,
            mesh=mesh,
            remats=to_try(remat or "auto"),
            microbatch=runtime.microbatch,
        )
    except DoesNotFitError as error:
        emit(Note(f"pretrain would refuse these settings: {error.message}"))
        return [min(ways, key=lambda o: o.needed)]
    if chosen.reason:
        emit(Note(chosen.reason))
    first = candidates.option(
        cfg,
        StepPlan(chosen.spec, chosen.remat, runtime.microbatch),
        batch=cfg.data.batch,
        hardware=target_topology.hardware,
        devices=target_topology.devices,
    )
    return [first, *(o for o in ways if o.needed < first.needed)]


# Answer


def _estimated(
    worth: Sequence[Option],
    *,
    counted: int,
    target_topology: Topology,
    available: int | None,
    runtime: PlanRuntime,
) -> Answer:
    """The answer where nothing can be compiled."""
    best = worth[0]
    held = judge.counted_memory(best, available=available)
    hardware = target_topology.hardware
    assert hardware is not None  # only slices are estimated, and they have one
    fits = available is None or held.peak <= available
    rate = judge.estimated_rate(best, hardware=hardware) if fits else judge.UNKNOWN
    return results.answer(
        best,
        target_topology=target_topology,
        held=held,
        fits=fits,
        rate=rate,
        basis="estimated",
        runtime=runtime,
        advice=()
        if fits
        else judge.advice(best, target_topology=target_topology, available=available),
        searched=Search(counted, 0, counted - len(worth), 0, len(worth))
        if runtime.search
        else None,
        candidates=[
            results.counted_candidate(o, available=available)
            for o in (candidates.distinct(worth)[:_SHOWN] if runtime.search else ())
        ],
    )


def _ways(count: int) -> str:
    return f"{count:,} way{'s' if count != 1 else ''} to run"
