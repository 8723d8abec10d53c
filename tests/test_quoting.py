"""Names in messages: quoted by one function, which shows bytes that are not UTF-8 as bytes."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitctl.errors import InputError, OutOfReachError
from vitctl.events import Caution, Note
from vitctl.printable import visible
from vitctl.text.quoting import as_bytes, one_line, quoted

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(p for top in ("vitctl", "stages") for p in (ROOT / top).rglob("*.py"))
NUMBERS_AND_DIGESTS = {
    "vitctl/__init__.py",  # a message of Python's own form
    "vitctl/ingest/listing.py",
    "vitctl/settings/overrides.py",
    "vitctl/text/strict_json.py",
    "vitctl/train/run/diverged.py",
}
"""Files that call `repr` for what is no name in a message, or hand its text to `as_bytes`."""


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("photos", "'photos'"),
        ("it's", '"it\'s"'),
        ("Käse 日本", "'Käse 日本'"),
        ("two\nlines\x1b[31m\u202e", r"'two\nlines\x1b[31m\u202e'"),
        (os.fsdecode(b"caf\xe9.jpg"), r"'caf\xe9.jpg'"),
        (r"a backslash \udce9", r"'a backslash \\udce9'"),
        (os.fsdecode(b"\\\xff"), r"'\\\xff'"),
        (None, "None"),
        (1.5, "1.5"),
    ],
)
def test_a_name_is_shown_as_people_know_it(name, shown):
    assert quoted(name) == shown


@given(st.text(max_size=50) | st.binary(max_size=50).map(os.fsdecode))
def test_what_is_shown_is_one_printable_line_that_python_reads_back(name):
    shown = quoted(name)
    assert shown.isprintable()
    shown.encode()
    if name.isascii():
        assert ast.literal_eval(shown) == name


@given(st.text(max_size=50) | st.binary(max_size=50).map(os.fsdecode))
def test_what_people_read_is_one_printable_line_from_python_too(name):
    """However a message quotes a name, or does not: no console stands between it and a notebook."""
    error = InputError(f"{name} is damaged", hint=f"see {name}")
    away = OutOfReachError(f"{name} is away", exit_code=10, hint=name)
    lines = [str(error), error.message, error.hint, str(away), away.message, away.hint]
    lines += [Note(name).text, Caution(name).text]
    for line in lines:
        assert len(line.splitlines()) <= 1
        line.encode()
        assert visible(line) == line
    if name.isprintable():
        assert str(error) == f"{name} is damaged"
        assert Note(name).text == name


def test_a_long_name_is_cut_in_the_middle():
    shown = quoted("a" * 10_000 + "b")
    assert shown.startswith("'aaa")
    assert shown.endswith("aab'")
    assert len(shown) <= 500


def test_a_path_in_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        (tmp_path / os.fsdecode(b"caf\xe9")).read_bytes()
    assert r"caf\xe9'" in one_line(caught.value)
    assert as_bytes(str(caught.value)) == one_line(caught.value)


def test_messages_quote_by_this_function_only():
    faults = []
    for path in FILES:
        name = path.relative_to(ROOT).as_posix()
        if name in NUMBERS_AND_DIGESTS | {"vitctl/text/quoting.py"}:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            by_conversion = isinstance(node, ast.FormattedValue) and node.conversion == ord("r")
            by_name = isinstance(node, ast.Name) and node.id == "repr"
            if by_conversion or by_name:
                faults.append(f"{name}:{node.lineno}")
    assert not faults, faults
