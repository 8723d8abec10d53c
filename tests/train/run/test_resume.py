"""What a run does when something is wrong with what it resumes from, or with its numbers."""

from __future__ import annotations

import json
import shutil

import jax
import numpy as np
import pytest

from tests.train.conftest import config
from vitctl.artifacts.runs import run_of
from vitctl.checkpoints import arrays as checkpoints
from vitctl.errors import DivergedError, DoesNotFitError, InputError, UsageError
from vitctl.events import Caution
from vitctl.model import shapes
from vitctl.places import place
from vitctl.recipes import branching
from vitctl.sharding import layout as layouts
from vitctl.train.program import state
from vitctl.train.run.images import Images
from vitctl.train.telemetry.metrics import read


def flip_byte(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def test_a_damaged_checkpoint_is_passed_over(trained, uninterrupted, pretrain):
    damaged = trained(8)
    flip_byte(damaged.path / "params" / "head.kernel" / "c" / "0" / "0")
    events = []
    # Asked for more, the run resumes: from step 4, as 8 is not what was published.
    again = pretrain(12, emit=events.append)
    assert any("going back" in e.text for e in events if isinstance(e, Caution))
    assert again.digest == uninterrupted(12).digest
    repaired = run_of(again).checkpoint(8)
    assert repaired.check_contents() == []
    assert repaired.digest == uninterrupted(8).digest


def test_a_damaged_answer_is_made_again(trained, pretrain):
    done = trained(8)
    file = done.path / "params" / "head.kernel" / "c" / "0" / "0"
    file.write_bytes(file.read_bytes()[:-3])
    assert pretrain(8).digest == done.digest
    flip_byte(file)
    assert pretrain(8).check_contents() == []


def test_a_damaged_parent_is_refused(trained, cooldown):
    trunk = trained(4)
    flip_byte(next((trunk.path / "opt").local.glob("*.head.kernel/c/0/0")))
    with pytest.raises(InputError, match="is damaged"):
        cooldown(trunk, 4)


def test_a_shorter_request_keeps_what_is_there(pretrain):
    """Steps 5 to 10 exist; 7 is asked for again and again, and nothing goes."""
    sparse = {"checkpoint_every": 2, "keep_every": 4, "keep_newest": 1}
    run = run_of(pretrain(12, store="a", runtime=sparse))
    assert run.steps() == [4, 8, 12]
    seven = pretrain(7, store="a", runtime=sparse)
    assert seven.step == 7
    assert {4, 7, 8, 12} <= set(run.steps())
    pretrain(16, store="a", runtime={"checkpoint_every": 2, "keep_every": 8, "keep_newest": 1})
    assert {4, 7, 8, 12, 16} <= set(run.steps())  # what an earlier start promised stays


def test_a_half_written_checkpoint_is_made_again(trained, pretrain):
    done = trained(8)
    (done.path / "artifact.json").unlink()
    (done.path / "params" / "head.bias" / "zarr.json").unlink()
    assert pretrain(8).digest == done.digest


def test_other_images_than_before_are_refused(trained, pretrain, monkeypatch):
    trained(4)
    monkeypatch.setattr(Images, "keys_of_step", lambda self, step: np.arange(16, dtype=np.uint64))
    with pytest.raises(InputError, match="not the ones this checkpoint was trained on"):
        pretrain(8, store="a")


def test_a_divergence_stops_before_anything_is_saved(pretrain):
    with pytest.raises(DivergedError, match="diverged") as caught:
        pretrain(8, store="a", schedule={"peak_lr": 1e30, "warmup_steps": 5})
    assert caught.value.exit_code == 11


def test_a_diverged_state_is_the_one_before(tmp_path):
    """Steps after a non-finite one change nothing, whatever they are fed."""
    from vitctl.train.program import run_numbers
    from vitctl.train.program.step import make_step

    cfg = config(8)
    layout = layouts.make(devices=8)
    step = make_step(cfg, layout=layout, remat="none")
    good = np.ones((16, 16, 16, 3), np.float32)
    bad = np.full_like(good, np.nan)
    labels = np.zeros((16, 1), np.int32)

    def after(batches):
        current = state.fresh(cfg, layout=layout)
        for index, images in enumerate(batches):
            arrays = layout.place_batch((images, labels))
            numbers = (np.float32(0.01), np.int32(index), run_numbers.of(cfg))
            scalars = layout.place(numbers)
            current, stats = step(current, *arrays, *scalars)
        return current, stats

    once, _ = after([good])
    stopped, stats = after([good, bad, good, good])
    assert not bool(stats.finite)
    for a, b in zip(
        jax.tree.leaves((once.params, once.opt)),
        jax.tree.leaves((stopped.params, stopped.opt)),
        strict=True,
    ):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_a_checkpoint_of_another_model_is_refused(uninterrupted):
    done = uninterrupted(4)
    other = config(4, model={"width": 32})
    like = layouts.like(shapes.of_params(other.model), layouts.make(devices=1).replicated)
    with pytest.raises(InputError, match="a checkpoint of another model"):
        checkpoints.restore(done.path, checkpoints.PARAMS, like=like)


def test_cooling_a_cooled_checkpoint_names_the_uncooled_one(trained, cooldown):
    trunk = trained(4)
    with pytest.raises(UsageError, match="already cooling down") as caught:
        cooldown(cooldown(trunk, 4), 4)
    assert str(trunk.path.resolve()) in (caught.value.hint or "")


def test_a_run_with_its_own_cooldown_can_be_branched_before_it(pretrain):
    run = run_of(pretrain(8, store="a", schedule={"cooldown_steps": 4}))
    branch = branching.cooled(run.checkpoint(4), steps=2, shape="linear")
    assert branch.tree["schedule"]["total_steps"] == 6


def test_a_closed_schedule_cannot_be_cooled(pretrain):
    done = pretrain(4, store="a", schedule={"kind": "cosine"})
    with pytest.raises(UsageError, match="ends by itself"):
        branching.cooled(done, steps=2, shape="linear")


def test_rows_after_a_crash_are_cut_back(tmp_path):
    from vitctl.train.telemetry.metrics import Metrics

    path = place(tmp_path) / "metrics.jsonl"
    rows = [{"kind": "train", "step": s, "loss": float(s)} for s in (1, 2, 3)]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows) + '{"kind": "tra')
    with Metrics(path, keep_to=2) as metrics:
        metrics.row("train", 2, loss=-1.0)  # there already: left as it is
        metrics.row("train", 3, loss=33.0)
    assert [row["loss"] for row in read(path)] == [1.0, 2.0, 33.0]


def test_a_full_disk_is_seen_before_a_save(trained, uninterrupted, pretrain, monkeypatch):
    trained(4)
    full = shutil.disk_usage("/")._replace(free=10_000)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda place: full)
        with pytest.raises(DoesNotFitError, match="KiB free"):
            pretrain(8, store="a")
    assert pretrain(8).digest == uninterrupted(8).digest


def test_a_run_goes_on_with_the_recomputation_of_its_last_start(pretrain):
    """So stores of versions that began with another go on bit for bit where that matters."""
    pretrain(4, runtime={"remat": "none"})
    run = run_of(pretrain(8))
    assert [segment.runtime["remat"] for segment in run.info.segments] == ["none", "none"]
    fresh = run_of(pretrain(4, seed=1))
    assert [segment.runtime["remat"] for segment in fresh.info.segments] == ["dots"]
