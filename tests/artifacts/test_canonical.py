from __future__ import annotations

import enum
import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitctl.artifacts.canonical import canonical_json, fingerprint

finite = st.floats(allow_nan=False, allow_infinity=False)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
leaves = st.none() | st.booleans() | st.integers() | finite | text
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=50)
@given(values)
def test_says_the_value_back(value):
    assert json.loads(canonical_json(value)) == value


@settings(max_examples=50)
@given(st.dictionaries(text, values, max_size=4))
def test_the_order_of_keys_is_no_difference(value):
    backwards = dict(reversed(value.items()))
    assert canonical_json(backwards) == canonical_json(value)


def test_the_form_is_what_other_tools_can_repeat():
    """Sorted keys, no spaces, UTF-8: `jq -cS . | tr -d '\\n' | sha256sum` gives the same."""
    value = {"b": [1, 2.5, None, True], "a": "é"}
    written = b'{"a":"\xc3\xa9","b":[1,2.5,null,true]}'
    assert canonical_json(value) == written
    assert fingerprint(value) == hashlib.sha256(written).hexdigest()


def test_tuples_are_lists_and_ints_are_not_floats():
    assert fingerprint((1, 2)) == fingerprint([1, 2])
    assert fingerprint(1) != fingerprint(1.0)
    assert fingerprint(True) != fingerprint(1)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, {"a": [0, math.nan]}])
def test_refuses_numbers_json_cannot_hold(value):
    with pytest.raises(ValueError, match="JSON cannot hold"):
        canonical_json(value)


class Colour(enum.Enum):
    RED = 1


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {1: "a"},
        {None: "a"},
        {"a": {True: 1}},
        {1, 2},
        b"bytes",
        Path("x"),
        np.float32(1),
        np.int64(1),
        Colour.RED,
        range(3),
    ],
    ids=lambda value: type(value).__name__,
)
def test_refuses_what_has_no_one_form(value):
    """A guess would change with a version of Python or of a library."""
    with pytest.raises(TypeError, match=r"canonical"):
        canonical_json(value)


def test_a_refusal_says_where():
    with pytest.raises(TypeError, match=r"value\.optim\.betas\[1\] is a set"):
        canonical_json({"optim": {"betas": [0.9, {1}]}})
