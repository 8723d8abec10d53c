"""What a signal finds: the loop saves and ends, and the same command makes up for what it left."""

from __future__ import annotations

import os
import signal

import pytest

from vitctl.artifacts import Store
from vitctl.artifacts.runs import run_of
from vitctl.errors import InterruptedRun
from vitctl.events import Trained
from vitctl.recipes import branching
from vitctl.train.run import trainer
from vitctl.train.run.images import Images
from vitctl.train.telemetry.metrics import read

SCORED = {"eval_every": 2}


@pytest.fixture
def terminate(monkeypatch):
    """terminate(n): a SIGTERM while the n-th scoring is under way."""
    honest = Images.eval_batches

    def call(number):
        begun = 0

        def batches(self, split, layout):
            nonlocal begun
            begun += 1
            for batch in honest(self, split, layout):
                if begun == number:
                    os.kill(os.getpid(), signal.SIGTERM)
                yield batch

        monkeypatch.setattr(Images, "eval_batches", batches)

    return call


def scores(checkpoint):
    rows = read(run_of(checkpoint).metrics)
    return [row for row in rows if row["kind"] == "eval"]


def test_scoring_is_broken_off_and_made_up_for(uninterrupted, pretrain, terminate, tmp_path):
    whole = uninterrupted(8, runtime=SCORED)
    assert [row["step"] for row in scores(whole)] == [2, 4, 6, 8]

    terminate(3)
    with pytest.raises(InterruptedRun, match="SIGTERM after step 6"):
        pretrain(8, store="b", runtime=SCORED)
    (run,) = Store(tmp_path / "b").entries()
    assert run.steps() == [4, 6]
    assert [row["step"] for row in read(run.metrics) if row["kind"] == "eval"] == [2, 4]

    before = run.checkpoint(6)
    assert before.summary["eval"] is None
    again = pretrain(8, store="b", runtime=SCORED | {"keep_newest": 4})
    assert again.digest == whole.digest
    assert scores(again) == scores(whole)
    after = run.checkpoint(6)
    assert (after.id, after.digest) == (before.id, before.digest)
    for name in ("top1", "top5", "loss"):
        assert after.summary["eval"][name] == scores(whole)[2][name]
    assert {**after.summary, "eval": None} == before.summary
    assert after.check_contents() == []


def test_the_last_scores_are_a_part_of_the_result(pretrain, terminate):
    """They come to their end, and so does the command."""
    terminate(4)
    done = pretrain(8, runtime=SCORED)
    assert [row["step"] for row in scores(done)] == [2, 4, 6, 8]
    assert done.summary["eval"]["top1"] == scores(done)[-1]["top1"]


def test_a_cooldown_that_waits_is_told_of_when_its_trunk_has_moved_on(trained, pretrain, cooldown):
    trunk = trained(4)

    def interrupt(event):
        if isinstance(event, Trained) and event.step == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(InterruptedRun):
        cooldown(trunk, 4, emit=interrupt)
    assert branching.unfinished_before(trunk) is None
    newest = pretrain(8)
    sentence = branching.unfinished_before(newest)
    assert sentence is not None
    assert f"--from {run_of(trunk).path}@4" in sentence
    cooldown(trunk, 4)
    assert branching.unfinished_before(newest) is None


def test_a_program_that_calls_a_stage_may_be_told_to_stop_at_any_time(pretrain, monkeypatch):
    """Before the loop, too: what is raised there needs a command that knows of it."""
    begin = trainer._begin

    def recorded(*args, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        return begin(*args, **options)

    monkeypatch.setattr(trainer, "_begin", recorded)
    with pytest.raises(InterruptedRun, match="SIGTERM after step 1"):
        pretrain(8)
