"""What every command has. Commands are those that the app knows, so that a new one is held to it;
what they do alike in the shell and in Python is in `test_parity`."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import tomllib
from pathlib import Path

import pytest

from stages import api
from stages.app import VERBS
from tests.stages.commands import COMMANDS, ROOT

STAGES = sorted(
    path.parent for path in (ROOT / "stages").glob("*/__init__.py") if path.parent.name != "api"
)
each_command = pytest.mark.parametrize("command", COMMANDS, ids=str)


def syntax(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def assigned(path: Path) -> dict[str, ast.expr | None]:
    """Names that a file assigns at its top, with their values."""
    values: dict[str, ast.expr | None] = {}
    for node in syntax(path).body:
        if isinstance(node, ast.Assign):
            values |= {t.id: node.value for t in node.targets if isinstance(t, ast.Name)}
    return values


def definition_of_run(command) -> ast.FunctionDef:
    tree = syntax(command.folder / "run.py")
    return next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "run")


def test_that_all_are_seen():
    assert {command.verbs[0] for command in COMMANDS} == set(VERBS)
    assert len(COMMANDS) > len(VERBS)  # those of groups, one by one


@each_command
def test_a_command_a_spec_and_a_run(command):
    assert command.module == f"{command.package}.command"
    for file in ("spec.py", "run.py"):
        assert (command.folder / file).exists(), file


@each_command
def test_the_spec_says_what_is_read(command):
    spec = importlib.import_module(f"{command.package}.spec")
    assert hasattr(spec, "Inputs")


@each_command
def test_one_signature_of_all_runs(command):
    """`run(cfg, inputs, *, store, runtime, emit)`, of which a command has what it uses. `report`
    gets findings as they come."""
    arguments = definition_of_run(command).args
    names = [argument.arg for argument in arguments.args]
    assert names[-1] == "inputs"
    assert names[:-1] in ([], ["cfg"], ["request"])
    assert arguments.args[-1].annotation.id == "Inputs"
    keywords = [argument.arg for argument in arguments.kwonlyargs]
    order = ["store", "runtime", "emit", "report"]
    assert keywords == [name for name in order if name in keywords]
    assert ("cfg" in names) == command.has_settings


@each_command
def test_what_it_returns_is_no_class_of_the_run(command):
    """Who imports a result's class imports no array library with it."""
    returned = ast.unparse(definition_of_run(command).returns)
    own = {n.name for n in syntax(command.folder / "run.py").body if isinstance(n, ast.ClassDef)}
    assert not own & set(re.findall(r"\w+", returned))
    assert ("Artifact" in returned) == command.makes_an_artifact


@each_command
def test_what_publishes_has_a_version_in_its_spec(command):
    """A whole number, as ids are made of it, that the command makes its recipe with."""
    version = assigned(command.folder / "spec.py").get("VERSION")
    assert (version is not None) == command.makes_an_artifact
    if isinstance(version, ast.Constant):
        assert isinstance(version.value, int)
        files = command.folder.glob("*.py")
        assert any("version=VERSION" in path.read_text() for path in files)


def resolutions(tree: ast.AST) -> list[str]:
    """Calls that make settings: `.build(SomeConfig)`, `SomeConfig(...)`, `.with_flags(...)`."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [
        ast.unparse(call)
        for call in calls
        if (isinstance(call.func, ast.Attribute) and call.func.attr in ("build", "with_flags"))
        or re.fullmatch(r"\w+Config", ast.unparse(call.func))
    ]


@each_command
def test_settings_are_resolved_outside_of_the_terminal(command):
    assert resolutions(syntax(command.folder / "command.py")) == []
    if command.has_settings and len(command.verbs) == 1:
        assert (command.folder / "settings.py").exists()


def test_that_a_resolution_would_be_seen():
    for line in ("session.overrides.build(MixConfig, {})", "MixConfig(balance=True)"):
        assert resolutions(ast.parse(line)) == [line]
    assert resolutions(ast.parse("verb(sets=Flags(MixConfig, ()))")) == []


def test_every_stage_is_independent_by_contract():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (listed,) = (c["modules"] for c in contracts["contracts"] if c["type"] == "independence")
    assert sorted(listed) == [f"stages.{stage.name}" for stage in STAGES]


@each_command
def test_no_terminal_by_contract(command):
    """The contract names the spec, the run and the settings, whatever packages they lie in."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (forbidden,) = (
        contract
        for contract in contracts["contracts"]
        if contract["name"] == "what a stage is and how it works needs no terminal"
    )
    patterns = [
        re.compile(re.escape(module).replace(r"\*", r"\w+"))
        for module in forbidden["source_modules"]
    ]
    for part in ("spec", "run", "settings"):
        if (command.folder / f"{part}.py").exists():
            module = f"{command.package}.{part}"
            assert any(pattern.fullmatch(module) for pattern in patterns), module


def test_every_stage_is_reached():
    assert {verb.module.split(".")[1] for verb in VERBS.values()} == {s.name for s in STAGES}


@each_command
def test_the_pages_that_name_it(command):
    readme = (ROOT / "README.md").read_text("utf-8")
    assert re.search(rf"vitctl {command}\b", readme)
    assert (ROOT / "tests/golden" / f"help_{'_'.join(command.verbs)}.txt").exists()


SCHEMAS = {path.name for path in (ROOT / "docs/schemas").glob("*.schema.json")}


@each_command
def test_what_json_prints_has_a_schema(command):
    """An artifact's, or one that a file of the command names."""
    named = {
        name
        for path in command.folder.glob("*.py")
        for name in re.findall(r"docs/schemas/(\w+\.schema\.json)", path.read_text("utf-8"))
    }
    assert named <= SCHEMAS
    if not command.makes_an_artifact:
        assert named


def test_every_schema_is_of_a_command():
    named = {
        name
        for path in (ROOT / "stages").rglob("*.py")
        for name in re.findall(r"docs/schemas/(\w+\.schema\.json)", path.read_text("utf-8"))
    }
    assert named | {"artifact.schema.json"} == SCHEMAS


def test_the_page_of_exit_codes_names_what_can_be_continued():
    page = (ROOT / "docs/guide/exit-codes.md").read_text("utf-8")
    listed = re.search(r"In a stage that can be continued \(([^)]*)\)", page)
    assert listed
    resumed = {name for name, verb in VERBS.items() if verb.resumes}
    assert set(re.findall(r"`(\w+)`", listed[1])) == resumed


@each_command
def test_a_function_in_python(command):
    """In `stages.api`, with a docstring, and a row in the guide."""
    function = getattr(api, command.in_python)
    assert command.in_python in api.__all__
    assert inspect.getdoc(function)
    page = (ROOT / "docs/guide/python.md").read_text("utf-8")
    assert re.search(rf"^\| `{command.in_python}\(.*\)` \|", page, re.MULTILINE)


def test_python_has_no_function_without_a_command():
    functions = {name for name in api.__all__ if inspect.isfunction(getattr(api, name))}
    assert functions == {command.in_python for command in COMMANDS} | {"compare", "settings"}


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
