"""Twelve training steps against the public reference's numbers (see tests/reference)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import Array

from vitctl import losses
from vitctl.interop import big_vision
from vitctl.model import vit
from vitctl.model.config import ModelConfig
from vitctl.optim import schedules
from vitctl.optim.config import OptimConfig
from vitctl.optim.optimizer import Stats, make, stats

REFERENCE = Path(__file__).parents[1] / "reference" / "reference_small.npz"
STEPS = 12
MODEL = ModelConfig(
    width=64, depth=2, mlp_dim=128, heads=2, patch=8, resolution=32, classes=10, head="map"
)
SCHEDULE = schedules.ScheduleConfig(
    peak_lr=2e-3, warmup_steps=3, timescale_steps=4, total_steps=STEPS, cooldown_steps=4
)
NOISE = "key/bias"
"""A softmax does not change when a constant is added to all its inputs, so the gradient of a key
bias is rounding noise, which Adafactor scales up to a full step: those weights cannot agree."""

Params = dict[str, Any]


class Run(NamedTuple):
    losses: list[float]
    stats: list[Stats]
    first_gradients: dict[str, np.ndarray]
    final: dict[str, np.ndarray]


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    with np.load(REFERENCE) as arrays:
        return dict(arrays)


def _named(reference: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {n.removeprefix(prefix): a for n, a in reference.items() if n.startswith(prefix)}


@pytest.fixture(scope="module")
def run(reference: dict[str, np.ndarray]) -> Run:
    initial = big_vision.from_big_vision(_named(reference, "map/init/"), config=MODEL)
    params = jax.tree.map(jnp.asarray, initial)
    optimizer = make(OptimConfig(wd_head=3.0, wd_body=0.03), params=params)

    @jax.jit
    def train_step(params: Params, state: Any, images: Array, labels: Array, lr: Array) -> Any:
        def loss(params: Params) -> Array:
            logits = vit.apply(params, images, config=MODEL).logits
            return jnp.mean(losses.sigmoid_xent(logits, targets=labels))

        value, grads = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(grads, state, params, lr=lr)
        norms = stats(grads=grads, updates=updates, params=params)
        return optax.apply_updates(params, updates), state, value, norms, grads

    state = jax.jit(optimizer.init)(params)
    run = Run(losses=[], stats=[], first_gradients={}, final={})
    for step in range(STEPS):
        images = jnp.asarray(reference["images"][step])
        labels = jnp.asarray(reference["labels"][step])
        lr = np.float32(schedules.value(SCHEDULE, step=step))
        params, state, loss, norms, grads = train_step(params, state, images, labels, lr)
        run.losses.append(float(loss))
        run.stats.append(norms)
        if step == 0:
            run.first_gradients.update(big_vision.to_big_vision(grads))
    run.final.update(big_vision.to_big_vision(params))
    return run


def test_losses_and_norms_of_all_steps(run: Run, reference: dict[str, np.ndarray]) -> None:
    np.testing.assert_allclose(run.losses, reference["map/losses"], rtol=3e-6)
    grad_norms = [float(s.grad_norm) for s in run.stats]
    np.testing.assert_allclose(grad_norms, reference["map/grad_norms"], rtol=3e-6)
    update_norms = [float(s.update_norm) for s in run.stats]
    np.testing.assert_allclose(update_norms, reference["map/update_norms"], rtol=1e-3)
    # The key biases' steps (see NOISE) are in this norm, hence the wider tolerance.
    assert update_norms[0] == 0, "the first update of a warmup"


def test_first_gradients(run: Run, reference: dict[str, np.ndarray]) -> None:
    for name, expected in _named(reference, "map/grad0/").items():
        apart = np.abs(run.first_gradients[name] - expected).max()
        assert apart <= 1e-5 * np.abs(expected).max(), name


def test_final_weights(run: Run, reference: dict[str, np.ndarray]) -> None:
    """Within the rounding of bf16 momentum.

    Both sides round alike, so they differ only where fp32 noise tips a rounding to the other
    side: by 2^-8 of a momentum, that is of a step, now and then.
    """
    initial = _named(reference, "map/init/")
    for name, expected in _named(reference, "map/final/").items():
        if name.endswith(NOISE):
            continue
        change = np.abs(expected - initial[name]).max()
        apart = np.abs(run.final[name] - expected)
        assert apart.max() <= 2**-8 * change, name
        assert apart.mean() <= 2**-14 * change, name
