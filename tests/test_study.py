"""The scaling study: its grid makes sense, and its script says what vitctl understands. Its hour of
training is not run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from stages.sweep.grid import expand
from stages.sweep.spec import SweepConfig
from stages.sweep.trunks import searches_of
from tests.test_clusters import understood
from vitctl.recipes.pretraining import ImageFacts
from vitctl.settings.overrides import build, read_toml

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "scaling_study"


def test_the_grid_is_4_by_4_by_4_and_about_an_hour():
    cfg = build(SweepConfig, read_toml(FOLDER / "grid.toml"))
    trunks = expand(cfg, ImageFacts(20 * 775, 20, eval_split="val"))
    assert len({trunk.model for trunk in trunks}) == 4
    assert len({trunk.size for trunk in trunks}) == 4
    assert all(len(trunk.branches) == 4 for trunk in trunks)
    assert len(searches_of(trunks)) == 4
    flops = sum(t.flops for t in trunks) + sum(s.flops for s in searches_of(trunks).values())
    assert flops == pytest.approx(9.11e13, rel=0.01)  # as the header says
    widths = sorted({trunk.cfg.model.width for trunk in trunks})
    assert widths == [32, 64, 96, 128]


def test_the_example_of_a_sweep_makes_sense():
    """The grid of examples/sweep, on scikit-learn's 1,797 digits."""
    cfg = build(SweepConfig, read_toml(FOLDER.parent / "sweep" / "digits.toml"))
    trunks = expand(cfg, ImageFacts(1258, 10, eval_split="val"))
    assert sum(len(trunk.branches) for trunk in trunks) == 8


CLAIMS = sorted((FOLDER / "claims").glob("*.toml"))
IMAGES = ImageFacts(20 * 775, 20, eval_split="val")


def test_the_claims_are_these():
    assert [file.stem for file in CLAIMS] == ["head-decay", "heads", "schedules", "seeds"]


@pytest.mark.parametrize("file", CLAIMS, ids=lambda file: file.stem)
def test_a_claim_is_of_the_grid_with_three_seeds_and_says_its_cost(file):
    """Its settings and models are the grid's, so that its runs compare with those."""
    cfg, whole = (build(SweepConfig, read_toml(one)) for one in (file, FOLDER / "grid.toml"))
    assert {*cfg.models} <= {*whole.models}
    assert cfg.settings == whole.settings
    assert cfg.cooldown == whole.cooldown
    assert {*cfg.durations.images} <= {*whole.durations.images}
    assert cfg.axes["seed"] == [0, 1, 2]
    trunks = expand(cfg, IMAGES)
    flops = sum(t.flops for t in trunks) + sum(s.flops for s in searches_of(trunks).values())
    header = file.read_text().partition("models =")[0]
    (said,) = re.findall(r"takes (\S+e13|\S+e12) FLOPs", header)
    assert flops == pytest.approx(float(said), rel=0.01)


def test_decisive_cells_are_runs_of_the_grid():
    grid, seeds = (
        expand(build(SweepConfig, read_toml(file)), IMAGES)
        for file in (FOLDER / "grid.toml", FOLDER / "claims" / "seeds.toml")
    )

    def runs(trunks):
        return {
            (t.size, str(b.cfg.identity()), b.steps, b.cooldown) for t in trunks for b in t.branches
        }

    first = [trunk for trunk in seeds if trunk.axes["seed"] == 0]
    assert runs(first) < runs(grid)
    assert not runs(one for one in seeds if one not in first) & runs(grid)
    assert {*searches_of(seeds)} < {*searches_of(grid)}


def commands(tmp_path, *arguments, fits=True):
    """What the script calls `vitctl` with, where a fit can be made or not; no table is made."""
    program, log = tmp_path / "vitctl", tmp_path / "log"
    python = tmp_path / "python3"
    python.write_text(f'#!/usr/bin/env bash\nprintf "%q " "$@" >>{tmp_path}/tables\n')
    python.chmod(0o755)
    program.write_text(
        f'#!/usr/bin/env bash\nprintf "%q " "$@" >>{log}; echo >>{log}\n'
        f'[ "$1 $2" != "scaling fit" ] || {"true" if fits else "exit 3"}\necho "made/$1"\n'
    )
    program.chmod(0o755)
    done = subprocess.run(
        ["bash", str(FOLDER / "study.sh"), *arguments],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [shlex.split(line) for line in log.read_text().splitlines()]


@pytest.mark.parametrize("fits", [True, False])
def test_the_script_makes_pictures_trains_fits_and_reports(tmp_path, fits):
    said = commands(tmp_path, "store", "--part", "1/4", fits=fits)
    for command in said:
        understood(command)
    verbs = [command[0] for command in said]
    figures = ["scaling"] if fits else []
    assert verbs == ["shard"] * 4 + ["sweep", "scaling", *figures, "report"]
    sweep = next(command for command in said if command[0] == "sweep")
    assert sweep[1] == str(FOLDER / "grid.toml")
    assert sweep[2:] == ["--data", "made/shard", "--name", "study", "--part", "1/4"]
    report = said[-1]
    assert ("made/scaling" in report) == fits
    # Probes are on the datasets that the script makes.
    cfg = build(SweepConfig, read_toml(FOLDER / "grid.toml"))
    names = {command[command.index("--name") + 1] for command in said if command[0] == "shard"}
    assert {probe.data for probe in cfg.probes if probe.data} < names


def test_a_dry_run_trains_and_fits_nothing(tmp_path):
    said = commands(tmp_path, "--dry-run")
    assert [command[0] for command in said] == ["shard"] * 4 + ["sweep"]


def test_claims_are_trained_by_a_flag(tmp_path):
    said = commands(tmp_path, "store", "--claims", "--part", "1/2")
    for command in said:
        understood(command)
    assert [command[0] for command in said] == ["shard"] * 5 + ["sweep"] * 4 + ["report"]
    sweeps = [command for command in said if command[0] == "sweep"]
    assert [command[1] for command in sweeps] == [str(file) for file in CLAIMS]
    for file, sweep in zip(CLAIMS, sweeps, strict=True):
        assert sweep[2:] == ["--data", "made/shard", "--name", file.stem, "--part", "1/2"]
    names = {command[command.index("--name") + 1] for command in said if command[0] == "shard"}
    for file in CLAIMS:
        probes = build(SweepConfig, read_toml(file)).probes
        assert {probe.data for probe in probes if probe.data} < names
    assert said[-1].count("made/sweep") == 4
    tables = shlex.split((tmp_path / "tables").read_text())
    assert tables == [str(FOLDER / "tables.py"), *["made/sweep"] * 4]


def test_one_claim_and_its_plan(tmp_path):
    said = commands(tmp_path, "--claims=heads", "--dry-run")
    assert [command[0] for command in said] == ["shard"] * 5 + ["sweep"]
    assert said[-1][1] == str(FOLDER / "claims" / "heads.toml")
    assert said[-1][-1] == "--dry-run"


def test_a_claim_that_there_is_none_of(tmp_path):
    done = subprocess.run(
        ["bash", str(FOLDER / "study.sh"), "--claims=haeds"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "heads.toml" in done.stderr
    assert not list(tmp_path.iterdir())
