"""No circle of imports between files, nor one that a function or `TYPE_CHECKING` hides.

A circle that is put off until a function is called still means that no file of it can be read,
tested or moved without the others. An import for types alone counts, too: the one file knows the
other.
"""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("vitctl", "stages")


def modules_below(root: Path, packages: tuple[str, ...] = PACKAGES) -> dict[str, Path]:
    """Dotted name -> file."""
    return {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for package in packages
        for path in sorted((root / package).rglob("*.py"))
    }


def imports_of(source: str, *, modules: set[str], inside: str) -> set[str]:
    """Which of `modules` the text of a file imports, anywhere in it. `inside`: its package, from
    which relative imports count."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = inside.split(".")[: len(inside.split(".")) - node.level + 1]
            base = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            members = {f"{base}.{alias.name}" for alias in node.names}
            of_package = members & modules
            # `from package import name` reads the package unless all it takes are modules.
            names |= of_package | ({base} if members - of_package else set())
    return names & modules


def graph(root: Path, packages: tuple[str, ...] = PACKAGES) -> dict[str, set[str]]:
    modules = modules_below(root, packages)
    return {
        name: imports_of(
            path.read_text(),
            modules=set(modules),
            inside=name if path.name == "__init__.py" else name.rpartition(".")[0],
        )
        for name, path in modules.items()
    }


def circle(imported: dict[str, set[str]]) -> list[str]:
    """One of the circles, as names of which each imports the next; empty if there is none."""
    try:
        TopologicalSorter(imported).prepare()
    except CycleError as error:
        return error.args[1][::-1]
    return []


def test_there_is_no_circle():
    imported = graph(ROOT)
    assert sum(map(len, imported.values())) > len(imported)  # it sees imports at all
    assert circle(imported) == []


@pytest.mark.parametrize(
    "second",
    [
        "import a.one",
        "from a import one",
        "from a.one import x",
        "from . import one",
        "from .one import x",
        "def late():\n    from a.one import x",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a.one import x",
    ],
)
def test_that_a_circle_would_be_seen(tmp_path, second):
    package = tmp_path / "a"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "one.py").write_text("from a import two")
    (package / "two.py").write_text(second)
    assert set(circle(graph(tmp_path, ("a",)))) == {"a.one", "a.two"}
    (package / "two.py").write_text("import os")
    assert circle(graph(tmp_path, ("a",))) == []
