"""Runs whose blocks learn sequences before the first image."""

from __future__ import annotations

import re

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
from vitctl.recipes import branching, finetuning, going_on
from vitctl.recipes.pretraining import ImageFacts
from vitctl.settings.overrides import Overrides
from vitctl.sharding import layout as layouts
from vitctl.sharding.spec import MeshSpec
from vitctl.train.program import footprint
from vitctl.train.program import state as states
from vitctl.train.program.footprint import MemoryPlan
from vitctl.train.run import beginning, procedural
from vitctl.train.telemetry.goodput import Meter

COPY = {"steps": 80, "language": "copy", "kinds": 2, "peak_lr": 0.3}
"""Four symbols, in grids of 2 x 2: two, and the same two again."""


def warmed(cfg, *, devices=1, emit=silent, microbatch=16, after_step=lambda done: None, meter=None):
    layout = layouts.make(devices=devices)
    spec = MeshSpec().resolve(devices=devices)
    need = footprint.need(cfg, spec=spec, remat="none", microbatch=microbatch)
    memory = MemoryPlan(spec, "none", microbatch, need)
    assert cfg.procedural is not None
    return procedural.warmed(
        cfg,
        cfg.procedural,
        layout=layout,
        memory=memory,
        meter=meter or Meter(),
        after_step=after_step,
        emit=emit,
    )


@pytest.fixture(scope="module")
def state_and_events():
    events, meter = [], Meter()
    return warmed(config(8, procedural=COPY), emit=events.append, meter=meter), events, meter


def test_only_the_blocks_are_trained(state_and_events):
    state, *_ = state_and_events
    fresh = states.fresh(config(8), layout=layouts.make(devices=1))
    before, after = (arrays.named(tree.params) for tree in (fresh, state))
    assert before.keys() == after.keys()
    for name in before:
        same = np.array_equal(before[name], after[name])
        assert same != name.startswith("blocks/") or "key/bias" in name, name
    for mine, new in zip(jax.tree.leaves(state.opt), jax.tree.leaves(fresh.opt), strict=True):
        np.testing.assert_array_equal(mine, new)


def test_the_blocks_learn_to_copy_and_progress_is_told(state_and_events):
    _, events, _ = state_and_events
    steps = [event.done for event in events if isinstance(event, Progress)]
    assert steps == [1, *range(10, 81, 10)]
    (note,) = (event.text for event in events if isinstance(event, Note))
    numbers = re.fullmatch(
        r"the blocks have learnt copy sequences for 80 steps: loss (\S+) to (\S+) a hidden symbol "
        r"\(chance 1.386\)",  # ln 4
        note,
    )
    assert numbers is not None
    first, last = map(float, numbers.groups())
    assert first > 1
    assert last < 0.2


def test_its_time_is_that_of_steps(state_and_events):
    *_, meter = state_and_events
    assert meter.seconds["step"] > 0
    assert meter.seconds["compile"] > 0


def test_who_is_told_of_a_step_may_end_it():
    def after_step(done):
        if done == 3:
            raise KeyError(done)

    with pytest.raises(KeyError, match="3"):
        warmed(config(8, procedural=COPY), after_step=after_step)


def test_devices_and_microbatches_come_to_the_same(state_and_events):
    del state_and_events  # whose program is the first of the two
    short = config(8, procedural={**COPY, "steps": 10})
    state, other = warmed(short), warmed(short, devices=2, microbatch=4)
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
    # Four places of a sequence are answered for, with four symbols; one is counted by the model.
    answers = 3 * 2 * 16 * 4 * 3
    extra = 80 * 16 * (frozen.trained_flops(own.model, own.optim) + answers)
    costs = [CHECKPOINT.summary(checkpoint).flops for checkpoint in (with_it, without)]
    assert costs[0] - costs[1] == extra == procedural.flops(cfg, ProceduralConfig(**COPY))
    learnt, plain = (
        arrays.named(beginning.of_checkpoint(cfg, checkpoint).state(layouts.make(devices=1)).params)
        for checkpoint in (with_it, without)
    )
    name = next(name for name in learnt if name.endswith("mlp/up/kernel"))
    assert np.abs(np.asarray(learnt[name]) - np.asarray(plain[name])).max() > 0.01


def test_what_begins_from_such_a_run_learns_no_sequences(trained):
    checkpoint = trained(2, procedural=COPY)
    facts = ImageFacts(40, 4, eval_split="val", made_up=True)
    cooled = branching.cooled(checkpoint, steps=2, shape="linear").tree
    tuned = finetuning.resolve(checkpoint, images=facts, duration=(2, "steps"), overrides={}).tree
    assert cooled["procedural"] is None
    assert "procedural" not in tuned
    further = going_on.resolve(
        going_on.Source(checkpoint, None, facts), Overrides(), model=None, recipe=None, length=None
    )
    assert further.cfg.procedural is None


def test_it_is_refused_where_a_run_begins_from_a_checkpoint():
    with pytest.raises(UsageError, match="procedural is of a run from random weights"):
        branching.check_no_sequences({"procedural": {"steps": 5}})
    branching.check_no_sequences({"procedural": None})


def test_weights_of_a_checkpoint_are_not_trained_on_sequences(trained):
    cfg, checkpoint = config(8, procedural=COPY), trained(2)
    for begin in (beginning.continued, lambda *a: beginning.warm(*a, classes=["a"])):
        with pytest.raises(UsageError, match="procedural is of a run from random weights"):
            begin(cfg, checkpoint)
