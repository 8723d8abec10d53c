"""The wheel as users get it: built, installed with what it asks for into an environment of its own,
and used from a folder that is no checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.compiling import QUICK
from tests.fixtures.old_store import make
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
PINS = ROOT / "constraints" / f"py3{sys.version_info.minor}.txt"
_SETTINGS = (
    "model.width=16",
    "model.depth=1",
    "model.mlp_dim=32",
    "model.heads=2",
    "model.patch=8",
    "model.resolution=16",
    "data.batch=16",
    "data.augment.randaugment=none",
    "data.augment.mixup_alpha=none",
    "schedule.warmup_steps=1",
)
TINY = [word for setting in _SETTINGS for word in ("--set", setting)]


def built(project: Path, out: Path) -> Path:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", out]
    subprocess.run(build, cwd=project, check=True, timeout=PATIENCE_S)
    (file,) = out.glob("*.whl")
    return file


def environment(requirement: str, folder: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """call(PROGRAM, ARGUMENT...): run where the requirement is installed, and all it asks for."""
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True, timeout=PATIENCE_S)
    python = folder / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet"]
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if uv is not None:  # a third of the time
        pip = [uv, "pip", "install", "--quiet", "--python", python]
    subprocess.run([*pip, "-c", PINS, requirement], check=True, timeout=2 * PATIENCE_S)
    work = folder / "work"
    work.mkdir()
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "VITCTL", "JAX", "XLA"))
    }
    variables |= {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": QUICK}

    def call(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python.parent / program, *map(str, arguments)],
            cwd=work,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    return call


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return built(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def light_wheel(tmp_path_factory) -> Path:
    return built(ROOT / "light", tmp_path_factory.mktemp("light"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """installed(PROGRAM, ARGUMENT...): its standard output, run where the wheel is installed."""
    call = environment(f"{wheel}[demo]", tmp_path_factory.mktemp("environment"))

    def run(program: str, *arguments: object) -> str:
        done = call(program, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_wheel_has_what_is_read_at_run_time(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    # Whatever its suffix, but what Python makes.
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in ("vitctl", "stages")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {
        "vitctl/py.typed",
        "stages/py.typed",
        "vitctl/recipes/paper.toml",
        "vitctl/report/page.css",
        "vitctl/advice/paper_fewshot.csv",
        "vitctl/data/ilsvrc2012_titles.txt",
    } <= wanted
    schemas = {f"vitctl/schemas/{path.name}" for path in (ROOT / "docs" / "schemas").iterdir()}
    assert schemas
    about = {name for name in names if ".dist-info/" in name}
    assert names - about == wanted | schemas
    assert any(name.endswith("licenses/LICENSE") for name in about)


def test_import_is_instant_and_from_the_environment(installed):
    script = (
        "import sys, vitctl, stages\n"
        "print(vitctl.__file__, stages.__file__)\n"
        "print(sorted({'jax', 'numpy', 'pydantic', 'rich'} & sys.modules.keys()))"
    )
    places, heavy = installed("python", "-c", script).splitlines()
    assert all("/environment" in place and "site-packages" in place for place in places.split())
    assert heavy == "[]"


def test_the_commands(installed):
    shard = ("shard", "digits", "--val-fraction", "0.3", "--workers", "0")
    dataset = installed("vitctl", *shard).strip()
    trunk = installed("vitctl", "pretrain", "--mock", "--steps", "3", *TINY).strip()
    assert trunk.endswith("/3")
    installed("vitctl", "fewshot", "--from", trunk, "--data", dataset, "--shots", "1")
    assert "fewshot" in installed("vitctl", "ls", "--json")
    script = (
        "import numpy, vitctl\n"
        "model = vitctl.load('latest')\n"
        "print(model.apply(numpy.zeros((2, 16, 16, 3))).logits.shape == (2, len(model.classes)))"
    )
    assert installed("python", "-c", script) == "True\n"


def test_an_extra_is_added_by_name_where_it_is_installed(installed):
    """As hints say, although no index has vitctl."""
    said = installed("python", "-m", "pip", "install", "--dry-run", "vitctl[report]")
    assert "Would install" in said
    assert "matplotlib" in said


def test_the_light_wheel_has_the_same_files(wheel, light_wheel):
    contents = []
    for file in (wheel, light_wheel):
        with zipfile.ZipFile(file) as archive:
            names = [name for name in archive.namelist() if ".dist-info/" not in name]
            contents.append({name: archive.read(name) for name in names})
    assert contents[0] == contents[1]


def test_light_uses_models_without_tensorflow(light_wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("light-environment")
    call = environment(str(light_wheel), folder)
    with tarfile.open(Path(make.__file__).with_name("store.tar.xz")) as archive:
        archive.extractall(folder / "work", filter="data")
    spec = "import importlib.util; print(importlib.util.find_spec('tensorflow'))"
    assert call("python", "-c", spec).stdout == "None\n"
    assert call("python", "-m", "pip", "check").returncode == 0
    for command in (
        ("predict", "--from", "cooled", "images"),
        ("evaluate", "--from", "cooled"),
        ("embed", "--from", "cooled"),
        ("fewshot", "--from", "cooled", "--shots", "1"),
    ):
        done = call("vitctl", *command)
        assert done.returncode == 0, done.stderr
        assert done.stdout
    refused = call("vitctl", "shard", "images")
    assert refused.returncode == 2
    assert "hint: install TensorFlow: pip install tensorflow" in refused.stderr
    drawn = call("vitctl", "scaling", "plot", "runs.csv", "--accuracy", "accuracy")
    assert "pip install 'vitctl-light[report]'" in drawn.stderr
    added = call("python", "-m", "pip", "install", "--dry-run", "vitctl-light[report]")
    assert "matplotlib" in added.stdout
    assert "tensorflow" not in added.stdout
