"""One program's training step in a process of its own, by orders from `tests.bench.steps`.

An order and its answer are a line of JSON each:

    {"do": "device"}            -> {"platform": P, "kind": K, "bytes": N, "versions": {...}}
    {"do": "make", ...}         -> {"parameters": N}: compiled, and run twice
    {"do": "steps", "count": K} -> {"wall_s": S, "cpu_s": S}
    {"do": "peak"}              -> {"bytes": N}: of the device; without one, of this process
    {"do": "matmul", "seconds": S} -> {"flops_per_s": F}: of one large matrix product
    {"do": "kinds"}             -> {"matrix products": share, ...} of a step's time

What has no room answers {"too_large": sentence} and ends. Imports neither TensorFlow nor
array_record, nor what does.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol


class Program(Protocol):
    """A training step that was made, and its device."""

    parameters: int

    def steps(self, count: int) -> None:
        """Run so many steps to their end."""

    def peak_bytes(self) -> int | None:
        """The most that the device held; None where it does not count."""

    def matmul_flops_per_s(self, seconds: float) -> float:
        """Of one large product in the type of the step, over so long."""

    def kinds(self) -> dict[str, float]:
        """Shares of a step's time by kind of operation; empty where no profiler says."""


def serve(
    make: Callable[..., Program],
    *,
    device: Callable[[], dict[str, Any]],
    is_too_large: Callable[[Exception], bool],
) -> None:
    """Answer orders until stdin ends."""
    program: Program | None = None
    for line in sys.stdin:
        order = json.loads(line)
        task = order.pop("do")
        try:
            if task == "device":
                answer: dict[str, Any] = device()
            elif task == "make":
                program = make(**order)
                program.steps(2)
                answer = {"parameters": program.parameters}
            else:
                assert program is not None, "make comes first"
                answer = _answer(program, task, order)
        except Exception as error:
            if not is_too_large(error):
                raise
            answer = {"too_large": str(error).splitlines()[0][:200]}
        print(json.dumps(answer), flush=True)
        if "too_large" in answer:
            return


def _answer(program: Program, task: str, order: dict[str, Any]) -> dict[str, Any]:
    match task:
        case "steps":
            wall, cpu = time.perf_counter(), time.process_time()
            program.steps(order["count"])
            return {
                "wall_s": time.perf_counter() - wall,
                "cpu_s": time.process_time() - cpu,
            }
        case "peak":
            own = program.peak_bytes()
            whole = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts KiB
            return {"bytes": whole if own is None else own}
        case "matmul":
            return {"flops_per_s": program.matmul_flops_per_s(order["seconds"])}
        case "kinds":
            return dict(program.kinds())
        case _:
            raise ValueError(task)


def rate_of(product: Callable[[], None], flops: float, *, seconds: float) -> float:
    """FLOP/s of a product, the best of three parts of that time."""
    product()
    best = 0.0
    for _ in range(3):
        count, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds / 3:
            product()
            count += 1
        best = max(best, count * flops / (time.perf_counter() - began))
    return best
