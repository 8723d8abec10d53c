"""examples/speedrun: the script that trains an entry once a seed, and its row of the table."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from vitctl.errors import UsageError
from vitctl.recipes import pretraining
from vitctl.recipes.pretraining import ImageFacts
from vitctl.settings.overrides import build, read_toml
from vitctl.settings.trees import merge
from vitctl.train.config import TrainConfig

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "speedrun"
ENTRIES = sorted(FOLDER.glob("*.toml"))


@pytest.fixture
def speedrun(monkeypatch):
    spec = importlib.util.spec_from_file_location("speedrun", FOLDER / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "speedrun", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "keep_to_the_class", lambda: None)
    monkeypatch.setattr(module, "vitctl", lambda *_: Path("/digits"))
    monkeypatch.setattr(module, "processor", lambda: "2 cores of a CPU")
    return module


def trained(speedrun, monkeypatch, *shares):
    """Seeds that take 1 + seed, 10 + seed and 20 + seed seconds; the first was cold."""
    monkeypatch.setattr(
        speedrun,
        "trained",
        lambda entry, *, dataset, seed: speedrun.Trained(
            shares[seed], 10.0 + seed, 1.0 + seed, 20.0 + seed, 700
        ),
    )
    command = ["run.py", str(ENTRIES[0]), "--seeds", str(len(shares))]
    monkeypatch.setattr(sys, "argv", command)


def test_the_row_has_medians_of_the_warm_seeds_and_the_mean_of_all(speedrun, monkeypatch, capsys):
    trained(speedrun, monkeypatch, 0.95, 0.96, 0.97, 0.96)
    speedrun.main()
    cells = [cell.strip() for cell in capsys.readouterr().out.split("|")[1:-1]]
    assert cells[:6] == [f"`{ENTRIES[0].stem}`", "3.0", "12.0", "10.0", "22.0", "700"]
    assert cells[6] == "96.0% (95.0% to 97.0%, 4)"
    assert cells[7].startswith("2 cores of a CPU, jax ")


def test_an_entry_below_the_goal_does_not_count(speedrun, monkeypatch, capsys):
    trained(speedrun, monkeypatch, 0.96, 0.93)
    with pytest.raises(SystemExit, match=r"does not count: the mean of top-1 is 94.50%"):
        speedrun.main()
    assert "94.5%" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("setup", "sentence"),
    [
        (
            "del os.sched_getaffinity, os.sched_setaffinity; platform.system = lambda: 'Darwin'",
            "error: a run is kept to 2 cores, which Darwin does for no process",
        ),
        (
            "os.sched_getaffinity = lambda _: {0}",
            "error: a run has 2 cores, but this process may use 1",
        ),
    ],
    ids=["no affinity", "one core"],
)
def test_a_machine_of_another_class_is_one_sentence(setup, sentence):
    file = str(FOLDER / "run.py")
    code = (
        f"import os, platform, runpy, sys; {setup}; sys.argv = [{file!r}]; "
        f"runpy.run_path({file!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (UsageError.exit_code, "")
    said, hint = done.stderr.splitlines()
    assert said == sentence
    assert hint.startswith("hint: run it ")


def test_every_entry_has_a_row_and_no_row_is_without_its_file():
    readme = (FOLDER / "README.md").read_text()
    rows = [line.split("`")[1] for line in readme.splitlines() if line.startswith("| `")]
    assert sorted(rows) == [entry.stem for entry in ENTRIES]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda path: path.stem)
def test_an_entry_is_what_pretrain_takes_with_its_own_length(entry):
    settings = read_toml(entry)
    steps = settings["schedule"]["total_steps"]
    cfg = pretraining.resolve(
        model=settings["name"],
        recipe=settings.get("recipe"),
        images=ImageFacts(examples=1258, classes=10, eval_split="val"),
        duration=(steps, "steps"),
        overrides=settings,
    )
    trained = build(TrainConfig, merge(cfg.tree, {"precision": "float32"}))
    assert trained.schedule.total_steps == steps
    assert trained.model.classes == 10
