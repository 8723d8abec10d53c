"""JSON that would fail later, far from its file, fails where it is read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitctl import strict_json
from vitctl.artifacts.canonical import canonical_json
from vitctl.strict_json import StrictJSONError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=60)
@given(VALUES)
def test_what_json_can_say_is_read_as_it_is(value):
    assert strict_json.loads(json.dumps(value)) == value
    assert strict_json.loads(json.dumps(value, ensure_ascii=False).encode()) == value


@settings(max_examples=200)
@given(st.binary(max_size=60) | st.text(max_size=60, alphabet='{}[]",:\\ud8e+-.019NaIfity'))
def test_whatever_it_holds_it_is_a_value_that_can_be_written_again_or_one_error(content):
    try:
        value = strict_json.loads(content)
    except StrictJSONError:
        return
    canonical_json(value)


@pytest.mark.parametrize(
    ("content", "clause"),
    [
        (b'{"a": 1', "is not JSON (line 1"),
        (b'{"a": "\xff"}', "is not UTF-8 at byte 7"),
        (b'{"a": Infinity}', "not finite (Infinity)"),
        (b'{"a": 1e999}', "not finite (inf)"),
        (b'{"a": ' + b"9" * 5000 + b"}", "too many digits"),
        (b'{"a": "\\ud800"}', "not Unicode"),
        (b'{"\\udfff": 1}', "not Unicode"),
        (b"[" * 65 + b"]" * 65, "64 levels"),
        (b"[" * 100_000, "64 levels"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_each_limit_is_said(content, clause):
    with pytest.raises(StrictJSONError) as caught:
        strict_json.loads(content)
    assert clause in str(caught.value)


def test_as_deep_as_allowed():
    assert strict_json.loads(b"[" * 64 + b"]" * 64) is not None
