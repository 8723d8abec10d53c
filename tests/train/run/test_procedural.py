"""Runs whose blocks learn sequences before the first image."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from tests.train.conftest import config
from vitctl.artifacts.kinds import CHECKPOINT
from vitctl.checkpoints import arrays
from vitctl.data.config import ProceduralConfig
from vitctl.errors import DivergedError, UsageError
from vitctl.events import Note, Progress, silent
from vitctl.optim import frozen
from vitctl.sharding import layout as layouts
from vitctl.sharding.spec import MeshSpec
from vitctl.train.program import footprint
from vitctl.train.program import state as states
from vitctl.train.program.footprint import MemoryPlan
from vitctl.train.run import beginning, procedural

COPY = {"steps": 12, "language": "copy", "kinds": 2, "peak_lr": 0.3}
"""Four symbols, in grids of 2 x 2: two, and the same two again."""


def warmed(cfg, *, devices=1, emit=silent, microbatch=16):
    layout = layouts.make(devices=devices)
    spec = MeshSpec().resolve(devices=devices)
    need = footprint.need(cfg, spec=spec, remat="none", microbatch=microbatch)
    memory = MemoryPlan(spec, "none", microbatch, need)
    assert cfg.procedural is not None
    return procedural.warmed(cfg, cfg.procedural, layout=layout, memory=memory, emit=emit)


@pytest.fixture(scope="module")
def state_and_events():
    events = []
    return warmed(config(8, procedural=COPY), emit=events.append), events


def test_only_the_blocks_are_trained(state_and_events):
    state, _ = state_and_events
    fresh = states.fresh(config(8), layout=layouts.make(devices=1))
    before, after = (arrays.named(tree.params) for tree in (fresh, state))
    assert before.keys() == after.keys()
    for name in before:
        same = np.array_equal(before[name], after[name])
        assert same != name.startswith("blocks/") or "key/bias" in name, name
    for mine, new in zip(jax.tree.leaves(state.opt), jax.tree.leaves(fresh.opt), strict=True):
        np.testing.assert_array_equal(mine, new)


def test_progress_is_told_and_the_loss_at_the_end(state_and_events):
    _, events = state_and_events
    steps = [event.done for event in events if isinstance(event, Progress)]
    assert steps == [1, 10, 12]
    (note,) = (event.text for event in events if isinstance(event, Note))
    assert note.startswith("the blocks have learnt copy sequences for 12 steps: loss 1.")
    assert note.endswith("(chance 1.386)")  # ln 4


def test_devices_and_microbatches_come_to_the_same(state_and_events):
    state, _ = state_and_events
    other = warmed(config(8, procedural=COPY), devices=2, microbatch=4)
    for mine, whole in zip(
        jax.tree.leaves(other.params), jax.tree.leaves(state.params), strict=True
    ):
        np.testing.assert_allclose(mine, whole, atol=2e-4)


def test_a_rate_that_diverges_is_an_error():
    rate = {**COPY, "peak_lr": 1e30, "steps": 10}
    with pytest.raises(DivergedError, match="the loss on sequences is not finite by step 10"):
        warmed(config(8, procedural=rate))


def test_a_run_begins_with_the_sequences_and_counts_their_cost(trained):
    cfg = config(2, procedural=COPY)
    with_it, without = trained(2, store="with", procedural=COPY), trained(2)
    assert with_it.manifest.id != without.manifest.id
    own = procedural.settings(cfg, ProceduralConfig(**COPY))
    extra = 12 * 16 * frozen.trained_flops(own.model, own.optim)
    costs = [CHECKPOINT.summary(checkpoint).flops for checkpoint in (with_it, without)]
    assert costs[0] - costs[1] == extra == procedural.flops(cfg, ProceduralConfig(**COPY))
    learnt, plain = (
        arrays.named(beginning.of_checkpoint(cfg, checkpoint).state(layouts.make(devices=1)).params)
        for checkpoint in (with_it, without)
    )
    name = next(name for name in learnt if name.endswith("mlp/up/kernel"))
    assert np.abs(np.asarray(learnt[name]) - np.asarray(plain[name])).max() > 0.01


def test_weights_of_a_checkpoint_are_not_trained_on_sequences(trained):
    cfg, checkpoint = config(8, procedural=COPY), trained(2)
    for begin in (beginning.continued, lambda *a: beginning.warm(*a, classes=["a"])):
        with pytest.raises(UsageError, match="procedural is of a run from random weights"):
            begin(cfg, checkpoint)
