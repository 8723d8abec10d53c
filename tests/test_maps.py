"""The docstring of a package is a map: its second paragraph has a line for every module in it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = sorted(
    init.parent for room in ("vitctl", "stages") for init in (ROOT / room).rglob("__init__.py")
)
LINE = re.compile(r"(?: {4})?(\w+) {2,}\S.*")
"""Indented, but where nothing follows the map: there the formatter takes the indent away."""


def modules(package: Path) -> set[str]:
    """Modules and sub-packages of a folder; folders without Python code in them are data."""
    files = {file.stem for file in package.glob("*.py")} - {"__init__", "__main__"}
    folders = {
        folder.name
        for folder in package.iterdir()
        if folder.is_dir() and next(folder.rglob("*.py"), None) is not None
    }
    return files | folders


def faults(package: Path, root: Path) -> list[str]:
    """A sentence for each way in which the map of a package differs from the package."""
    init = package / "__init__.py"
    where = init.relative_to(root).as_posix()
    if not init.exists():
        return [f"{where}: there is none, so the folder is no package"]
    module = ast.parse(init.read_text(encoding="utf-8"))
    docstring = ast.get_docstring(module) or ""
    paragraphs = docstring.split("\n\n")
    lines = paragraphs[1].splitlines() if len(paragraphs) > 1 else []
    rows = [LINE.fullmatch(line) for line in lines]
    names = [row[1] for row in rows if row]
    said = []
    if not paragraphs[0].strip() or LINE.fullmatch(paragraphs[0].splitlines()[0]):
        said.append(f"{where}: no first line that says what the package is for")
    for line, row in zip(lines, rows, strict=True):
        if row is None:
            said.append(f"{where}: not of the form 'name  what it is': {line!r}")
    if missing := sorted(modules(package) - set(names)):
        said.append(f"{where}: not in the map: {', '.join(missing)}")
    if gone := sorted(set(names) - modules(package) - {"__main__"}):
        said.append(f"{where}: in the map, but not in the package: {', '.join(gone)}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        said.append(f"{where}: twice in the map: {', '.join(twice)}")
    return said


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_map_of_a_package_is_complete(package):
    assert not faults(package, ROOT), "\n".join(faults(package, ROOT))


def test_every_folder_with_code_is_a_package():
    folders = {file.parent for room in ("vitctl", "stages") for file in (ROOT / room).rglob("*.py")}
    assert folders == set(PACKAGES)


def test_the_readme_names_every_package_of_the_library():
    tree = (ROOT / "README.md").read_text(encoding="utf-8").partition("## The tree")[2]
    rooms = re.findall(r"^  (\w+)/ ", tree, re.MULTILINE)
    packages = {init.parent.name for init in (ROOT / "vitctl").glob("*/__init__.py")}
    assert sorted(rooms) == sorted(packages)


MAP = '"""What it is for.\n\n    one   a module\n    two   a package\n\nMore.\n\n    x  y\n"""\n'


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "room"
    (folder / "two").mkdir(parents=True)
    for name in ("__init__.py", "__main__.py", "one.py", "two/__init__.py", "paper.toml"):
        (folder / name).write_text("")
    (folder / "__init__.py").write_text(MAP)
    return folder


def test_a_complete_map_passes(package):
    assert faults(package, package.parent) == []


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("    one   a module\n", "", "not in the map: one"),
        ("    two   a package\n", "", "not in the map: two"),
        ("one   a module", "uno   a module", "not in the package: uno"),
        ("    one   a module\n", "    one   a module\n" * 2, "twice in the map: one"),
        ("one   a module", "one", "not of the form"),
        ("    one ", "  - one ", "not of the form"),
        (MAP, "", "not in the map: one, two"),
        (MAP, "", "no first line"),
    ],
)
def test_a_map_that_is_not_is_named(package, before, after, fault):
    assert before in MAP
    (package / "__init__.py").write_text(MAP.replace(before, after))
    said = faults(package, package.parent)
    assert any(fault in line and line.startswith("room/__init__.py: ") for line in said), said


def test_a_new_module_is_missed(package):
    (package / "_three.py").write_text("")
    assert faults(package, package.parent) == ["room/__init__.py: not in the map: _three"]
