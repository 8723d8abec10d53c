"""Runs of a study that differ in numbers alone are one program, and learn by their own numbers."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from tests.train.conftest import ADAFACTOR, config
from vitctl.settings.trees import merge
from vitctl.sharding import layout as layouts
from vitctl.train.program import run_numbers, state
from vitctl.train.program.lowered import lower
from vitctl.train.program.step import make_step

MIXED: dict[str, Any] = {"data": {"augment": {"mixup_alpha": 0.2}}}
DIFFERENT: dict[str, dict[str, Any]] = {
    "seed": {"seed": 7},
    "seed of 64 bits": {"seed": 2**40 + 5},
    "name": {"name": "another"},
    "learning rate": {"schedule": {"peak_lr": 0.003}},
    "warm-up": {"schedule": {"warmup_steps": 4}},
    "cooldown": {"schedule": {"cooldown_steps": 3}},
    "steps": {"schedule": {"total_steps": 80}},
    "head decay": {"optim": {"wd_head": 0.3}},
    "body decay": {"optim": {"wd_body": 0.001}},
}


def text(**changes: Any) -> str:
    cfg = config(8, **merge({}, MIXED, ADAFACTOR, changes))
    return lower(cfg, layout=layouts.make(devices=1), remat="none").as_text()


@pytest.mark.parametrize("changes", DIFFERENT.values(), ids=DIFFERENT)
def test_runs_that_differ_in_a_number_alone_have_one_program(changes):
    assert text(**changes) == text()


def test_whether_there_is_a_decay_is_of_the_program():
    """`u + 0 · p` is not u where a parameter is infinite."""
    assert text(optim={"wd_head": 0.0}) != text()


LR = 0.01


def test_each_learns_by_its_own_numbers():
    """From the same weights and images, one step of SGD: by another decay a kernel differs by
    lr · (difference of decays) · itself, and nothing else does; by another seed the mixture does.
    """
    layout = layouts.make(devices=1)
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (16, 16, 16, 3)).astype(np.float32)
    labels = rng.integers(0, 3, (16, 1)).astype(np.int32)
    base = config(8, **MIXED)
    before = jax.tree.map(np.asarray, state.fresh(base, layout=layout).params)
    # A classifier begins at zero, which no decay changes.
    kernel = rng.normal(size=before["head"]["kernel"].shape).astype(np.float32)
    before = before | {"head": before["head"] | {"kernel": kernel}}

    def after(**changes: Any) -> tuple[Any, dict[str, Any], float]:
        cfg = config(8, **merge({}, MIXED, changes))
        step = make_step(cfg, layout=layout, remat="none")
        params = layout.place(before, layout.params(before))
        scalars = layout.place((np.float32(LR), np.int32(5), run_numbers.of(cfg)))
        given = (*layout.place_batch((images, labels)), *scalars)
        current, stats = step(state.with_params(cfg, params, layout=layout), *given)
        return step, _named(current.params), float(stats.loss)

    step, one, loss = after()
    for name, decayed in (("wd_head", is_head), ("wd_body", is_body)):
        same_step, other, same_loss = after(optim={name: 0.9})
        assert same_step is step
        assert same_loss == loss
        difference = 0.9 - getattr(base.optim, name)
        for parameter, value in _named(before).items():
            moved = -LR * difference * value if decayed(parameter) else np.zeros_like(value)
            np.testing.assert_allclose(other[parameter] - one[parameter], moved, atol=3e-7)
    assert after(seed=7)[2] != loss
    assert step._cache_size() == 1


def is_head(parameter: str) -> bool:
    return parameter == "head/kernel"


def is_body(parameter: str) -> bool:
    return parameter.endswith("/kernel") and not is_head(parameter)


def _named(params: Any) -> dict[str, Any]:
    leaves = jax.tree_util.tree_flatten_with_path(params)[0]
    return {"/".join(str(key.key) for key in path): np.asarray(x) for path, x in leaves}
