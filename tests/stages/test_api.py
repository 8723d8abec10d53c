"""The Python API and the command line make the same artifact of the same words."""

from __future__ import annotations

import importlib

import pytest
import typer

from stages import api
from stages.app import app
from tests import made
from vitctl.artifacts import Artifact, Store
from vitctl.errors import UsageError


class Made(Exception):
    """Thrown in place of the work, with the settings it would begin with."""


@pytest.fixture
def both(tmp_path, monkeypatch):
    """(settings, inputs, runtime) of a stage by the command line and by the API; neither works."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vitctl.console.guarded.silence_stdout", lambda: None)
    monkeypatch.setattr("vitctl.console.session.stdin_is_pipe", lambda: False)

    def compare(stage, words, call):
        calls = []

        def run(cfg, inputs, *, store, runtime, emit):
            calls.append((cfg, inputs, runtime))
            raise Made

        monkeypatch.setattr(importlib.import_module(f"stages.{stage}.run"), "run", run)
        command = typer.main.get_command(app)
        with pytest.raises(SystemExit):  # a bug, as far as the command line knows
            command.main([stage, *words], prog_name="vitctl", standalone_mode=False)
        with pytest.raises(Made):
            call()
        shell, python = calls
        return shell, python

    return compare


def named(inputs):
    return {
        name: value.id if isinstance(value, Artifact) else value
        for name, value in vars(inputs).items()
    }


def test_pretrain(both):
    (cfg, inputs, runtime), (again, same, other) = both(
        "pretrain",
        [
            "--model",
            "S/16",
            "--mock",
            "--steps",
            "20k",
            "--batch",
            "64",
            "--wd-head",
            "1",
            "--set",
            "seed=3",
            "--workers",
            "2",
        ],
        lambda: api.pretrain(
            model="S/16",
            mock=True,
            steps=20_000,
            set={"data.batch": 64, "optim.wd_head": 1, "seed": 3},
            runtime={"workers": 2},
        ),
    )
    assert cfg == again
    assert cfg.optim.wd_head == 1
    assert cfg.schedule.total_steps == 20_000
    assert (inputs, runtime) == (same, other)


def test_what_begins_from_a_checkpoint(both, tmp_path):
    checkpoint = made.checkpoint(Store(tmp_path / "artifacts"), cooled=False)
    source = str(checkpoint.path)
    for stage, words, call in (
        (
            "cooldown",
            ["--steps", "2", "--shape", "1-sqrt", "--name", "short"],
            lambda: api.cooldown(checkpoint, steps=2, shape="1-sqrt", name="short"),
        ),
        (
            "fewshot",
            ["--shots", "2,1", "--draws", "3", "--features", "pixels"],
            lambda: api.fewshot(source, shots=[2, 1], features="pixels", set={"draws": 3}),
        ),
        (
            "export",
            ["--to", "safetensors", "--no-classifier", "--name", "given"],
            lambda: api.export(source, to="safetensors", no_classifier=True, name="given"),
        ),
        ("evaluate", ["--set", "eval_split=val"], lambda: api.evaluate(set={"eval_split": "val"})),
    ):
        (cfg, inputs, runtime), (again, same, other) = both(stage, ["--from", source, *words], call)
        assert cfg == again, stage
        assert named(inputs) == named(same), stage
        assert runtime == other, stage


def test_what_takes_several_checkpoints(both, tmp_path):
    store = Store(tmp_path / "artifacts")
    of = [made.checkpoint(store, step=step, saved=False, cooled=False) for step in (4, 8, 12)]
    for words, call in (
        (
            [str(of[0].path), str(of[2].path), "--rule", "ema", "--decay", "0.5"],
            lambda: api.average(of[0], of[2], set={"rule": "ema", "decay": 0.5}),
        ),
        (["made", "--last", "2"], lambda: api.average("made", last=2)),
    ):
        (cfg, inputs, runtime), (again, same, other) = both("average", words, call)
        assert cfg == again
        assert [c.id for c in inputs.checkpoints] == [c.id for c in same.checkpoints]
        assert len(inputs.checkpoints) == 2
        assert runtime == other


def test_what_is_no_argument_is_a_type_error_that_helps():
    with pytest.raises(TypeError, match=r"no argument 'stor'; did you mean store="):
        api.pretrain(stor="x")
    with pytest.raises(TypeError, match=r"a setting goes into set=\{'batch': \.\.\.\}"):
        api.pretrain(batch=3)


def test_errors_name_the_setting(tmp_path):
    with pytest.raises(UsageError, match=r"no setting 'optim\.wd_haed'") as raised:
        api.pretrain(mock=True, set={"optim.wd_haed": 1}, store=tmp_path)
    assert "optim.wd_head" in raised.value.hint
    with pytest.raises(UsageError, match="both give the length"):
        api.pretrain(mock=True, steps=3, epochs=1, store=tmp_path)
    with pytest.raises(UsageError, match="no finished checkpoint"):
        api.cooldown(store=tmp_path)
