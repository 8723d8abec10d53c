"""The programs that an answer needs: the one that runs, and shallow ones for FLOPs and bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vitctl.events import Emit, Progress
from vitctl.hardware.tpus import Hardware
from vitctl.plan.candidates import Option
from vitctl.plan.cost import DEPTHS, Cost, extrapolate
from vitctl.plan.estimate import estimate, update_bytes
from vitctl.plan.program import Program, StepPlan, Target, compile_step

COST_COMPILES = len(DEPTHS)
"""Programs for the cost of a step."""


@dataclass
class Compiler:
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

    def cost(self, option: Option, *, whole: Program, hardware: Hardware) -> Cost:
        """FLOPs and bytes of all layers, from two programs of few. `whole` is the one that runs."""
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
        if whole.link_seconds is None:
            devices = option.plan.mesh.devices
            counted = estimate(option.cfg, option.plan, hardware=hardware, devices=devices)
            cost = replace(cost, link_seconds=counted.link_seconds)
        return repeated(cost, parts, option, whole=whole, hardware=hardware)

    def end(self) -> None:
        """What was done is all there was to do: of the most that were allowed, few are needed."""
        self.emit(Progress("compiling", self.done, self.done, "programs"))

    def _one(self, option: Option, *, depth: int | None, what: str) -> Program:
        self.emit(Progress("compiling", self.done, self.at_most, "programs", {"now": what}))
        self.done += 1
        return compile_step(option.cfg, option.plan, target=self.target, depth=depth)


def _of_one_part(option: Option, parts: int) -> Option:
    """The same with the images of one of `parts` microbatches: a loop's body counts only once."""
    if parts == 1:
        return option
    data = option.cfg.data.model_copy(update={"batch": option.cfg.data.batch // parts})
    plan = StepPlan(option.plan.mesh, option.plan.remat, None)
    cfg = option.cfg.model_copy(update={"data": data})
    return Option(cfg, plan, option.needed, option.seconds)


def repeated(cost: Cost, parts: int, option: Option, *, whole: Program, hardware: Hardware) -> Cost:
    """The cost of `parts` microbatches and one update. What is sent for each part and what once
    only the program that runs gives."""
    if parts == 1:
        return cost
    update = update_bytes(option.cfg, spec=option.plan.mesh)
    accessed = parts * cost.bytes - (parts - 1) * update
    return Cost(
        flops=parts * cost.flops,
        bytes=accessed,
        cycle_seconds=None,
        compute_seconds=parts * cost.compute_seconds,
        memory_seconds=accessed / hardware.bandwidth,
        link_seconds=cost.link_seconds if whole.link_seconds is None else whole.link_seconds,
    )
