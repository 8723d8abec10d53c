"""The state is given up to the step that makes the next one: there is never a second copy of it."""

from __future__ import annotations

import jax
import pytest

from tests.train.conftest import ADAFACTOR, config
from vitctl.sharding import layout as layouts
from vitctl.train.config import TrainConfig
from vitctl.train.program import state
from vitctl.train.program.lowered import lower

AVERAGED = {"optim": {"name": "adafactor", "ema": 0.99, "skip_spikes": 6.0}}


def bytes_of_state(cfg: TrainConfig) -> int:
    return sum(array.size * array.dtype.itemsize for array in jax.tree.leaves(state.shapes(cfg)))


@pytest.mark.parametrize("changes", [ADAFACTOR, AVERAGED], ids=["adafactor", "average, spikes"])
def test_every_array_of_the_state_is_written_where_the_one_before_lies(changes):
    cfg = config(8, **changes)
    step = lower(cfg, layout=layouts.make(devices=1), remat="none").compile()
    memory = step.memory_analysis()
    aliased = memory.alias_size_in_bytes
    assert aliased == bytes_of_state(cfg)
    # What is not the next state is the scalars that are reported.
    assert 0 < memory.output_size_in_bytes - aliased < 4096
