"""What a real run tells: its events, its rows, where its time went; also when it crashes."""

from __future__ import annotations

import time

import pytest

from tests.train.conftest import config, pretrain_in
from tests.train.telemetry.test_tensorboard import scalars
from vitctl.artifacts.runs import run_of
from vitctl.events import Doing, Scored, Spent, Stepped, Trail, Trained
from vitctl.model import accounting
from vitctl.train.run import reporting
from vitctl.train.telemetry import goodput
from vitctl.train.telemetry.metrics import read


class Crash(Exception):
    pass


def until(step):
    """Crash when that step is told."""

    def emit(event):
        if isinstance(event, Trained) and event.step == step:
            raise Crash

    return emit


@pytest.fixture(scope="module")
def crashed(tmp_path_factory):
    """A run to step 8 that died at step 7, three steps after its checkpoint; and its second
    start's events."""
    pretrain = pretrain_in(tmp_path_factory.mktemp("crashed"))
    with pytest.raises(Crash):
        pretrain(8, store="a", emit=until(7))
    events = []
    done = pretrain(8, store="a", emit=events.append)
    return run_of(done), events


def test_tensorboard_has_each_row_of_the_metrics_once(crashed):
    run, _ = crashed
    rows = [(row["kind"], row["step"]) for row in read(run.metrics)]
    # A checkpoint is told when it is written, which is some steps later, or never after a crash.
    steps = [("train", s) for s in (1, 2, 3, 4)] + [("eval", 4)]
    steps += [("train", s) for s in (5, 6, 7, 8)] + [("eval", 8)]
    assert [row for row in rows if row[0] != "save"] == steps
    result = scalars(run.path)
    assert sorted(result) == sorted(set(result))
    assert {(tag.split("/")[0], step) for tag, step in result} == set(rows)


def test_work_that_is_done_again_is_told_from_new_work(crashed):
    run, _ = crashed
    first, second = goodput.read(run.path / goodput.FILE)
    assert (first.ended, second.ended) == ("stopped", "finished")
    assert (second.from_step, second.step) == (4, 8)
    assert first.seconds["redone"] == 0
    assert second.seconds["redone"] > 0  # steps 5, 6 and 7
    assert second.seconds["step"] > 0  # step 8
    for account in ("step", "compile", "checkpoint", "evaluation", "start"):
        assert first.seconds[account] > 0, account


def test_the_accounts_sum_to_the_wall_time(crashed):
    """Measured from outside: from when the first start began to when the second ended."""
    run, _ = crashed
    rows = goodput.read(run.path / goodput.FILE)
    ended = rows[-1].began + rows[-1].seen_s
    assert sum(goodput.total(rows).values()) == pytest.approx(ended - rows[0].began, abs=1e-3)
    assert ended == pytest.approx((run.path / goodput.FILE).stat().st_mtime, abs=0.5)
    assert rows[0].began < time.time()


def test_a_continued_run_shows_what_was_before(crashed):
    run, logged = crashed
    (trail,) = [event for event in logged if isinstance(event, Trail)]
    assert [step for step, _ in trail.losses] == [1, 2, 3, 4]
    told_of = [event for event in logged if isinstance(event, Trained)]
    assert [event.step for event in told_of] == [5, 6, 7, 8]
    losses = {row["step"]: row["loss"] for row in read(run.metrics) if row["kind"] == "train"}
    assert {event.step: event.loss for event in told_of} == {s: losses[s] for s in (5, 6, 7, 8)}


def test_it_says_what_it_does(crashed):
    _, logged = crashed
    doing = [event.activity for event in logged if isinstance(event, Doing)]
    assert doing[:5] == ["start", "restore", "compile", "open", "step"]
    # The last checkpoint is begun, then waited for.
    assert doing[-8:] == ["score", "compile", "score", "step", "save", "step", "save", "step"]
    assert isinstance(logged[-2], Spent)  # then only the next command
    assert [event.step for event in logged if isinstance(event, Scored)] == [8]


def test_model_flops_are_those_of_the_images(crashed):
    _, logged = crashed
    per_image = 3 * accounting.matmul_flops(config(8).model)
    for event in logged:
        if isinstance(event, Trained):
            assert event.flops_per_s == pytest.approx(event.images_per_s * per_image)
            assert event.mfu is None  # nobody publishes the peak of a CPU


def test_event_files_can_be_left_out(pretrain):
    done = pretrain(4, store="a", runtime={"tensorboard": False})
    assert not list(run_of(done).path.glob("events*"))
    assert list(run_of(pretrain(8, store="a")).path.glob("events*"))


def test_finished_steps_are_told_between_rows_and_rows_stay_as_they_are(
    pretrain, uninterrupted, monkeypatch
):
    every = read(run_of(uninterrupted(8)).metrics)
    losses = {row["step"]: row["loss"] for row in every if row["kind"] == "train"}
    monkeypatch.setattr(reporting, "_STEPPED_EVERY_S", 0.0)
    events = []
    done = pretrain(8, store="a", emit=events.append, runtime={"log_every": 8})
    steps = [event for event in events if isinstance(event, Stepped)]
    numbers = [event.step for event in steps]
    # The device runs behind the host: a step may end unseen, but none is told before its end.
    assert numbers[0] <= 4
    assert numbers == sorted(set(numbers))
    assert numbers[-1] < 8
    assert {event.total for event in steps} == {8}
    assert [event.loss for event in steps] == [losses[event.step] for event in steps]
    assert steps[0].left is None
    assert steps[-1].left is not None
    rows = [row["step"] for row in read(run_of(done).metrics) if row["kind"] == "train"]
    assert rows == [8]
