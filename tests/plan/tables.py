"""The tables of docs/guide/plan.md.

python -m tests.plan.tables            both, the second by compiling: some minutes a chip
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from pathlib import Path

from stages.plan.run import run
from stages.plan.spec import Inputs, PlanRuntime
from tests.plan import paper_costs
from vitctl.plan import calibration
from vitctl.plan.answer import Answer
from vitctl.plan.topology import parse

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "plan.md"

CASES = ("v4:8x8x4", "v5e:16x16", "v5p:4x8x8", "v6e:16x16")
"""256 chips of each; g/14 with 32 images on each."""


def calibrated() -> list[str]:
    """A row for each of the paper's models."""
    errors = calibration.leave_one_out()
    lines = [
        "| model | measured | roofline | operations + links | share | left out |",
        "|" + "---|" * 6,
    ]
    for row in sorted(calibration.paper_models(), key=lambda r: -r.images_per_second):
        operations = row.images / calibration.operations_seconds(row.cost)
        lines.append(
            f"| {row.model} | {row.images_per_second:.4g} "
            f"| {row.images / row.cost.least_seconds:.4g} | {operations:.4g} "
            f"| {row.share:.3f} | {errors[row.model] - 1:+.1%} |"
        )
    return lines


def off_by() -> str:
    """How good the calibration is, and how good the roofline alone would be: root mean squares."""
    rows = calibration.paper_models()
    roofline = {r.model: r.images_per_second * r.cost.least_seconds / r.images for r in rows}
    alone = [
        math.prod(v for other, v in roofline.items() if other != model) ** (1 / (len(rows) - 1))
        / roofline[model]
        for model in roofline
    ]
    ours, bare = (
        math.sqrt(statistics.fmean((ratio - 1) ** 2 for ratio in ratios))
        for ratios in (calibration.leave_one_out().values(), alone)
    )
    return (
        f"{100 * ours:.1f} % in the root mean square, where the roofline alone would be off by "
        f"{100 * bare:.0f} %"
    )


def published() -> list[str]:
    """The cases that the guide has a row for."""
    text = GUIDE.read_text()
    return [name for name in CASES if f"| {name} |" in text]


def case(name: str) -> Answer:
    """g/14 at 32 images on each of 256 chips."""
    topology = parse(name)
    cfg = paper_costs.config("g/14", batch=32 * topology.devices)
    runtime = PlanRuntime(remat="full", max_compiles=1)
    return run(cfg, Inputs(topology), runtime=runtime)


def chips(answers: Iterable[Answer]) -> list[str]:
    """A row for each answer."""
    lines = [
        "| slice | mesh | remat | memory | fits | images/s a device | MFU |",
        "|" + "---|" * 7,
    ]
    for result in answers:
        rate, available = result.rate, result.memory.available or 0
        lines.append(
            f"| {result.topology} | {result.mesh} | {result.remat} "
            f"| {result.memory.peak / 2**30:.1f} of {available / 2**30:.1f} GiB "
            f"| {'yes' if result.fits else 'no'} "
            + (
                f"| {rate.predicted:.3g} ({rate.low:.3g} to {rate.high:.3g}) | {rate.mfu:.0%} |"
                if rate.predicted and rate.low and rate.high and rate.mfu
                else "| | |"
            )
        )
    return lines


if __name__ == "__main__":
    print(off_by(), *calibrated(), sep="\n", flush=True)
    print("\n".join(chips(map(case, CASES))))
