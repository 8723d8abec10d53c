"""The wheel as users get it: built, installed with what it asks for into an environment of its own,
and used from a folder that is no checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.compiling import QUICK

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


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", out]
    subprocess.run(build, cwd=ROOT, check=True, timeout=300)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """installed(PROGRAM, ARGUMENT...): its standard output, run where the wheel is installed."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True, timeout=300)
    python = folder / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet"]
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if uv is not None:  # a third of the time
        pip = [uv, "pip", "install", "--quiet", "--python", python]
    subprocess.run([*pip, "-c", PINS, f"{wheel}[demo]"], check=True, timeout=1200)
    work = folder / "work"
    work.mkdir()
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "VITCTL", "JAX", "XLA"))
    }
    environment |= {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": QUICK}

    def run(program: str, *arguments: object) -> str:
        done = subprocess.run(
            [python.parent / program, *map(str, arguments)],
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_wheel_has_what_is_read_at_run_time(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in ("vitctl", "stages")
        for path in (ROOT / package).rglob("*")
        if path.suffix in (".py", ".toml", ".json", ".css", ".js") or path.name == "py.typed"
    }
    assert {
        "vitctl/py.typed",
        "stages/py.typed",
        "vitctl/recipes/paper.toml",
        "vitctl/report/page.css",
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
