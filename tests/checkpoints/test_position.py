"""Whatever `position.json` holds, the answer is a position or a sentence."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vitctl.checkpoints import position
from vitctl.data.digest import ConsumedSamples
from vitctl.errors import InputError
from vitctl.places import place

WHOLE = {"step": 3, "consumed": ConsumedSamples(step=3).to_json(), "passed": [[1, 2]]}


def read(folder, content):
    (folder / "position.json").write_bytes(content)
    return position.read(place(folder))


def test_as_it_was_written(tmp_path):
    at = read(tmp_path, json.dumps(WHOLE).encode())
    assert (at.step, at.passed) == (3, ((1, 2),))
    assert ConsumedSamples.from_json(at.consumed) == ConsumedSamples(step=3)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.integers(0, len(json.dumps(WHOLE)) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit(tmp_path, where, bit):
    content = bytearray(json.dumps(WHOLE).encode())
    content[where] ^= 1 << bit
    try:
        at = read(tmp_path, bytes(content))
        ConsumedSamples.from_json(at.consumed)
    except InputError:
        pass


def test_a_missing_one_and_a_link_are_damage(tmp_path):
    with pytest.raises(InputError, match=r"position\.json cannot be read: No such file"):
        position.read(place(tmp_path))
    (tmp_path / "elsewhere.json").write_text(json.dumps(WHOLE))
    (tmp_path / "position.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(InputError, match=r"position\.json is a symbolic link"):
        position.read(place(tmp_path))


@pytest.mark.parametrize(
    "change",
    [
        {"step": -1},
        {"step": "many"},
        {"consumed": []},
        {"passed": [[1]]},
        {"passed": [[1, 0]]},
        {"more": 1},
    ],
    ids=str,
)
def test_another_shape_is_a_sentence(tmp_path, change):
    with pytest.raises(InputError, match="is damaged"):
        read(tmp_path, json.dumps(WHOLE | change).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "00"},
        {"digest": "z" * 64},
        {"anchor_digest": 1},
        {"anchor_step": 9},
        {"step": -1},
    ],
    ids=str,
)
def test_a_record_of_samples_that_cannot_be(change):
    with pytest.raises(InputError, match="record of consumed samples"):
        ConsumedSamples.from_json(ConsumedSamples(step=3).to_json() | change)
