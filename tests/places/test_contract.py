"""Every kind of place answers the same, so nobody outside `vitctl.places` asks which kind it is."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from vitctl.places.contract import PlaceContract
from vitctl.places.local import LocalPath
from vitctl.places.objects import ObjectPath
from vitctl.places.place import place

ROOT = Path(__file__).parents[2]
KINDS = {"Path", "PosixPath", "BasedPath", "LocalPath", "Address", "ObjectPath", "Place"}


@pytest.mark.parametrize("kind", [LocalPath, ObjectPath])
def test_a_kind_answers_each_with_the_same_arguments(kind):
    for name in PlaceContract.__abstractmethods__:
        contract, answers = getattr(PlaceContract, name), getattr(kind, name)
        assert isinstance(contract, property) == isinstance(answers, property)
        if not isinstance(contract, property):
            wanted, given = (inspect.signature(each).parameters for each in (contract, answers))
            assert list(wanted.items()) == list(given.items()), name
    assert {"local", "remote"} <= set(dir(kind))


def test_room_is_that_of_the_disk_which_a_folder_would_be_on(tmp_path, monkeypatch):
    disks = {tmp_path: SimpleNamespace(total=9, free=7)}
    monkeypatch.setattr("shutil.disk_usage", disks.__getitem__)
    assert place(str(tmp_path / "new" / "store")).free_bytes() == 7
    monkeypatch.chdir(tmp_path)
    assert place("artifacts").free_bytes() == 7
    assert place("gs://bucket/store").free_bytes() is None
    disks[tmp_path] = SimpleNamespace(total=0, free=0)
    assert place("artifacts").free_bytes() is None, "a file system that counts nothing"


def questions_of(source: str) -> Iterator[str]:
    """The questions for the kind of a place in a program, as they are written there."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(ast.Name("isinstance" | "issubclass"), [_, kinds]):
                named = {n.id for n in ast.walk(kinds) if isinstance(n, ast.Name)}
                named |= {n.attr for n in ast.walk(kinds) if isinstance(n, ast.Attribute)}
                if named & KINDS:
                    yield ast.unparse(node)
            case ast.MatchClass(ast.Name(name) | ast.Attribute(_, name)) if name in KINDS:
                yield ast.unparse(node)
            case ast.Compare(ast.Call(ast.Name("type")), _, [ast.Name(name)]) if name in KINDS:
                yield ast.unparse(node)


def test_nobody_else_asks_which_kind_a_place_is():
    questions = {
        (path.relative_to(ROOT).as_posix(), question)
        for folder in ("vitctl", "stages")
        for path in (ROOT / folder).rglob("*.py")
        for question in questions_of(path.read_text())
    }
    assert {path for path, _ in questions if path.startswith("vitctl/places/")}, "it sees some"
    elsewhere = {each for each in questions if not each[0].startswith("vitctl/places/")}
    assert elsewhere - ALLOWED == set(), "let the place answer: vitctl/places/contract.py"
    assert ALLOWED - elsewhere == set(), "no longer needed"


ALLOWED: set[tuple[str, str]] = set()
"""Questions for another thing: what a person gave, before it is a place."""


@pytest.mark.parametrize(
    "source",
    [
        "isinstance(path, ObjectPath)",
        "isinstance(path, Path | str)",
        "isinstance(path, (str, pathlib.Path))",
        "issubclass(kind, places.LocalPath)",
        "type(path) is ObjectPath",
        "match path:\n    case ObjectPath():\n        pass",
    ],
)
def test_that_a_question_would_be_seen(source):
    assert list(questions_of(source))
    assert not list(questions_of("isinstance(row, dict); path.local is None; type(step) is int"))
