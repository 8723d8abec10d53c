"""When things happen, and what a step is said to need."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.train.conftest import config
from vitctl.errors import DoesNotFitError
from vitctl.model.config import from_name
from vitctl.sharding import layout as layouts
from vitctl.train import memory, state
from vitctl.train.cadence import Cadence
from vitctl.train.config import TrainRuntime


def test_the_paper_s_cadence():
    cadence = Cadence.of(TrainRuntime(), start=0, total=1_000_000)
    assert (cadence.log, cadence.save, cadence.evaluate) == (50, 1000, 1000)


@given(st.integers(1, 10**6), st.integers(0, 10**5))
def test_the_end_is_always_due(length, start):
    cadence = Cadence.of(TrainRuntime(), start=start, total=start + length)
    for every in (cadence.log, cadence.save, cadence.evaluate, 0):
        assert cadence.due(every, start + length)


def test_what_stays():
    cadence = Cadence.of(
        TrainRuntime(checkpoint_every=1, keep_every=4, keep_newest=2), start=0, total=100
    )
    assert cadence.to_drop(range(1, 11), keep=[5]) == [1, 2, 3, 6, 7]


def test_weights_and_optimizer_are_counted_exactly():
    cfg = config(4)
    shapes = state.shapes(cfg)
    need = memory.need(cfg, state=shapes, images_per_device=1, remat="none")
    made = state.fresh(cfg, layout=layouts.make(devices=1))
    for counted, tree in ((need.parameters, made.params), (need.optimizer, made.opt)):
        assert counted == sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(tree))


def test_more_images_and_less_recomputation_need_more():
    cfg = config(4)
    shapes = state.shapes(cfg)

    def total(images, remat):
        return memory.need(cfg, state=shapes, images_per_device=images, remat=remat).total

    assert total(8, "full") < total(8, "none") < total(16, "none")


def test_remat_is_chosen_where_it_is_needed():
    cfg = config(4)
    shapes = state.shapes(cfg)
    full = memory.need(cfg, state=shapes, images_per_device=64, remat="full").total
    for available, expected in ((None, "none"), (10**12, "none"), (full, "full")):
        remat, _ = memory.choose(
            cfg, state=shapes, images_per_device=64, available=available, remat="auto"
        )
        assert remat == expected
    with pytest.raises(DoesNotFitError, match="is free") as caught:
        memory.choose(cfg, state=shapes, images_per_device=64, available=full - 1, remat="auto")
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("--batch")


def test_the_paper_s_largest_does_not_fit_a_laptop():
    """ViT-G/14 with Adafactor: 7.0 GiB of weights (1.88e9 fp32), half of that optimizer."""
    model = from_name("G14", classes=1000)
    cfg = config(4).model_copy(update={"model": model, "name": "G/14"})
    shapes = state.shapes(cfg)
    need = memory.need(cfg, state=shapes, images_per_device=0, remat="full")
    assert need.parameters / 2**30 == pytest.approx(7.01, abs=0.01)
    assert need.optimizer / need.parameters == pytest.approx(0.504, abs=0.002)
    with pytest.raises(DoesNotFitError, match="is free"):
        memory.choose(cfg, state=shapes, images_per_device=4096, available=16 * 2**30, remat="auto")


def test_activations_of_one_block_by_hand():
    """16 tokens of width 16, MLP 32, 2 heads, fp32, no remat: see the docstring's list."""
    model = config(4).model.model_copy(update={"resolution": 32, "depth": 1})
    block = 16 * (9 * 16 + 2 * 32) * 4 + 2 * 16 * 16 * 4
    ends = 3 * 16 * 16 * 4 + 3 * 4 * 4
    assert memory.activation_bytes(model, dtype_bytes=4, remat="none") == block + ends


@given(
    st.integers(1, 300),
    st.integers(0, 300),
    st.integers(1, 50),
    st.integers(1, 50),
    st.integers(0, 50),
)
def test_the_pauses_to_come_are_those_that_come(total, step, save, keep, evaluate):
    cadence = Cadence(total, log=1, evaluate=evaluate, save=save, keep=keep, newest=2)
    rest = range(min(step, total) + 1, total + 1)
    assert cadence.pauses_after(min(step, total)) == {
        "checkpoint": sum(cadence.saves(s) for s in rest),
        "evaluation": sum(cadence.due(evaluate, s) for s in rest),
    }
