"""JSON that would fail later, far from its file, fails where it is read."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitctl.artifacts.canonical import canonical_json
from vitctl.text import strict_json
from vitctl.text.strict_json import StrictJSONError

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


def test_numbers_and_text_that_are_let_through_are_named_each():
    assert strict_json.loads(b"[Infinity, 1e999]", allow_nan=True) == [float("inf")] * 2
    assert strict_json.loads(b'{"\\ud800": "\\udcff"}', allow_surrogates=True) == {
        "\ud800": "\udcff"
    }
    with pytest.raises(StrictJSONError):
        strict_json.loads(b'["\\ud800"]', allow_nan=True)
    with pytest.raises(StrictJSONError):
        strict_json.loads(b"[NaN]", allow_surrogates=True)
    with pytest.raises(StrictJSONError):
        strict_json.loads(b"[" * 65 + b"]" * 65, allow_nan=True)


@given(st.text(st.characters(exclude_categories=())) | st.floats())
def test_what_processes_tell_each_other_is_not_limited(value):
    assert repr(strict_json.own_text(json.dumps([value]))) == repr([value])


# The tree

ROOT = Path(__file__).parents[1]
READERS = {"load", "loads", "JSONDecoder", "decoder"}


def parsers(source: str) -> Iterator[str]:
    """The calls in a program that parse JSON by themselves, as they are written there."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ImportFrom(module="json"):
                yield from (f"json.{a.name}" for a in node.names if a.name in READERS)
            case ast.Attribute(ast.Name("json"), name) if name in READERS:
                yield ast.unparse(node)
            case ast.Attribute(_, "model_validate_json" | "validate_json"):
                yield ast.unparse(node)


def test_one_module_parses_json():
    values = {
        (path.relative_to(ROOT).as_posix(), call)
        for folder in ("vitctl", "stages")
        for path in (ROOT / folder).rglob("*.py")
        for call in parsers(path.read_text())
    }
    assert {path for path, _ in values} == {"vitctl/text/strict_json.py"}, (
        "use vitctl.text.strict_json"
    )


@pytest.mark.parametrize(
    "source",
    [
        "json.loads(text)",
        "json.load(file)",
        "from json import loads",
        "read = json.loads",
        "json.JSONDecoder()",
        "Report.model_validate_json(content)",
    ],
)
def test_that_another_would_be_seen(source):
    assert list(parsers(source))
    assert not list(parsers("strict_json.loads(text); json.dumps(value); Artifact.load(path)"))
