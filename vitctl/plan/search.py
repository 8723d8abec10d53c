"""Which ways to run are compiled, in which order, and which of them is the fastest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

from vitctl.hardware.tpus import Hardware
from vitctl.plan import calibration
from vitctl.plan.calibration import Efficiency
from vitctl.plan.candidates import SLACK, Option, kind
from vitctl.plan.cost import Cost
from vitctl.plan.program import Program


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


@dataclass(frozen=True)
class Searched:
    """What a search compiled, the fastest that fits first, and why it did not compile the rest.

    Attributes:
      refused: would be refused, too, judged by what the compiler asked for what it refused.
      slower: are slower, by the estimate, than one that fits, by more than the estimate errs.
      untried: would have been compiled, had there been more compiles.
    """

    tried: list[Tried]
    refused: int
    slower: int
    untried: int


def first_that_fits(
    ways: Sequence[Option],
    *,
    compiles: int,
    available: int | None,
    hardware: Hardware | None,
    compile_one: Callable[[Option], Program],
) -> Tried:
    """Compile options in order, at most `compiles`, until one fits; if none fits, return the last.

    An option that would be refused, judged by those that were, is not compiled; the last
    compilation is for the option that needs the least memory.
    """
    tried: list[Tried] = []
    while len(tried) < compiles and (left := _left(ways, tried, available=available)):
        last = tried and len(tried) == compiles - 1
        option = min(left, key=lambda o: o.needed) if last else left[0]
        tried.append(_try(option, hardware=hardware, compile_one=compile_one))
        if tried[-1].program.fits:
            break
    return tried[-1]


def fastest(
    ways: Sequence[Option],
    *,
    compiles: int,
    available: int | None,
    hardware: Hardware | None,
    compile_one: Callable[[Option], Program],
) -> Searched:
    """Compile at most `compiles` options, the best by estimate first; then one that differs from
    the fastest so far in one thing: recomputation, mesh or batch, in turn.

    Estimates of neighbouring meshes differ by less than their error: compiled in that order they
    would all be one mesh with other numbers.
    """
    tried: list[Tried] = []
    while len(tried) < compiles and (left := _left(ways, tried, available=available)):
        best = min(tried, key=_order, default=None)
        if best is None or not best.program.fits:
            candidate = left[0]
        else:
            candidate = _next_to(best.option, left, tried, turn=len(tried) - 1)
        tried.append(_try(candidate, hardware=hardware, compile_one=compile_one))
    left = _left(ways, tried, available=available)
    roomy = _not_refused(ways, tried, available=available)
    return Searched(
        sorted(tried, key=_order),
        refused=len(ways) - len(tried) - len(roomy),
        slower=len(roomy) - len(left),
        untried=len(left),
    )


def _try(
    option: Option, *, hardware: Hardware | None, compile_one: Callable[[Option], Program]
) -> Tried:
    program = compile_one(option)
    rated = rate_of(program, option, hardware=hardware)
    return Tried(option, program, rated[0] if rated else None)


def _order(tried: Tried) -> tuple[bool, float]:
    return not tried.program.fits, -(tried.rate or tried.option.rate)


def _not_refused(
    ways: Sequence[Option], tried: Sequence[Tried], *, available: int | None
) -> list[Option]:
    """Options not tried yet, less those too large by the memory that refused programs needed."""
    done = [t.option for t in tried]
    refused = [t for t in tried if not t.program.fits]
    return [
        o
        for o in ways
        if o not in done and not any(_too_large(o, t, available=available) for t in refused)
    ]


def _too_large(option: Option, refused: Tried, *, available: int | None) -> bool:
    """Whether `option` would be refused, too. The count errs by the recomputation, so it is scaled
    by how far it was off for this one, and says nothing of another."""
    other = refused.option
    if option.plan.remat != other.plan.remat:
        return False
    off_by = max(1.0, refused.program.temporaries / other.needed)
    return option.needed >= other.needed or (
        available is not None and option.needed * off_by > available
    )


def _left(ways: Sequence[Option], tried: Sequence[Tried], *, available: int | None) -> list[Option]:
    """Options that are still worth compiling."""
    fitting = max((t.option.rate for t in tried if t.program.fits), default=0.0)
    roomy = _not_refused(ways, tried, available=available)
    return [o for o in roomy if o.rate * SLACK >= fitting]


def _next_to(best: Option, left: Sequence[Option], tried: Sequence[Tried], *, turn: int) -> Option:
    """The fastest by estimate of those that differ from `best` in one thing only, whose turn it is;
    of meshes one of a kind that was not tried yet, if there is."""
    kinds = {kind(t.option.plan.mesh) for t in tried}
    alike: tuple[Callable[[Option], object], ...] = (
        lambda o: o.plan.remat,
        lambda o: o.plan.mesh,
        lambda o: o.cfg.data.batch,
    )
    for i in range(len(alike)):
        varied = (turn + i) % len(alike)
        fixed = [value for j, value in enumerate(alike) if j != varied]
        near = [o for o in left if all(value(o) == value(best) for value in fixed)]
        fresh = [o for o in near if kind(o.plan.mesh) not in kinds]
        for option in chain(fresh, near):
            return option
    return left[0]
