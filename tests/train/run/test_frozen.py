"""Runs with frozen parameters: their checkpoints, and those of when all parameters had a state."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from tests.train.conftest import config, contents
from vitctl.checkpoints import arrays
from vitctl.sharding import layout as layouts
from vitctl.sharding.spec import parse
from vitctl.train.program import run_numbers, state
from vitctl.train.program.step import make_step
from vitctl.train.run import beginning

FREEZE = ["embedding/.*", "blocks/0/.*"]
OPTIM = {"name": "adafactor", "freeze": FREEZE}


def _arrays(tree) -> dict[str, np.ndarray]:
    return {name: np.asarray(leaf) for name, leaf in arrays.named(tree).items()}


def _restored(cfg, checkpoint):
    return beginning.of_checkpoint(cfg, checkpoint).state(layouts.make(devices=1))


def test_a_run_that_is_continued_is_the_run_that_was_not_interrupted(trained, pretrain):
    once = trained(8, store="once", optim=OPTIM)
    pretrain(4, store="twice", optim=OPTIM)
    assert contents(pretrain(8, store="twice", optim=OPTIM)) == contents(once)


def test_the_state_of_all_parameters_is_that_of_the_trained_ones(trained):
    """A checkpoint with state for all parameters, as frozen ones had before."""
    whole = trained(4, optim={"name": "adafactor"})
    before = _arrays(_restored(config(8, optim={"name": "adafactor"}), whole).opt)
    after = _arrays(_restored(config(8, optim=OPTIM), whole).opt)
    assert not any("embedding" in name for name in after)
    compared = 0
    for name, own in after.items():
        part, _, rest = name.partition("/")
        if part == "layers":
            group, _, rest = rest.partition("/")
            assert group == "1"
            np.testing.assert_array_equal(own, before[f"layers/{rest}"][1:], err_msg=name)
        else:
            np.testing.assert_array_equal(own, before[name], err_msg=name)
        compared += bool(np.any(own))
    assert compared > 10


def test_what_was_frozen_and_is_trained_begins_with_a_new_state(trained):
    part = trained(4, optim=OPTIM)
    stored = _arrays(_restored(config(8, optim=OPTIM), part).opt)
    other = config(8, optim={"name": "adafactor", "freeze": ["position", "blocks/1/mlp/.*"]})
    after = _arrays(_restored(other, part).opt)
    new = _arrays(state.fresh(other, layout=layouts.make(devices=1)).opt)
    assert after.keys() == new.keys()
    for name in after:
        _, group, rest = [*name.split("/", 2), ""][:3]
        if not name.startswith("layers/"):
            np.testing.assert_array_equal(after[name], stored.get(name, new[name]), err_msg=name)
        elif group == "0-1":  # block 0 was frozen
            np.testing.assert_array_equal(after[name][0], new[name][0], err_msg=name)
            np.testing.assert_array_equal(after[name][1], stored[f"layers/1/{rest}"][0])
        else:
            assert group == "0"
            np.testing.assert_array_equal(after[name], new[name], err_msg=name)


@pytest.mark.parametrize("mesh", ["data=2", "data=1,fsdp=2", "data=2,zero=2"])
def test_a_step_on_two_devices_is_that_on_one(mesh):
    cfg = config(4, optim={"name": "sgd", "freeze": FREEZE, "momentum_dtype": "float32"})
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (16, 16, 16, 3)).astype(np.float32)
    labels = rng.integers(0, 3, (16, 1)).astype(np.int32)
    trees = []
    for layout in (layouts.make(devices=1), layouts.make(parse(mesh), devices=2)):
        step = make_step(cfg, layout=layout, remat="none")
        current = state.fresh(cfg, layout=layout)
        for index in range(2):
            batch = layout.place_batch((images, labels))
            scalars = (np.float32(0.1), np.int32(index), run_numbers.of(cfg))
            current, _ = step(current, *batch, *layout.place(scalars))
        trees.append(_arrays(current.params) | _arrays(current.opt))
    one, two = trees
    assert one.keys() == two.keys()
    for name in one:
        # fp32, summed in another order.
        np.testing.assert_allclose(two[name], one[name], rtol=1e-4, atol=1e-6, err_msg=name)
    assert jax.device_count() >= 2
