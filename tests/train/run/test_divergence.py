"""What a run does when a step is not finite: the batch is kept, and it may go back and on."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest

from stages.inspect.ls import run as listing
from stages.inspect.show import text as show
from stages.inspect.verify.images import check_consumed
from tests import schemas
from tests.train.conftest import config, contents, pretrain_in
from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.run_info import Rollback, RunInfo, Segment, diverged_in_words
from vitctl.artifacts.runs import run_of
from vitctl.data.order import Window, windows_from_json
from vitctl.errors import DivergedError, InputError, InterruptedRun
from vitctl.events import Caution, Doing, Scored, Spent, Trail, Trained
from vitctl.train.config import TrainRuntime
from vitctl.train.run import rollback
from vitctl.train.run.cadence import Cadence
from vitctl.train.run.images import Images
from vitctl.train.telemetry.metrics import read

ROLLBACK = {"on_divergence": "rollback"}


def spoiled(*numbers):
    """Instead of `Images.train_batches`: one pixel of these batches of the order is no number."""
    honest = Images.train_batches

    def batches(self, layout, *, start_step):
        for batch in honest(self, layout, start_step=start_step):
            if batch.number in numbers:
                batch.images[3, 0, 0, 0] = np.nan
            yield batch

    return batches


@pytest.fixture
def spoil(monkeypatch):
    """spoil(numbers): it is so for the rest of the test."""
    return lambda *numbers: monkeypatch.setattr(Images, "train_batches", spoiled(*numbers))


@pytest.fixture(scope="module")
def gone_back(tmp_path_factory):
    """A run of 12 steps whose batch 5 is spoiled, which nothing but that stopped; its events."""
    events = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Images, "train_batches", spoiled(5))
        pretrain = pretrain_in(tmp_path_factory.mktemp("gone_back"))
        return pretrain(12, emit=events.append, runtime=ROLLBACK), events


def weights(checkpoint):
    return {n: s for n, s in contents(checkpoint).items() if n.startswith(("params/", "opt/"))}


def test_the_batch_is_kept_and_nothing_of_it_applied(pretrain, spoil, tmp_path):
    spoil(5)
    for _ in range(2):  # the second time it is there already
        with pytest.raises(DivergedError, match="step 6 diverged") as caught:
            pretrain(8)
        assert caught.value.exit_code == 11
        assert "--on-divergence rollback" in (caught.value.hint or "")
    (run,) = Store(tmp_path / "a").entries()
    assert run.steps() == [4]
    assert [row["step"] for row in read(run.metrics) if row["kind"] == "train"] == [1, 2, 3, 4, 5]

    (place,) = run.batches()
    artifact = Artifact.load(place)
    assert artifact.check_contents() == []
    schemas.check(artifact.as_json(), "artifact")
    assert (artifact.kind, artifact.summary["step"], artifact.summary["loss"]) == (
        "batch",
        6,
        "nan",
    )
    images = Images(_dataset(), config(8))
    batch = next(images.train_batches(_layout(), start_step=5))
    for name in ("images", "labels", "keys"):  # as trained: with the pixel, and replayed the same
        stored = np.load(place / f"{name}.npy", allow_pickle=False)
        np.testing.assert_array_equal(stored, getattr(batch, name))
    assert np.isnan(batch.images).sum() == 1
    content = json.loads((place / "batch.json").read_text())
    assert [image["key"] for image in content["images"]] == batch.keys.tolist()
    assert content["lr"] == pytest.approx(0.01 / np.sqrt(1 + 3 / 4), rel=1e-6)

    rows = listing.rows(Store(tmp_path / "a"), kind="batch")
    assert [(row.path, row.steps, row.state) for row in rows] == [(place, (6,), "finished")]


def _dataset():
    from vitctl.data.mock import MockDataset

    return MockDataset(classes=4, train_examples=40, val_examples=20)


def _layout():
    from vitctl.sharding import layout

    return layout.make(devices=1)


def test_it_goes_back_and_on_without_that_stretch(pretrain, gone_back, monkeypatch):
    """Bitwise a run that was fed all other batches, one after another."""
    honest = Images.train_batches
    done, events = gone_back
    run = run_of(done)
    (back,) = run.info.rollbacks
    assert (back.diverged, back.step, back.batches, back.loss) == (6, 4, 2, "nan")
    assert (run.path / back.kept / "artifact.json").exists()
    assert any("going back to step 4" in line for line in show.of_run(run))
    assert any("passing over 2 batches" in e.text for e in events if isinstance(e, Caution))
    assert done.config["passed"] == [[4, 2]]
    assert done.summary["passed"] == 2
    assert json.loads((done.path / "position.json").read_text())["passed"] == [[4, 2]]
    assert "passed" not in run.checkpoint(4).config
    assert check_consumed(done, store=Store("none")) == ([], [])
    steps = [row["step"] for row in read(run.metrics) if row["kind"] == "train"]
    assert steps == list(range(1, 13))
    # Told once, at the end; what was compiled stays compiled; the curve goes back as well.
    assert [event for event in events if isinstance(event, Spent)] == [events[-2]]
    assert sum(isinstance(e, Doing) and e.activity == "compile" for e in events) == 2
    assert [len(event.losses) for event in events if isinstance(event, Trail)] == [0, 4]

    def without(self, layout, *, start_step):
        assert start_step == 0
        others = (b for b in honest(self, layout, start_step=0) if b.number not in (4, 5))
        for step, batch in enumerate(others):
            yield type(batch)(**{**vars(batch), "step": step})

    monkeypatch.setattr(Images, "train_batches", without)
    assert weights(pretrain(12)) == weights(done)


def test_interrupted_or_not_it_goes_back_to_the_same_step(pretrain, spoil, gone_back):
    """SIGTERM saves step 5, off the cadence; what follows is trained from step 4 all the same.
    Killed right after it went back (the checkpoint of 5 not even dropped), as well."""
    spoil(5)
    whole, _ = gone_back

    def terminate(event):
        if isinstance(event, Scored) and event.step == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(InterruptedRun, match="after step 5"):
        pretrain(12, store="b", runtime=ROLLBACK, emit=terminate)

    def die(event):
        if isinstance(event, Caution) and "passing over" in event.text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(12, store="b", runtime=ROLLBACK, emit=die)
    again = pretrain(12, store="b", runtime=ROLLBACK)
    assert again.digest == whole.digest
    assert again.id == whole.id
    assert run_of(again).steps() == run_of(whole).steps()

    def crash(event):
        if isinstance(event, Trained) and event.step == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(12, store="c", runtime=ROLLBACK, emit=crash)
    # What was passed over holds, whatever the policy is now.
    assert pretrain(12, store="c").digest == whole.digest


def test_a_stopped_run_goes_on_once_it_may(pretrain, spoil, gone_back):
    spoil(5)
    with pytest.raises(DivergedError):
        pretrain(12)
    whole, _ = gone_back
    assert pretrain(12, runtime=ROLLBACK).digest == whole.digest


def test_it_does_not_go_back_for_ever(pretrain, spoil):
    spoil(*range(5, 100))
    events = []
    with pytest.raises(DivergedError, match="went back 2 times already") as caught:
        pretrain(12, runtime={**ROLLBACK, "max_rollbacks": 2}, emit=events.append)
    assert isinstance(events[-1], Spent)
    assert events[-1].starts == 3
    assert caught.value.exit_code == 11


def test_a_cooldown_goes_on_behind_what_its_trunk_passed_over(pretrain, cooldown, spoil):
    spoil(5)
    branch = cooldown(pretrain(8, store="a", runtime=ROLLBACK), 4)
    assert branch.config["passed"] == [[4, 2]]
    assert check_consumed(branch, store=Store("none")) == ([], [])
    whole = pretrain(12, store="b", schedule={"cooldown_steps": 4}, runtime=ROLLBACK)
    assert contents(branch) == contents(whole)


def test_a_step_that_was_passed_before_is_no_matter_of_data(trained, pretrain, spoil):
    """Only a fault explains it, and going back would give up a result."""
    done = trained(8)
    weight = done.path / "params" / "head.kernel" / "c" / "0" / "0"
    weight.write_bytes(weight.read_bytes()[:-3])  # so that steps 5 to 8 are trained again
    spoil(5)
    with pytest.raises(DivergedError, match="had passed this step before"):
        pretrain(8, store="a", runtime=ROLLBACK)


def info(*, results=(), back=(), keep=4):
    return RunInfo(
        format=1,
        kind="run",
        id="0" * 64,
        name="run",
        stage="pretrain",
        version=1,
        config={},
        parents=(),
        segments=(Segment(started="", from_step=0, runtime={"keep": keep}, versions={}),),
        results=results,
        rollbacks=tuple(
            Rollback(
                at="", diverged=s + 1, step=s, batches=1, loss="nan", grad_norm="nan", kept="x"
            )
            for s in back
        ),
    )


@pytest.mark.parametrize(
    ("step", "first_step", "known", "expected"),
    [
        (119, 0, info(keep=100), 110),  # the last one due
        (110, 0, info(keep=100), 110),  # saved, and the very next update diverges
        (119, 115, info(keep=100), 115),  # never before it began
        (119, 0, info(keep=100, results=(113,)), 113),  # never behind an answer
        (113, 0, info(keep=100, back=(110,)), 100),  # once more: that checkpoint is lost as well
        (105, 0, info(keep=100, back=(110, 100)), 90),
        (119, 0, info(keep=100, back=(110, 100)), 90),
        (129, 0, info(keep=100, back=(110, 100)), 120),  # it had come further
        (119, 0, info(keep=100, results=(113,), back=(113,)), 113),  # as often as it may
        (3, 0, info(keep=100, back=(0,)), 0),
        (119, 0, info(keep=100, results=(130,)), 110),
        (9, 0, info(keep=100), 0),
    ],
)
def test_where_it_goes_back_to(step, first_step, known, expected):
    runtime = TrainRuntime(checkpoint_every=10, keep_every=100)
    cadence = Cadence.of(runtime, first_step=first_step, total=1000)
    assert (
        rollback.goes_back_to(step, first_step=first_step, cadence=cadence, info=known) == expected
    )


def test_a_checkpoint_of_lost_weights_is_left_behind(pretrain, spoil, monkeypatch):
    """It diverges again right after going back: then what it went back to is given up, too."""
    honest = Images.train_batches
    spoil(4, 5)
    done = pretrain(12, store="a", runtime=ROLLBACK)
    run = run_of(done)
    assert [(back.diverged, back.step, back.batches) for back in run.info.rollbacks] == [
        (5, 4, 1),
        (5, 0, 6),
    ]
    assert done.config["passed"] == [[0, 6]]
    assert check_consumed(done, store=Store("none")) == ([], [])
    assert run.checkpoint(4).config["passed"] == [[0, 6]]

    def without(self, layout, *, start_step):
        for batch in honest(self, layout, start_step=start_step + 6):
            yield type(batch)(**{**vars(batch), "step": batch.step - 6})

    monkeypatch.setattr(Images, "train_batches", without)
    assert weights(pretrain(12, store="b")) == weights(done)


def test_it_says_what_is_not_finite():
    values = {"loss": "1.5", "grad_norm": "2.0", "update_norm": "inf", "param_norm": "3.0"}
    assert diverged_in_words(values) == "loss 1.5, gradient norm 2, update norm inf"
    assert diverged_in_words({"loss": "nan", "grad_norm": "nan"}) == "loss nan, gradient norm nan"


def test_windows_add_up():
    """A second divergence after the first window: batches, not steps, are counted."""
    first = rollback.window_of(5, back_to=4, windows=())
    second = rollback.window_of(9, back_to=8, windows=(first,))
    third = rollback.window_of(8, back_to=8, windows=(first, second))
    assert (first, second, third) == (Window(4, 2), Window(8, 2), Window(8, 1))
    assert rollback.until((first, second), 8) == (first,)


@pytest.mark.parametrize("damage", [3, [[1]], [[1, 2, 3]], [["a", 1]], [[-1, 2]], [[1, 0]]])
def test_damaged_windows_are_an_input_error(damage):
    with pytest.raises(InputError, match="windows"):
        windows_from_json(damage)
