"""Which gradient norms are taken for spikes."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vitctl.optim import spikes
from vitctl.optim.config import SPIKE_SIGMAS

JUDGE = jax.jit(partial(spikes.judge, sigmas=SPIKE_SIGMAS))


def judged(norms, history=None):
    """(bool[t] which were spikes, the history after them)."""
    history = spikes.initial() if history is None else history
    values = []
    for norm in norms:
        spike, history = JUDGE(history, jnp.float32(norm))
        values.append(bool(spike))
    return np.array(values), history


def ordinary(updates: int, *, seed: int = 0, deviation: float = 0.2) -> np.ndarray:
    """Norms as training has them: falling, with noise that is normal in the logarithm."""
    noise = np.random.default_rng(seed).normal(0, deviation, updates)
    return 3.0 * np.exp(noise) / np.sqrt(1 + np.arange(updates) / 100)


def test_the_history_is_the_mean_and_variance_of_the_logarithms():
    """Exact to the window; in float64 after it, by the weights (1 - 1/128) of an average."""
    norms = ordinary(spikes.WINDOW)
    _, history = judged(norms)
    assert float(history.mean) == pytest.approx(np.log(norms).mean(), rel=1e-5)
    assert float(history.variance) == pytest.approx(np.log(norms).var(), rel=1e-4)
    more = ordinary(200, seed=1)
    _, history = judged(more, history)
    share = 1 / spikes.WINDOW
    factors = np.r_[
        np.full(spikes.WINDOW, (1 - share) ** 200 / spikes.WINDOW),
        share * (1 - share) ** np.arange(199, -1, -1),
    ]
    x = np.log(np.r_[norms, more])
    mean = factors @ x
    assert float(history.mean) == pytest.approx(mean, rel=1e-5)
    assert float(history.variance) == pytest.approx(factors @ (x - mean) ** 2, rel=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_an_ordinary_run_has_none(seed):
    result, history = judged(ordinary(1000, seed=seed))
    assert not result.any()
    assert int(history.skipped) == 0


def test_a_spike_is_found_and_does_not_hide_the_next():
    norms = ordinary(300)
    norms[[150, 151, 200]] *= 30
    result, history = judged(norms)
    assert np.flatnonzero(result).tolist() == [150, 151, 200]
    assert int(history.skipped) == 3


def test_nothing_is_judged_before_there_is_a_history():
    norms = ordinary(spikes.FEWEST)
    norms[-1] *= 1000
    assert not judged(norms)[0].any()


def test_a_quiet_history_does_not_make_small_changes_spikes():
    norms = np.r_[np.ones(200), 1.9, np.ones(5), 2.1]
    result, _ = judged(norms)
    assert np.flatnonzero(result).tolist() == [len(norms) - 1]


@pytest.mark.parametrize("deviation", [0.02, 0.2])
def test_norms_that_rose_for_good_are_soon_taken_for_normal(deviation):
    _, history = judged(ordinary(300, deviation=deviation))
    result, _ = judged(1000 * ordinary(100, seed=1, deviation=deviation), history)
    assert 1 <= result.sum() <= 25
    assert not result[25:].any()


def test_a_norm_of_zero_does_not_poison_the_history():
    norms = ordinary(300)
    norms[100:103] = 0.0
    norms[200] *= 30
    assert np.flatnonzero(judged(norms)[0]).tolist() == [200]
