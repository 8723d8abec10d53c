"""Bitwise promises: what a run computes does not depend on how it was interrupted or split."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from tests import rounding
from tests.compiling import QUICK
from tests.forking import COMMAND, TRAINING, Forked
from tests.train.conftest import contents
from tests.waiting import PATIENCE_S, until
from vitctl.artifacts import Artifact, Run, Store
from vitctl.artifacts.runs import run_of
from vitctl.data import pipeline
from vitctl.events import Note, Trained
from vitctl.train.telemetry.metrics import read


def wait_for(run: Run, step: int) -> None:
    """Until a checkpoint is there: it is written while training goes on."""
    until(lambda: step in run.steps(), f"no checkpoint of step {step} appeared")


def losses(checkpoint: Artifact) -> dict[int, float]:
    run = run_of(checkpoint)
    assert run is not None
    return {row["step"]: row["loss"] for row in read(run.metrics) if row["kind"] == "train"}


def test_two_identical_runs_are_equal(pretrain):
    first, second = pretrain(8, store="a"), pretrain(8, store="b")
    assert first.digest == second.digest
    assert first.id == second.id
    assert losses(first) == losses(second)


def test_another_seed_is_another_run(pretrain):
    assert pretrain(4, store="a").digest != pretrain(4, store="b", seed=1).digest


@pytest.mark.smoke
def test_more_steps_continue_the_same_run(pretrain):
    short = pretrain(4, store="a")
    long = pretrain(8, store="a")
    assert run_of(short).path == run_of(long).path
    assert long.digest == pretrain(8, store="b").digest


def test_the_same_command_again_trains_nothing(pretrain):
    first = pretrain(8, store="a")
    seen = []
    assert pretrain(8, store="a", emit=seen.append).digest == first.digest
    assert not [event for event in seen if isinstance(event, Trained)]


def test_fewer_steps_return_that_checkpoint(pretrain):
    pretrain(8, store="a")
    four = pretrain(4, store="a")
    six = pretrain(6, store="a")  # not kept: trained again from step 4
    assert (four.step, six.step) == (4, 6)
    assert six.digest == pretrain(6, store="b").digest
    assert sorted(losses(six)) == list(range(1, 9))  # and the longer run's rows are left alone


@pytest.mark.smoke
def test_trunk_and_cooldown_equal_one_run_with_a_cooldown(pretrain, cooldown):
    trunk = pretrain(8, store="a")
    branch = cooldown(trunk, 4)
    whole = pretrain(12, store="b", schedule={"cooldown_steps": 4})
    assert contents(branch) == contents(whole)
    assert branch.summary["finished_schedule"]


def test_a_cooldown_leaves_the_trunk_alone(pretrain, cooldown):
    trunk = pretrain(8, store="a")
    before = {p: p.read_bytes() for p in run_of(trunk).path.rglob("*") if p.is_file()}
    cooldown(trunk, 4)
    after = {p: p.read_bytes() for p in run_of(trunk).path.rglob("*") if p.is_file()}
    assert before == after
    assert pretrain(12, store="a").digest == pretrain(12, store="b").digest


def test_a_cooldown_begun_while_the_trunk_trains_equals_one_begun_after(
    pretrain, cooldown, tmp_path
):
    branches = []

    def emit(event):
        if isinstance(event, Trained) and event.step == 6 and not branches:
            (run,) = Store(tmp_path / "a").entries()
            assert isinstance(run, Run)
            assert run.is_working
            wait_for(run, 4)
            branches.append(cooldown(run.checkpoint(4), 4, store="a"))

    trunk = pretrain(8, store="a", emit=emit)
    later = cooldown(run_of(pretrain(8, store="b")).checkpoint(4), 4, store="b")
    assert branches[0].digest == later.digest
    assert trunk.digest == pretrain(8, store="b").digest


def test_a_run_that_trains_answers_at_once_for_what_it_is_done_with(pretrain):
    answer = pretrain(4)
    found = []

    def no_waiting(event):
        if isinstance(event, Note):
            raise AssertionError(event.text)

    def emit(event):
        if isinstance(event, Trained) and event.step == 6:
            found.append(pretrain(4, emit=no_waiting))

    pretrain(8, emit=emit)
    assert [checkpoint.digest for checkpoint in found] == [answer.digest]


def test_an_interrupted_cooldown_finds_its_beginning_again(pretrain, cooldown, tmp_path):
    """The trunk keeps its newest checkpoint alone, and trains on while the branch lies about."""
    thin = {"checkpoint_every": 4, "keep_every": 100, "keep_newest": 1}
    (tmp_path / "b").mkdir()
    wanted = cooldown(pretrain(4, store="b"), 4, store="b")

    def crash(event):
        if isinstance(event, Trained):
            raise ConnectionError

    def emit(event):
        if isinstance(event, Trained) and event.step == 6:
            (run,) = Store(tmp_path / "a").entries()
            wait_for(run, 4)
            with pytest.raises(ConnectionError):
                cooldown(run.checkpoint(4), 4, store="a", emit=crash)

    trunk = run_of(pretrain(12, store="a", runtime=thin, emit=emit))
    assert trunk.steps() == [4, 12]
    assert cooldown(trunk.checkpoint(4), 4, store="a").digest == wanted.digest
    pretrain(20, store="a", runtime=thin)
    assert trunk.steps() == [12, 20]  # 12 was an answer


@pytest.mark.smoke
def test_one_device_and_eight_agree(pretrain, monkeypatch):
    """As far as sums of a batch in another order let them."""

    def trained(name, devices):
        checkpoint = pretrain(8, store=name, runtime={"devices": devices})
        return list(losses(checkpoint).values())

    one, eight = trained("one", 1), trained("eight", 8)
    turned = []
    for rows in (1, 5, 11):
        monkeypatch.setattr(pipeline, "train_batches", rounding.turned(rows))
        turned.append(trained(f"turned{rows}", 1))
        monkeypatch.undo()
    rounding.check(eight, one, turned, terms=16 * 4)


def test_the_rate_that_is_logged_is_the_rate_that_was_used(pretrain):
    run = run_of(pretrain(8, store="a"))
    rates = {row["step"]: row["lr"] for row in read(run.metrics) if row["kind"] == "train"}
    # Closed form of rsqrt with warmup 2, timescale 4, peak 0.01; update t uses s(t - 1).
    expected = {1: 0.0, 2: 0.005, 3: 0.01} | {
        t: 0.01 / np.sqrt(1 + (t - 3) / 4) for t in range(4, 9)
    }
    for step, rate in expected.items():
        assert rates[step] == pytest.approx(rate, rel=1e-6, abs=1e-12)


WORDS = """
pretrain --mock --model test --res 16 --batch 16 --warmup 2 --steps 24 --quiet --checkpoint-every 4
--set model.classes=4 --set model.depth=1 --set optim.name=adafactor
--set data.mock.examples=40 --set data.mock.eval_examples=8 --set data.augment.mixup_alpha=none
"""


# The command line, telling at its end whether it loaded what reads images from disk.
PROGRAM = f"""
import atexit, sys
loaded = lambda: {{"tensorflow", "array_record"}} & sys.modules.keys()
atexit.register(lambda: print("loaded:", sorted(loaded()), file=sys.stderr))
{COMMAND}
"""


ALONE = {**os.environ, "XLA_FLAGS": QUICK}


def started(store: Path) -> Forked:
    return Forked(
        PROGRAM,
        *WORDS.split(),
        "--store",
        store,
        preload=TRAINING,
        env=ALONE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(store: Path) -> Artifact:
    process = started(store)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert "loaded: []" in err  # made-up images need neither
    return Artifact.load(Path(out.strip()))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Artifact:
    return finish(tmp_path_factory.mktemp("whole"))


@pytest.mark.smoke
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_interrupted_run_ends_as_if_it_had_not_been(tmp_path, uninterrupted, number):
    process = started(tmp_path)
    random.seed(number)
    _wait_for_checkpoint(tmp_path, process)
    time.sleep(random.random() * 0.2)
    process.send_signal(number)
    out, error = process.communicate(timeout=PATIENCE_S)
    if number == signal.SIGTERM and process.returncode != 0:
        assert process.returncode == 10, error
        assert "stopped: SIGTERM after step" in error
        assert out == ""
    again = finish(tmp_path)
    assert again.digest == uninterrupted.digest
    assert losses(again) == losses(uninterrupted)
    steps = [row["step"] for row in read(run_of(again).metrics) if row["kind"] == "train"]
    assert steps == sorted(set(steps))


def _wait_for_checkpoint(store: Path, process: subprocess.Popen) -> None:
    def appeared() -> bool:
        return any(store.glob("pretrain/*/checkpoints/*/artifact.json"))

    until(lambda: appeared() or process.poll() is not None, "no checkpoint appeared")


def test_volatile_files_are_the_only_ones_that_differ(pretrain):
    first, second = pretrain(8, store="a"), pretrain(8, store="b")
    differing = {
        a.path
        for a, b in zip(first.manifest.files, second.manifest.files, strict=True)
        if a.sha256 != b.sha256
    }
    assert differing <= {f.path for f in first.manifest.files if f.volatile}
    assert json.loads((first.path / "position.json").read_text())["step"] == 8
