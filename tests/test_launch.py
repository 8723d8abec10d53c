"""The command in a place where the user has a `stages`, too."""

from __future__ import annotations

import runpy
import subprocess
import sys
from multiprocessing.spawn import get_preparation_data
from pathlib import Path

import pytest

import stages
from tests.waiting import PATIENCE_S
from vitctl import launch
from vitctl.launch import load_own


@pytest.fixture
def strangers(tmp_path, monkeypatch):
    """Another `stages` comes first on the path, and is loaded."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "stages"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)

    def written(name):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine = True")
        return tmp_path

    yield written
    for name in [name for name in sys.modules if name.partition(".")[0] == "stages"]:
        del sys.modules[name]  # those of before are put back


@pytest.mark.parametrize("name", ["stages.py", "stages/__init__.py", "stages/pretrain.py"])
@pytest.mark.parametrize("loaded", [False, True])
def test_its_own_stages_are_taken(strangers, name, loaded):
    strangers(name)
    if loaded:
        __import__("stages")
    load_own()
    own = sys.modules["stages"]
    assert Path(own.__file__).samefile(stages.__file__)
    assert not hasattr(own, "mine")
    load_own()
    assert sys.modules["stages"] is own
    from stages.app import VERBS

    assert "pretrain" in VERBS


def test_the_package_is_the_command(monkeypatch):
    """`python -m vitctl`; its workers begin in the module that loads the right `stages`."""
    begun = []

    def begin():
        begun.append((get_preparation_data("w")["init_main_from_name"], sys.argv[0]))

    monkeypatch.setattr(launch, "main", begin)
    runpy.run_module("vitctl", run_name="__main__", alter_sys=True)
    assert begun == [("vitctl.launch", "vitctl")]
    runpy.run_module("vitctl")  # imported it runs nothing
    assert len(begun) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "started", [["-c", "from vitctl.launch import main; main()"], ["-m", "vitctl"]]
)
def test_the_command_in_an_interpreter_of_its_own(strangers, started):
    """One that has PYTHONPATH from the start: 3 s."""
    folder = strangers("stages/__init__.py")
    done = subprocess.run(
        [sys.executable, *started, "ls", "--store", "none"],
        cwd=folder,
        env={"PYTHONPATH": f"{folder}:{Path(stages.__file__).parents[1]}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (done.returncode, "nothing in none" in done.stderr) == (0, True), done.stderr
