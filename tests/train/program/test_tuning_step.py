"""A train step with all that fine-tuning may ask for, against NumPy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from tests.train.conftest import config
from vitctl import losses
from vitctl.model import vit
from vitctl.optim.optimizer import names
from vitctl.sharding import layout as layouts
from vitctl.train.program import run_numbers, state
from vitctl.train.program.step import make_step

WEIGHTS = (0.5, 1.0, 2.5, 0.0)


def test_loss_frozen_weights_and_mean_are_those_computed_by_hand():
    cfg = config(
        8,
        loss="softmax",
        label_smoothing=0.1,
        data={"augment": {"mixup_alpha": 0.4}},
        optim={
            "name": "adafactor",
            "ema": 1.0,
            "layer_decay": 0.8,
            "freeze": ["embedding/.*", "blocks/0/.*"],
        },
    )
    layout = layouts.make(devices=1)
    step = make_step(cfg, layout=layout, remat="none", class_weights=WEIGHTS)
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (16, 16, 16, 3)).astype(np.float32)
    labels = rng.integers(0, 3, (16, 1)).astype(np.int32)

    current = state.fresh(cfg, layout=layout)
    trajectory = [jax.tree.map(np.asarray, current.params)]
    stats = []
    for index in range(3):
        arrays = layout.place_batch((images, labels))
        scalars = layout.place((np.float32(0.01), np.int32(index), run_numbers.of(cfg)))
        current, numbers = step(current, *arrays, *scalars)
        trajectory.append(jax.tree.map(np.asarray, current.params))
        stats.append(numbers)

    # The first loss, from the logits of the weights it began with.
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(cfg.seed), 1), 0)
    share = float(losses.mixup_weight(key, alpha=0.4))
    mixed = share * images + np.float32(1 - share) * np.roll(images, 1, axis=0)
    first = jax.tree.map(jnp.asarray, trajectory[0])
    logits = vit.apply(first, jnp.asarray(mixed), config=cfg.model).logits
    one_hot = np.eye(4)[labels[:, 0]]
    targets = share * one_hot + (1 - share) * np.roll(one_hot, 1, axis=0)
    z = np.asarray(logits, np.float64)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    each = -((0.9 * targets + 0.1 / 4) * log_p).sum(axis=1)
    np.testing.assert_allclose(float(stats[0].loss), (each * (targets @ WEIGHTS)).mean(), rtol=1e-5)

    by_name = [
        dict(zip(names(params), jax.tree.leaves(params), strict=True)) for params in trajectory
    ]
    mean = dict(zip(names(current.params), jax.tree.leaves(current.average.weights), strict=True))
    for name, first in by_name[0].items():
        last = by_name[-1][name]
        if name.startswith("embedding/"):
            np.testing.assert_array_equal(first, last)
        elif name.startswith("blocks/"):
            np.testing.assert_array_equal(first[0], last[0])
            assert (first[1] != last[1]).any(), name
        else:
            assert (first != last).any(), name
        # Of the weights after each update, not of those before the first.
        expected = np.mean([after[name].astype(np.float64) for after in by_name[1:]], axis=0)
        np.testing.assert_allclose(mean[name], expected, rtol=1e-6, atol=1e-8)
