"""What is said of supported versions agrees: pyproject.toml, constraints, README, doctor."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from vitctl import extras
from vitctl.data.tensorflow import install_command
from vitctl.doctor.packages import JAX_RELEASES
from vitctl.version import __version__

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = sorted((ROOT / "constraints").glob("py*.txt"))
PYTHONS = [f"3.{path.stem.removeprefix('py3')}" for path in PINS]


def pinned(path: Path) -> list[Requirement]:
    lines = path.read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def on(python: str) -> dict[str, str]:
    """What markers see on Linux x86-64 with this Python."""
    return {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_system": "Linux",
        "sys_platform": "linux",
        "platform_machine": "x86_64",
        "extra": "",
    }


def test_every_python_that_is_named_has_pinned_versions():
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert named == PYTHONS
    table = (ROOT / "README.md").read_text().partition("## Tested on")[2]
    assert re.findall(r"^\| (3\.\d+) \|", table, re.MULTILINE) == PYTHONS
    assert all(SpecifierSet(PROJECT["requires-python"]).contains(f"{p}.0") for p in PYTHONS)


USERS = {
    *("demo", "tpu", "cuda", "parquet", "zstd", "onnx"),
    *("wandb", "mlflow", "report", "heic", "cloud", "ray"),
}
"""Extras for those who use vitctl."""
CHECKED = {"smoke", "dev", "cloud", "demo", "heic", "onnx", "ray"}
"""Extras whose packages are all pinned."""


@pytest.mark.parametrize(("path", "python"), list(zip(PINS, PYTHONS, strict=True)), ids=PYTHONS)
def test_pinned_versions_are_among_those_that_are_asked_for(path, python):
    pins = {
        re.sub(r"[-_.]+", "-", pin.name).lower(): pin
        for pin in pinned(path)
        if pin.marker is None or pin.marker.evaluate(on(python))
    }
    extras = PROJECT["optional-dependencies"]
    asked_for = [*PROJECT["dependencies"], *(line for extra in CHECKED for line in extras[extra])]
    for line in asked_for:
        request = Requirement(line)
        if request.name == "vitctl":
            assert request.extras <= CHECKED
            continue
        if request.name == "libtpu":  # each jax asks for its own, see `tpu`
            assert "libtpu" not in pins
            assert [part.operator for part in request.specifier] == ["=="]
        elif request.marker is None or request.marker.evaluate(on(python)):
            (pin,) = pins[re.sub(r"[-_.]+", "-", request.name).lower()].specifier
            assert pin.operator == "=="
            assert request.specifier.contains(pin.version), line


def test_constraints_name_no_place_to_download_from():
    for path in PINS:
        assert not re.search(r"://|--index|--find-links|@", path.read_text())
        assert all(pin.url is None for pin in pinned(path))


def test_the_oldest_and_the_newest_jax_are_among_the_pinned():
    spec = next(Requirement(d).specifier for d in PROJECT["dependencies"] if d.startswith("jax>"))
    versions = [
        Version(next(iter(pin.specifier)).version)
        for path in PINS
        for pin in pinned(path)
        if pin.name == "jax"
    ]
    oldest, too_new = (Version(".".join(map(str, release))) for release in JAX_RELEASES)
    assert {(s.operator, s.version) for s in spec} == {(">=", str(oldest)), ("<", str(too_new))}
    minors = [version.minor for version in versions]
    assert minors == list(range(oldest.minor, too_new.minor))


def test_light_is_the_same_without_tensorflow_and_what_developers_need():
    """As its build makes it: light/metadata.py reads pyproject.toml."""
    from hatchling.metadata.core import ProjectMetadata
    from hatchling.plugin.manager import PluginManager

    folder = str(ROOT / "light")
    metadata = ProjectMetadata(folder, PluginManager())
    light = metadata.core
    assert (light.name, metadata.version) == (extras.LIGHT, __version__)
    without = [Requirement(line) for line in PROJECT["dependencies"]]
    needed = {request.name for request in without if not request.name.startswith("tensorflow")}
    assert {Requirement(line).name for line in light.dependencies} == {
        name.replace("_", "-") for name in needed
    }
    assert light.optional_dependencies.keys() == USERS
    assert PROJECT["optional-dependencies"].keys() - USERS == {
        "interop",
        "smoke",
        "dev",
        "test-all",
    }
    for extra, lines in light.optional_dependencies.items():
        own = {Requirement(line).name for line in lines}
        assert own == {Requirement(line).name for line in PROJECT["optional-dependencies"][extra]}
        assert not any(name.startswith("tensorflow") for name in own)
    assert light.scripts == PROJECT["scripts"]
    assert light.requires_python == PROJECT["requires-python"]
    assert light.license_files == ["LICENSE"]


def test_tensorflow_is_installed_by_the_name_that_the_package_asks_for(monkeypatch):
    asked_for = [
        Requirement(line) for line in PROJECT["dependencies"] if line.startswith("tensorflow")
    ]
    for system, machine in (("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64")):
        monkeypatch.setattr("platform.system", lambda system=system: system)
        monkeypatch.setattr("platform.machine", lambda machine=machine: machine)
        markers = {"platform_system": system, "platform_machine": machine}
        (name,) = [request.name for request in asked_for if request.marker.evaluate(markers)]
        assert install_command() == f"pip install {name}"


def test_the_smoke_test_names_files_that_are_there():
    named = re.findall(r"tests/[\w/]+\.py", (ROOT / "Justfile").read_text())
    assert len(named) >= 3
    assert all((ROOT / name).is_file() for name in named)
