"""A name says type or role (`row`, `match`, `packages`), not how a value came about (`found`).

Syntax trees of all modules are searched for the words below as names of variables, parameters,
fields, functions, classes and modules.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WORDS = """ahead answered asked behind compiled ends found kept lost measured seen start there
together told words"""
BANNED = frozenset(WORDS.split())
ONE_OF_THEM = re.compile(rf"\b_*({'|'.join(sorted(BANNED))})_*\b")
PACKAGES = sorted(
    str(path.relative_to(ROOT))
    for top in ("vitctl", "stages")
    for path in (ROOT / top).iterdir()
    if path.suffix == ".py" or (path / "__init__.py").exists()
)
PUBLIC = {
    ("stages/scaling/plot/spec.py", "ends"),
    ("vitctl/artifacts/kinds/fewshot.py", "seen"),
    ("vitctl/artifacts/run_info.py", "kept"),
    ("vitctl/plan/answer.py", "compiled"),
    ("vitctl/plan/answer.py", "measured"),
}
"""Keys of settings, of records and of JSON answers, which keep their names."""
TWICE = {
    "Block": "the field's word in the model; in ingest of arrays a stretch of them",
    "Dataset": "what is recorded of one, and one that is opened: the same thing",
    "Layout": "of folders, which people type, and of a mesh",
    "Options": "the flags that every command has, and the same in Python",
    "Part": "a file of a source, and a part of a summary, which only the kinds of artifacts have",
    "Run": "a run's folder, and its row in the JSON of a study, whose fields keep their names",
    "Source": "of a listing, and of a run that begins from another, one recipe's own",
    "Weights": "of a file of another library, and which ones of a checkpoint are taken",
    "Window": "of the data order, and of an open file, which only readers have",
}
"""Nouns that name two classes in different packages, and what they are: no module has both. There
may be fewer, not more."""
EVERYWHERE = {"Inputs"}
"""Each command has one."""


def named(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of everything that a syntax tree gives a name to. A method `start` is one of
    the interface of threads."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name="start", args=ast.arguments(args=[ast.arg(arg="self"), *_])):
                pass
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name
            case ast.arg():
                yield node.lineno, node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.lineno, node.attr
            case ast.alias(asname=str(name)):
                yield node.lineno, name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield node.lineno, name


def offsets(tree: ast.AST) -> set[int]:
    """Lines where a function calls the two ends of a range `start` and `stop` (or `end`), as Python
    does for a slice."""
    lines = set()
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            names = list(named(function))
            if {name for _, name in names} & {"stop", "end"}:
                lines |= {line for line, name in names if name == "start"}
    return lines


def banned(source: str) -> list[tuple[int, str]]:
    if not ONE_OF_THEM.search(source):  # a tree takes ten times as long
        return []
    tree = ast.parse(source)
    ranges = offsets(tree)
    return sorted(
        (line, name)
        for line, name in named(tree)
        if name.strip("_") in BANNED and not (name == "start" and line in ranges)
    )


@pytest.mark.parametrize("package", PACKAGES)
def test_names_say_type_or_role(package):
    path = ROOT / package
    files = [path] if path.is_file() else sorted(path.rglob("*.py"))
    faults = [
        f"{file.relative_to(ROOT)}:{line}: {name}"
        for file in files
        for line, name in banned(file.read_text(encoding="utf-8"))
        if (str(file.relative_to(ROOT)), name) not in PUBLIC
    ]
    faults += [f"{file.relative_to(ROOT)}: the module" for file in files if file.stem in BANNED]
    assert not faults, "\n".join(faults)


def test_names_of_tests_say_type_or_role():
    faults = [
        f"{file.relative_to(ROOT)}:{line}: {name}"
        for file in sorted((ROOT / "tests").rglob("*.py"))
        for line, name in banned(file.read_text(encoding="utf-8"))
    ]
    assert not faults, "\n".join(faults)


def test_every_kind_of_name_counts():
    source = """
import a as found
class Kept(found): told: int
def seen(there, *asked, **words):
    self._lost = start = 1
    for ends in x: pass
    with y as ahead: pass
    match z:
        case [behind, *together]: pass
    return found.measured(start=(answered := 1), measured=[compiled for compiled in x])
"""
    assert {name.strip("_") for _, name in banned(source)} == BANNED - {"kept", "measured"}


def test_uses_do_not_count():
    assert banned("re.search(x).start() + f(start=1) + 'found'; import found") == []


def test_a_range_may_have_a_start():
    assert banned("def f(data, start, stop): return data[start:stop]") == []
    assert banned("def f(data, start): return data[start:]") == [(1, "start")]


def test_a_noun_names_one_class():
    """A reader who greps `class Plan` wants one answer."""
    places: dict[str, list[str]] = {}
    for package in PACKAGES:
        path = ROOT / package
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            for name in re.findall(r"^class ([^\W_]\w*)", file.read_text(encoding="utf-8"), re.M):
                places.setdefault(name, []).append(file.relative_to(ROOT).as_posix())
    several = {name for name, files in places.items() if len(files) > 1} - EVERYWHERE
    assert not {name: places[name] for name in several - TWICE.keys()}
    assert not TWICE.keys() - several, "these are one class now"
