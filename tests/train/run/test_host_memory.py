"""What a training has in memory on the host does not grow with its steps.

Slow: each test trains 1,200 steps in a process of its own, as what is held of a step is only seen
over many.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.forking import TRAINING, run

pytestmark = pytest.mark.slow

STEPS = 1200
_CODE = """
import json, sys
from pathlib import Path

import jax

from tests.bench.memory import anonymous_bytes
from tests.train.conftest import pretrain_in
from vitctl.events import Trained
from vitctl.train.run.reporting import Reporter

folder, steps, leaks = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "leak"
stepped, leaked, rows = Reporter.stepped, [], []

def leaking(self, step, stats):
    leaked.append(stats)
    stepped(self, step, stats)

if leaks:
    Reporter.stepped = leaking

def sample(event):
    if isinstance(event, Trained):
        counts = anonymous_bytes(), sys.getallocatedblocks(), len(jax.live_arrays())
        rows.append((event.step, *counts))

often = {"devices": 1, "log_every": 20, "checkpoint_every": 100, "tensorboard": False}
pretrain_in(folder)(steps, emit=sample, runtime=often)
print(json.dumps(rows))
"""


def growth_a_step(folder, *, leak: bool) -> dict[str, float]:
    """Of a process that trains, over the last two thirds of its steps: a line by least squares."""
    done = run(_CODE, folder, STEPS, "leak" if leak else "", preload=TRAINING, check=True)
    rows = np.array(json.loads(done.stdout), np.float64)
    late = rows[rows[:, 0] > STEPS / 3]
    assert len(late) == 40
    slopes = np.polyfit(late[:, 0], late[:, 1:], deg=1)[0]
    return dict(zip(("bytes", "objects", "arrays"), slopes, strict=True))


def test_memory_of_the_host_does_not_grow_with_steps(tmp_path):
    """Nothing of a step stays: no array, and less than 4 KiB (40 MB in 10,000 steps). Objects are
    1.2 a step here, and none later: caches of jax that are still filling, and rows of this test."""
    growth = growth_a_step(tmp_path, leak=False)
    assert abs(growth["arrays"]) < 0.01
    assert growth["objects"] < 3
    assert growth["bytes"] < 4096


def test_the_criterion_sees_the_stats_of_all_steps(tmp_path):
    """Losses and norms, held by accident, are five arrays a step. What was read as a number has one
    more: whether they are finite, of each step, and four numbers of a row, every 20 steps."""
    growth = growth_a_step(tmp_path, leak=True)
    assert growth["arrays"] == pytest.approx(5 + 1 + 4 / 20, abs=0.01)
    assert growth["objects"] > 6
    assert growth["bytes"] > 4096
