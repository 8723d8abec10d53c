"""`tests.bench.steps`: a worker without TensorFlow and array_record, and the table by hand."""

from __future__ import annotations

import sys

import pytest

from tests.bench import steps
from tests.bench.steps import Contestant, Measured, TooLargeError

# A process whose imports fail as if neither were installed.
_BLOCKED = """
import sys
sys.modules["tensorflow"] = sys.modules["array_record"] = None
from tests.bench import steps_vitctl as own
own.serve(own.VitctlStep, device=own.device, is_too_large=own.is_too_large)
"""
_TINY = {"width": 16, "depth": 1, "heads": 2, "mlp_dim": 32, "resolution": 32, "classes": 3}
OURS = Contestant(
    "vitctl", (sys.executable, "-c", _BLOCKED), {"optimizer": "adafactor", "changes": _TINY}
)


def test_a_tiny_step_is_measured_where_neither_tensorflow_nor_array_record_is():
    (result,) = steps.side_by_side(
        [OURS], model="S16", batch=2, rounds=1, precision="float32", seconds=0.01
    )
    assert result.wall_s[0] > 0
    assert result.cpu_s[0] > 0
    assert result.matmul_flops_per_s > 1e8
    assert result.peak_bytes > 50 * 2**20
    assert sum(result.kinds.values()) == pytest.approx(1)
    assert result.kinds["matrix products"] > 0


def test_what_has_no_room_is_said_and_the_next_batch_tried():
    """A program that has room for 8 images and no more."""
    code = (
        "from tests.bench import steps_worker\n"
        "class Small:\n"
        "    parameters = 1\n"
        "    def __init__(self, *, batch, **options):\n"
        "        if batch > 8:\n"
        "            raise MemoryError('no room')\n"
        "    def steps(self, count): pass\n"
        "steps_worker.serve(Small, device=dict, is_too_large=lambda e: type(e) is MemoryError)\n"
    )
    small = Contestant("small", (sys.executable, "-c", code), {})
    with pytest.raises(TooLargeError, match="no room"):
        steps.made(small, model="S16", batch=9)
    worker = steps.made(small, model="S16", batch=8)
    worker.end()
    assert steps.largest(small, "S16", 9, precision="float32", remat="none") is None


def test_the_table_is_medians_and_ratios_of_rounds():
    def measurement(program, batch, wall):
        return Measured(
            program,
            "S16",
            batch,
            {"remat": "none"},
            wall_s=wall,
            cpu_s=[2 * second for second in wall],
            peak_bytes=3 * 2**29,
            matmul_flops_per_s=1e12,
        )

    results = [measurement("vitctl", 16, [2.0, 4.0, 1.0]), measurement("timm", 32, [2.0, 6.0, 1.0])]
    *_, ours, theirs = steps.as_table(results, flops={"S16": 25 * 10**9})
    assert ours == "| S16 | vitctl | 16 | 2,000.0 | 8.0 | 4.00 | 1.5 GiB | 20% | 1 |"
    assert (
        theirs
        == "| S16 | timm | 32 | 2,000.0 | 16.0 | 4.00 | 1.5 GiB | 40% | 0.50 (0.50 to 0.75) |"
    )
