"""Frozen parts cost no memory but their weights: by what XLA says of the compiled step."""

from __future__ import annotations

import jax
import pytest

from tests.train.conftest import config
from vitctl.sharding import layout as layouts
from vitctl.train.program import footprint, lowered, state

DEPTH = 8
ALL_BUT_THE_LAST = ["embedding/.*", "position", f"blocks/[0-{DEPTH - 2}]/.*"]
MODEL = {"depth": DEPTH, "width": 64, "mlp_dim": 256, "resolution": 32}
# Images, labels, rate, step and the state's flag.
BATCH = 16 * (32 * 32 * 3 * 4 + 4) + 9


def _bytes(tree) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _memory(freeze: list[str]):
    """The settings of a step, and the memory of its program."""
    cfg = config(4, model=MODEL, optim={"name": "adam", "freeze": freeze}, data={"batch": 16})
    one = layouts.make(devices=1)
    step = lowered.lower(cfg, layout=one, remat="none").compile()
    return cfg, one, step.memory_analysis()


@pytest.mark.slow  # two programs of eight blocks, which no other test compiles: 6 CPU-s
def test_a_step_of_the_last_block_alone_has_an_eighth_of_the_memory():
    _, _, whole = _memory([])
    cfg, layout, frozen = _memory(ALL_BUT_THE_LAST)
    shapes = state.shapes(cfg)
    # No moments of what is not trained.
    assert frozen.argument_size_in_bytes == pytest.approx(
        _bytes(shapes.params) + _bytes(shapes.opt) + BATCH, abs=64
    )
    assert _bytes(shapes.opt) < 0.15 * _bytes(
        state.shapes(config(4, model=MODEL, optim={"name": "adam"})).opt
    )
    # No activations and no gradients either: of eight blocks those of one, and some to spare.
    assert frozen.temp_size_in_bytes < whole.temp_size_in_bytes / 6
    need = footprint.need(cfg, spec=layout.spec, remat="none")
    assert frozen.temp_size_in_bytes < need.activations + need.gradients + need.temporaries
