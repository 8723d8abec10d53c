"""A verdict on a way to run, by programs and counts: memory by kind, expected rate, what helps."""

from __future__ import annotations

from dataclasses import replace

from vitctl.hardware.tpus import Hardware
from vitctl.optim import frozen
from vitctl.plan import calibration, candidates, gpu_calibration, search
from vitctl.plan.answer import Memory, Rate
from vitctl.plan.candidates import Option, need
from vitctl.plan.cost import Cost
from vitctl.plan.estimate import estimate
from vitctl.plan.search import Tried
from vitctl.plan.topology import Topology
from vitctl.text.quantities import show_count
from vitctl.train.program.footprint import gib

UNKNOWN = Rate(None, None, None, None, None, False, False, None, None)


def rate(best: Tried, cost: Cost | None, *, hardware: Hardware | None) -> Rate:
    """The rate of a compiled program. `cost` is of all its layers, for the roofline."""
    rated = search.rate_of(best.program, best.option, hardware=hardware)
    if rated is None or hardware is None or cost is None:
        return UNKNOWN
    predicted, efficiency = rated
    return _rate(
        predicted / efficiency.value,
        efficiency,
        cost=cost,
        option=best.option,
        hardware=hardware,
    )


def estimated_rate(option: Option, *, hardware: Hardware) -> Rate:
    """The rate where nothing was compiled, a range."""
    cost = estimate(option.cfg, option.plan, hardware=hardware, devices=option.plan.mesh.devices)
    if hardware.node is None:
        efficiency = calibration.efficiency(cost, model=option.cfg.model, hardware=hardware)
    else:
        efficiency = gpu_calibration.efficiency()
    unscaled = option.images_per_device / cost.seconds
    return _rate(unscaled, efficiency, cost=cost, option=option, hardware=hardware)


def _rate(
    unscaled: float,
    efficiency: calibration.Efficiency,
    *,
    cost: Cost,
    option: Option,
    hardware: Hardware,
) -> Rate:
    """`unscaled` images/s at an efficiency of 1, and what follows; never over the roofline."""
    images = option.images_per_device
    roofline = images / cost.least_seconds
    predicted = min(unscaled * efficiency.value, roofline)
    flops = frozen.trained_flops(option.cfg.model, option.cfg.optim)
    return Rate(
        predicted=predicted,
        low=None if efficiency.low is None else min(unscaled * efficiency.low, roofline),
        high=None if efficiency.high is None else min(unscaled * efficiency.high, roofline),
        roofline=roofline,
        efficiency=predicted * cost.seconds / images,
        assumed=efficiency.assumed,
        measured=efficiency.in_paper,
        left_out=efficiency.left_out,
        mfu=flops * predicted / hardware.flops,
        calibration=efficiency.measured_on,
    )


def memory(best: Tried, *, available: int | None) -> Memory:
    """The program's bytes by kind. What shapes say of gradients and activations is cut to the room
    that the program has for them: they are not all there at the worst moment."""
    needed = need(best.option.cfg, best.option.plan)
    program = best.program
    resident = needed.parameters + needed.optimizer + needed.batch
    inside = max(0, program.peak - resident) if program.fits else program.temporaries
    gradients = min(needed.gradients, inside)
    activations = min(needed.activations, inside - gradients)
    return Memory(
        parameters=needed.parameters,
        optimizer=needed.optimizer,
        batch=needed.batch,
        gradients=gradients,
        activations=activations,
        temporaries=inside - gradients - activations,
        available=available,
    )


def counted_memory(option: Option, *, available: int | None) -> Memory:
    """Bytes by kind where nothing was compiled."""
    needed = need(option.cfg, option.plan)
    return Memory(
        parameters=needed.parameters,
        optimizer=needed.optimizer,
        batch=needed.batch,
        gradients=needed.gradients,
        activations=needed.activations,
        temporaries=needed.temporaries,
        available=available,
    )


def advice(option: Option, *, target_topology: Topology, available: int | None) -> list[str]:
    """What would make it fit, by the count from shapes."""
    if available is None:
        return []
    cfg, devices = option.cfg, target_topology.devices
    other = candidates.options(
        cfg,
        devices=devices,
        hardware=target_topology.hardware,
        specs=list(candidates.meshes(cfg, devices=devices)),
        remats=("full",),
        microbatch=option.plan.microbatch,
        batches=candidates.batches_to_try(devices, most=cfg.data.batch),
    )
    fitting = [o for o in other if o.needed <= available]
    advice = []
    if (part := _microbatch(option, available=available)) is not None:
        advice.append(f"--microbatch {part} with this mesh, which changes no result")
    same = [o for o in fitting if o.cfg.data.batch == cfg.data.batch]
    if same:
        best = same[0]
        advice.append(f"--mesh {best.plan.mesh} --remat full, about {gib(best.needed)}")
    smaller = [o for o in fitting if o.cfg.data.batch < cfg.data.batch]
    if smaller:
        best = max(smaller, key=lambda o: o.cfg.data.batch)
        advice.append(
            f"--batch {best.cfg.data.batch} --mesh {best.plan.mesh} --remat full, about "
            f"{gib(best.needed)}"
        )
    if advice:
        return [f"it would by the count from shapes: {line}" for line in advice]
    least = min((o.needed for o in other), default=option.needed)
    return [
        f"no mesh of {show_count(devices)} devices would do: the least is {gib(least)}; take a "
        "larger slice, a chip with more memory, or a smaller --model"
    ]


def _microbatch(option: Option, *, available: int) -> int | None:
    """The most images at a time that would fit; None if there is no such number."""
    images = option.cfg.data.batch // option.plan.mesh.batch_shards
    for part in range((option.plan.microbatch or images) - 1, 0, -1):
        plan = replace(option.plan, microbatch=part)
        if images % part == 0 and need(option.cfg, plan).total <= available:
            return part
    return None
