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
from tests.stages.warm import Warm
from tests.train.conftest import ADAFACTOR, contents
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


def test_two_identical_runs_are_equal(uninterrupted, pretrain):
    first, second = uninterrupted(8), pretrain(8)
    assert first.digest == second.digest
    assert first.id == second.id
    assert losses(first) == losses(second)
    differing = {
        a.path
        for a, b in zip(first.manifest.files, second.manifest.files, strict=True)
        if a.sha256 != b.sha256
    }
    assert differing <= {f.path for f in first.manifest.files if f.volatile}
    assert json.loads((second.path / "position.json").read_text())["step"] == 8


def test_another_seed_is_another_run(uninterrupted, pretrain):
    first, other = contents(uninterrupted(4)), contents(pretrain(4, seed=1))
    assert first.keys() == other.keys()
    kernel = "params/head.kernel/c/0/0"
    assert first[kernel] != other[kernel]


@pytest.mark.smoke
def test_more_steps_continue_the_same_run(trained, uninterrupted, pretrain):
    short = trained(4)
    long = pretrain(8)
    assert run_of(short).path == run_of(long).path
    assert long.digest == uninterrupted(8).digest


def test_the_same_command_again_trains_nothing(trained, pretrain):
    first, events = trained(8), []
    assert pretrain(8, emit=events.append).digest == first.digest
    assert not [event for event in events if isinstance(event, Trained)]


def test_fewer_steps_return_that_checkpoint(trained, uninterrupted, pretrain):
    trained(8)
    four = pretrain(4)
    six = pretrain(6)  # not kept: trained again from step 4
    assert (four.step, six.step) == (4, 6)
    assert six.digest == uninterrupted(6).digest
    assert sorted(losses(six)) == list(range(1, 9))  # and the longer run's rows are left alone


@pytest.mark.smoke
def test_trunk_and_cooldown_equal_one_run_with_a_cooldown(pretrain, cooldown):
    trunk = pretrain(8, store="a", **ADAFACTOR)
    branch = cooldown(trunk, 4)
    whole = pretrain(12, store="b", schedule={"cooldown_steps": 4}, **ADAFACTOR)
    assert contents(branch) == contents(whole)
    assert branch.summary["finished_schedule"]


def test_a_cooldown_leaves_the_trunk_alone(trained, uninterrupted, pretrain, cooldown):
    trunk = trained(8)
    before = {p: p.read_bytes() for p in run_of(trunk).path.rglob("*") if p.is_file()}
    cooldown(trunk, 4)
    after = {p: p.read_bytes() for p in run_of(trunk).path.rglob("*") if p.is_file()}
    assert before == after
    assert pretrain(12).digest == uninterrupted(12).digest


def test_a_cooldown_begun_while_the_trunk_trains_equals_one_begun_after(
    trained, uninterrupted, pretrain, cooldown, tmp_path
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
    later = cooldown(run_of(trained(8, store="b")).checkpoint(4), 4, store="b")
    assert branches[0].digest == later.digest
    assert trunk.digest == uninterrupted(8).digest


def test_a_run_that_trains_answers_at_once_for_what_it_is_done_with(trained, pretrain):
    answer, answers = trained(4), []

    def no_waiting(event):
        if isinstance(event, Note):
            raise AssertionError(event.text)

    def emit(event):
        if isinstance(event, Trained) and event.step == 6:
            answers.append(pretrain(4, emit=no_waiting))

    pretrain(8, emit=emit)
    assert [checkpoint.digest for checkpoint in answers] == [answer.digest]


def test_an_interrupted_cooldown_finds_its_beginning_again(trained, pretrain, cooldown, tmp_path):
    """The trunk keeps its newest checkpoint alone, and trains on while the branch lies about."""
    thin = {"checkpoint_every": 4, "keep_every": 100, "keep_newest": 1}
    wanted = cooldown(trained(4, store="b"), 4, store="b")

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
def test_one_device_and_eight_agree(uninterrupted, pretrain, monkeypatch):
    """As far as sums of a batch in another order let them."""

    def on_one(name):
        runtime = {"devices": 1, "checkpoint_every": 8}
        return list(losses(pretrain(8, store=name, runtime=runtime)).values())

    one, eight = on_one("one"), list(losses(uninterrupted(8)).values())
    turned = []
    for rows in (1, 5, 11):
        monkeypatch.setattr(pipeline, "train_batches", rounding.turned(rows))
        turned.append(on_one(f"turned{rows}"))
        monkeypatch.undo()
    rounding.check(eight, one, turned, terms=16 * 4)


def test_the_rate_that_is_logged_is_the_rate_that_was_used(uninterrupted):
    run = run_of(uninterrupted(8))
    rates = {row["step"]: row["lr"] for row in read(run.metrics) if row["kind"] == "train"}
    # Closed form of rsqrt with warmup 2, timescale 4, peak 0.01; update t uses s(t - 1).
    expected = {1: 0.0, 2: 0.005, 3: 0.01} | {
        t: 0.01 / np.sqrt(1 + (t - 3) / 4) for t in range(4, 9)
    }
    for step, rate in expected.items():
        assert rates[step] == pytest.approx(rate, rel=1e-6, abs=1e-12)


WORDS = """
pretrain --mock --model test --res 16 --batch 16 --warmup 2 --steps 24 --quiet --checkpoint-every 4
--set model.classes=4 --set model.depth=1 --set model.head=gap --set optim.name=adafactor
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


@pytest.fixture(scope="module")
def finish(tmp_path_factory):
    """finish(store): the command's answer. One process gives them all: tracing is once 4 s."""
    with Warm(tmp_path_factory.mktemp("warm"), environment=ALONE, preload=TRAINING) as process:

        def call(store: Path) -> Artifact:
            done = process.run(*WORDS.split(), "--store", str(store))
            assert done.code == 0, done.err
            return Artifact.load(Path(done.out.strip()))

        yield call


@pytest.fixture(scope="module")
def never_interrupted(finish, tmp_path_factory) -> Artifact:
    return finish(tmp_path_factory.mktemp("whole"))


@pytest.mark.smoke
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_interrupted_run_ends_as_if_it_had_not_been(tmp_path, finish, never_interrupted, number):
    process = Forked(
        PROGRAM,
        *WORDS.split(),
        "--store",
        tmp_path,
        preload=TRAINING,
        env=ALONE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    random.seed(number)
    _wait_for_checkpoint(tmp_path, process)
    time.sleep(random.random() * 0.2)
    process.send_signal(number)
    out, error = process.communicate(timeout=PATIENCE_S)
    if number == signal.SIGTERM:
        assert "loaded: []" in error  # made-up images need neither
    if number == signal.SIGTERM and process.returncode != 0:
        assert process.returncode == 10, error
        assert "stopped: SIGTERM after step" in error
        assert out == ""
    again = finish(tmp_path)
    assert again.digest == never_interrupted.digest
    assert losses(again) == losses(never_interrupted)
    steps = [row["step"] for row in read(run_of(again).metrics) if row["kind"] == "train"]
    assert steps == sorted(set(steps))


def _wait_for_checkpoint(store: Path, process: subprocess.Popen) -> None:
    def appeared() -> bool:
        return any(store.glob("pretrain/*/checkpoints/*/artifact.json"))

    until(lambda: appeared() or process.poll() is not None, "no checkpoint appeared")
