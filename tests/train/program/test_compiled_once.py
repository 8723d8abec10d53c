"""A start compiles one step: at scale that takes minutes, and jax does not tell of a second."""

from __future__ import annotations

import pytest

from vitctl.train.run import setup


@pytest.fixture
def steps(monkeypatch):
    """The compiled steps of all starts."""
    made, make_step = [], setup.make_step

    def kept(*args, **options):
        made.append(make_step(*args, **options))
        return made[-1]

    monkeypatch.setattr(setup, "make_step", kept)
    return made


def test_from_nothing_from_a_checkpoint_and_in_a_cooldown(pretrain, cooldown, steps):
    beside = {"optim": {"ema": 0.9, "skip_spikes": 6.0}}
    pretrain(4, **beside)
    cooldown(pretrain(8, **beside), 2)
    assert [step._cache_size() for step in steps] == [1, 1, 1]
