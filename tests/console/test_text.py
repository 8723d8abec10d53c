from __future__ import annotations

import json
import os
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitctl.console.text import json_safe, path_of, safe, styled

# All that names and manifests can hold, undecodable bytes (PEP 383) and lone surrogates too.
anything = st.text(st.characters(), max_size=20) | st.binary(max_size=20).map(os.fsdecode)


@given(anything)
def test_nothing_that_steers_a_terminal_survives(text):
    shown = safe(text)
    categories = {unicodedata.category(character) for character in shown}
    assert not categories & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert "\x1b" not in shown
    shown.encode("utf-8")


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs", "M"])))
def test_readable_text_is_shown_as_it_is(text):
    assert safe(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mred", "a\\x1b[31mred"),
        ("two\nlines\r", "two\\x0alines\\x0d"),
        (os.fsdecode(b"caf\xe9"), "caf\\xe9"),
        ("\u202eevil", "\\u202eevil"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\U000e0001", "\\U000e0001"),
        ("\x9b31m", "\\x9b31m"),
        ("日本 é [bold]", "日本 é [bold]"),
    ],
)
def test_examples(text, shown):
    assert safe(text) == shown


trees = st.recursive(
    anything | st.none() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(anything, inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=50)
@given(trees)
def test_json_is_valid_utf8_whatever_the_names(value):
    text = json.dumps(json_safe(value), ensure_ascii=False)
    json.loads(text.encode("utf-8"))


@pytest.mark.parametrize(
    ("environment", "terminal", "coloured"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"TERM": "dumb"}, True, False),
    ],
)
def test_colour_only_where_it_is_wanted(monkeypatch, environment, terminal, coloured):
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (styled("x", "1", terminal=terminal) != "x") == coloured


@given(st.binary(max_size=20).filter(lambda name: b"\0" not in name).map(os.fsdecode))
def test_a_path_of_any_bytes_is_found_again_in_json(path):
    written = json.loads(json.dumps(json_safe({"path": path}), ensure_ascii=False).encode())["path"]
    if any(unicodedata.category(character) == "Cs" for character in path):
        assert path_of(written) == path
    else:
        assert written == path


def test_a_path_that_is_there_as_it_is_written_is_meant(tmp_path):
    elsewhere = tmp_path / r"caf\xe9"
    assert path_of(str(elsewhere)) == str(tmp_path / os.fsdecode(b"caf\xe9"))
    elsewhere.touch()
    assert path_of(str(elsewhere)) == str(elsewhere)
