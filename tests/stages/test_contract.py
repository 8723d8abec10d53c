"""What every stage has. Stages are found by their folders, so that a new one is held to it."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from stages.app import VERBS

ROOT = Path(__file__).resolve().parents[2]
STAGES = sorted(
    path.parent for path in (ROOT / "stages").glob("*/__init__.py") if path.parent.name != "api"
)
RUNS = sorted((ROOT / "stages").rglob("run.py"))
"""One of each command that does something; `inspect` only looks."""


def assigned(path: Path) -> dict[str, ast.expr | None]:
    """Names that a file assigns at its top, with their values."""
    found: dict[str, ast.expr | None] = {}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign):
            found |= {t.id: node.value for t in node.targets if isinstance(t, ast.Name)}
    return found


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT / "stages").parent)


@pytest.mark.parametrize("run", RUNS, ids=name_of)
def test_a_spec_beside_each_run(run):
    assert run.with_name("spec.py").exists()


@pytest.mark.parametrize("run", RUNS, ids=name_of)
def test_what_publishes_has_a_version_in_its_spec(run):
    """A whole number, as ids are made of it, that the stage makes its recipe with."""
    work = next(
        node
        for node in ast.parse(run.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name == "run"
    )
    publishes = "Artifact" in ast.unparse(work.returns or ast.Constant(None))
    version = assigned(run.with_name("spec.py")).get("VERSION")
    assert (version is not None) == publishes
    if isinstance(version, ast.Constant):
        assert isinstance(version.value, int)
        assert any("version=VERSION" in path.read_text() for path in run.parent.glob("*.py"))


def test_that_versions_are_seen():
    assert sum("VERSION" in assigned(run.with_name("spec.py")) for run in RUNS) >= 8


def test_every_stage_is_independent_by_contract():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (listed,) = (c["modules"] for c in contracts["contracts"] if c["type"] == "independence")
    assert sorted(listed) == [f"stages.{stage.name}" for stage in STAGES]


def test_every_stage_is_reached_and_every_command_is_in_the_readme():
    assert {verb.module.split(".")[1] for verb in VERBS.values()} == {s.name for s in STAGES}
    readme = (ROOT / "README.md").read_text()
    assert [verb for verb in VERBS if not re.search(rf"vitctl {verb}\b", readme)] == []


def test_answers_are_written_where_the_display_ends_first():
    """Only `Session` writes to stdout: it says `Answering` before, so the answer is the last thing
    on a screen."""
    writers = [
        path.relative_to(ROOT).as_posix()
        for room in ("stages", "vitctl")
        for path in sorted((ROOT / room).rglob("*.py"))
        if re.search(
            r"from vitctl\.console\.streams import [^\n]*\banswer\b(?!_)", path.read_text("utf-8")
        )
    ]
    assert writers == ["vitctl/console/session.py"]
    source = (ROOT / "vitctl/console/session.py").read_text("utf-8")
    calls = re.findall(r"(.*)\n\s+(?:return )?answer\(", source)
    assert calls
    assert all("Answering()" in line for line in calls)
