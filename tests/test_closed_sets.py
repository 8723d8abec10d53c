"""A new head, optimizer or loss is answered everywhere, or mypy and this test say where it is not.

Mypy reports a `match` that ends with `assert_never` and lacks a member. It is silent about the two
other ways to choose: a table, whose missing key is a KeyError when it is reached, and a comparison,
whose `else` takes the new member for an old one. So tables with such keys have all members, and
members of the sets that make up a model and its training are compared nowhere but in `match`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from vitctl.interop.head_names import Transformers
from vitctl.model.config import Gelu, Loss, Mlp, Position, Projection
from vitctl.model.heads import Head, Pooling
from vitctl.optim.config import Name as OptimizerName

ROOT = Path(__file__).resolve().parents[1]
FILES = [path for top in ("vitctl", "stages") for path in sorted((ROOT / top).rglob("*.py"))]
FAMILY: dict[str, tuple[str, ...]] = {
    "head": get_args(Head),
    "pooling": get_args(Pooling),
    "position": get_args(Position),
    "gelu": get_args(Gelu),
    "mlp": get_args(Mlp),
    "projection": get_args(Projection),
    "loss": get_args(Loss),
    "loss_name": get_args(Loss),
    "name": get_args(OptimizerName),
    "family": get_args(Transformers),
}
"""Names of fields and variables that hold a member, and the members."""
ALLOWED = {
    ("vitctl/model/config.py", "self.position == 'sincos2d'"): "a width that sines need",
    ("vitctl/model/config.py", "self.position != 'sincos2d'"): "a field of sincos2d alone",
    ("vitctl/model/config.py", "self.gelu != 'tanh'"): "any other is said of MLPs that have one",
    ("vitctl/model/config.py", "self.projection != 'tanh'"): "any other needs its width said",
    ("vitctl/interop/transformers_files.py", "config.projection != 'tanh'"): "refuses all others",
    ("vitctl/interop/transformers_files.py", "family == 'vit'"): "refuses all others",
}
"""Comparisons that are right for any member to come, and why."""


def comparisons(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of every comparison of something that holds a member with a member."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            texts = {
                c.value for side in sides for c in ast.walk(side) if isinstance(c, ast.Constant)
            }
            names = {_last(side) for side in sides}
            if any(texts & set(FAMILY[name]) for name in names & FAMILY.keys()):
                yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Dict):
            yield from [(node.lineno, ast.unparse(node))] if _last(node.slice) in FAMILY else []


def _last(node: ast.expr) -> str:
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
        case _:
            return ""


def test_members_are_compared_in_match_alone():
    names = {
        (path.relative_to(ROOT).as_posix(), text): line
        for path in FILES
        for line, text in comparisons(path.read_text(encoding="utf-8"))
    }
    assert not {f"{file}:{line}: {text}" for (file, text), line in names.items()
                if (file, text) not in ALLOWED}  # fmt: skip
    assert ALLOWED.keys() <= names.keys(), "these are compared no more"


@pytest.mark.parametrize(
    "source",
    [
        "if config.head == 'map': pass",
        "x = 1 if 'softmax' != cfg.loss else 2",
        "loss in ('softmax', other)",
        "{'gap': 1, 'map': 2}[config.head]",
        "cfg.optim.name not in {'adam'}",
    ],
)
def test_that_a_comparison_would_be_seen(source):
    assert len(list(comparisons(source))) == 1


@pytest.mark.parametrize(
    "source", ["head == other", "head.name == 'x'", "match head:\n case 'map': 0"]
)
def test_what_is_no_comparison_with_a_member(source):
    assert not list(comparisons(source))


def matches(source: str) -> Iterator[tuple[int, bool]]:
    """Line of each match over something that holds a member, and whether mypy checks it."""
    if "match " not in source:
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Match) and _last(node.subject) in FAMILY:
            values = {
                c.value
                for case in node.cases
                for c in ast.walk(case.pattern)
                if isinstance(c, ast.Constant)
            }
            if values & set(FAMILY[_last(node.subject)]):
                last = node.cases[-1].body[-1]
                yield node.lineno, "assert_never(" in ast.unparse(last)


def test_every_match_is_checked_by_mypy():
    checked = [
        (f"{path.relative_to(ROOT)}:{line}", is_checked)
        for path in FILES
        for line, is_checked in matches(path.read_text(encoding="utf-8"))
    ]
    assert len(checked) > 15  # it sees them at all
    assert [where for where, is_checked in checked if not is_checked] == []


def test_that_an_unchecked_match_would_be_seen():
    source = "match cfg.head:\n case 'map': x = 1\n case _: x = 2"
    assert list(matches(source)) == [(1, False)]
    assert list(matches(source.replace("x = 2", "assert_never(cfg.head)"))) == [(1, True)]


@cache
def closed_sets(source: str) -> dict[str, set[object]]:
    """The aliases of literals that a module defines, with their members. A module that many import
    is parsed once, one without a literal never."""
    if "Literal[" not in source:
        return {}
    return {
        target.id: {c.value for c in ast.walk(members) if isinstance(c, ast.Constant)}
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
        for members in [node.value]
        if isinstance(members, ast.Subscript) and _last(members.value) == "Literal"
    }


def tables(source: str, root: Path) -> Iterator[tuple[str, set[object], set[object]]]:
    """Name, keys and members of every table of a module whose keys are of a closed set, as its
    annotation says."""
    tree = ast.parse(source)
    known = dict(closed_sets(source))
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            file = root / (node.module.replace(".", "/") + ".py")
            defined = closed_sets(file.read_text(encoding="utf-8")) if file.exists() else {}
            known |= {a.name: defined[a.name] for a in node.names if a.name in defined}
    for node in tree.body:
        match node:
            case ast.AnnAssign(
                annotation=ast.Subscript(slice=ast.Tuple(elts=[ast.Name(id=key), _])),
                value=ast.Dict(keys=keys),
                target=ast.Name(id=name),
            ) if key in known:
                yield name, {ast.literal_eval(k) for k in keys if k is not None}, known[key]


PARTIAL = {
    "SAVED": "with remat none all is saved",
    "_LACKING": "of figures that need a column that a table may lack",
    "_TITLES": "of the figures of a study",
}
"""Tables that are meant to lack members, and why."""


def test_a_table_has_every_member():
    every = {
        f"{path.relative_to(ROOT)}: {name}": (keys, members)
        for path in FILES
        for name, keys, members in tables(path.read_text(encoding="utf-8"), ROOT)
    }
    assert len(every) > 8  # it sees them at all
    lacking = {where: keys ^ members for where, (keys, members) in every.items() if keys != members}
    assert {where.rpartition(": ")[2] for where in lacking} <= PARTIAL.keys(), lacking


def test_that_a_missing_key_would_be_seen():
    source = "from vitctl.model.heads import Head\nT: dict[Head, str] = {'map': 'a', 'gap': 'b'}"
    assert list(tables(source, ROOT)) == [("T", {"map", "gap"}, set(get_args(Head)))]
