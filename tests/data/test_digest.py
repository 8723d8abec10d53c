from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest

from vitctl.data.batches import keys_of_steps
from vitctl.data.digest import ANCHOR_STEPS, ConsumedSamples
from vitctl.data.mock import MockDataset
from vitctl.errors import InputError


def keys_of(seed=0, examples=50, batch=8):
    dataset = MockDataset(train_examples=examples)
    return keys_of_steps(dataset, split="train", seed=seed, batch=batch)


def consumed(steps, keys_of_step):
    state = ConsumedSamples()
    for step in range(steps):
        state = state.advance(keys_of_step(step))
    return state


def test_digest_is_the_chain_of_its_definition():
    keys = [np.arange(3, dtype=np.uint64), np.array([7, 7, 2**63], np.uint64)]
    digest = hashlib.sha256()
    for step, block in enumerate(keys):
        digest = hashlib.sha256(digest.digest() + step.to_bytes(8, "little") + block.tobytes())
    assert consumed(2, keys.__getitem__).digest == digest.hexdigest()


@pytest.mark.parametrize("steps", [0, 1, ANCHOR_STEPS, ANCHOR_STEPS + 1])
def test_a_true_resume_passes_and_recomputes_little(steps):
    calls = []
    keys_of_step = keys_of()

    def counted(step):
        calls.append(step)
        return keys_of_step(step)

    ConsumedSamples.from_json(consumed(steps, keys_of_step).to_json()).check(counted)
    assert len(calls) <= ANCHOR_STEPS
    assert steps == 0 or calls[-1] == steps - 1


@pytest.mark.parametrize("steps", [1, 5, ANCHOR_STEPS])
def test_another_seed_batch_or_dataset_is_noticed(steps):
    state = consumed(steps, keys_of())
    for other in (keys_of(seed=1), keys_of(batch=7), keys_of(examples=51)):
        with pytest.raises(InputError, match="not the ones"):
            state.check(other)


def test_continuing_equals_never_stopping():
    keys_of_step = keys_of()
    half = ConsumedSamples.from_json(consumed(100, keys_of_step).to_json())
    for step in range(100, 260):
        half = half.advance(keys_of_step(step))
    assert half == consumed(260, keys_of_step)


@pytest.mark.parametrize("damage", [{"digest": 3}, {"step": "x"}, {"more": 1}])
def test_damaged_state_is_an_input_error(damage):
    state = {**dataclasses.asdict(ConsumedSamples()), **damage}
    with pytest.raises(InputError, match="damaged"):
        ConsumedSamples.from_json(state)
