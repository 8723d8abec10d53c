"""Event files as TensorBoard's own reader sees them."""

from __future__ import annotations

import os
import sys
import types

import pytest

from vitctl.train.telemetry.tensorboard import EventFile, files

# TensorBoard would import the whole of TensorFlow for its file system; it has a small one, too.
sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("notf"))
event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
loader = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")


def train(step):
    return {"kind": "train", "step": step, "loss": 1 / (1 + step), "images": 2**40 + step, "x": 0}


def evaluated(step):
    return {"kind": "eval", "step": step, "split": "val", "top1": step / 1000, "ok": True}


def curves(folder):
    """tag -> [(step, value)], as TensorBoard shows them."""
    result = event_accumulator.EventAccumulator(
        str(folder), size_guidance={event_accumulator.SCALARS: 0}
    )
    result.Reload()
    return {
        tag: [(event.step, event.value) for event in result.Scalars(tag)]
        for tag in result.Tags()["scalars"]
    }


def raw(folder):
    """Every event of every file, by a reader that checks both checksums."""
    return [
        event for path in files(folder) for event in loader.LegacyEventFileLoader(str(path)).Load()
    ]


def scalars(folder):
    return [(value.tag, event.step) for event in raw(folder) for value in event.summary.value]


def write(folder, steps, *, rows=(), keep_to=0):
    with EventFile(folder, rows=rows, keep_to=keep_to) as events:
        for step in steps:
            events.row(train(step))
            if step % 10 == 0:
                events.row(evaluated(step))


def test_tensorboard_reads_what_was_written(tmp_path):
    write(tmp_path, [10, 20, 300_000])
    result = curves(tmp_path)
    assert result.keys() == {"train/loss", "train/images", "train/x", "eval/top1"}
    assert [step for step, _ in result["train/loss"]] == [10, 20, 300_000]
    assert result["train/loss"][0][1] == pytest.approx(1 / 11)
    assert result["train/images"][1][1] == pytest.approx(2.0**40)
    assert result["eval/top1"][1] == (20, pytest.approx(0.02))


def test_the_time_is_now(tmp_path):
    import time

    write(tmp_path, [1])
    assert all(abs(event.wall_time - time.time()) < 60 for event in raw(tmp_path))


def test_a_resumed_run_has_each_point_once(tmp_path):
    write(tmp_path, range(1, 19))
    rows = [train(step) for step in range(1, 11)] + [evaluated(10)]
    write(tmp_path, range(11, 26), rows=rows, keep_to=10)
    assert [step for tag, step in scalars(tmp_path) if tag == "train/loss"] == [*range(1, 26)]
    assert [step for tag, step in scalars(tmp_path) if tag == "eval/top1"] == [10, 20]
    assert [step for step, _ in curves(tmp_path)["train/loss"]] == [*range(1, 26)]


def test_one_that_looks_on_forgets_the_lost_steps(tmp_path):
    write(tmp_path, range(1, 19))
    watching = event_accumulator.EventAccumulator(str(tmp_path))
    watching.Reload()
    assert len(watching.Scalars("train/loss")) == 18
    write(tmp_path, range(11, 21), rows=[train(s) for s in range(1, 11)], keep_to=10)
    watching.Reload()
    assert [event.step for event in watching.Scalars("train/loss")] == [*range(1, 21)]


def test_asked_for_late_it_has_what_was_before(tmp_path):
    rows = [row for step in (10, 20) for row in (train(step), evaluated(step))]
    write(tmp_path, [30], rows=rows, keep_to=20)
    assert [step for step, _ in curves(tmp_path)["train/loss"]] == [10, 20, 30]
    assert [step for step, _ in curves(tmp_path)["eval/top1"]] == [10, 20, 30]


@pytest.mark.parametrize("torn", [1, 3, 20, 50])
def test_an_end_that_a_crash_tore_is_made_good(tmp_path, torn):
    write(tmp_path, range(1, 6))
    (path,) = files(tmp_path)
    os.truncate(path, path.stat().st_size - torn)
    rows = [train(step) for step in range(1, 6)]
    write(tmp_path, [6], rows=rows, keep_to=5)
    assert [step for tag, step in scalars(tmp_path) if tag == "train/loss"] == [*range(1, 7)]


def test_a_flipped_bit_is_not_believed(tmp_path):
    write(tmp_path, range(1, 6))
    (path,) = files(tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    rows = [train(step) for step in range(1, 6)]
    write(tmp_path, [6], rows=rows, keep_to=5)
    assert [step for step, _ in curves(tmp_path)["train/loss"]] == [*range(1, 7)]


def test_starts_within_a_second_keep_their_order(tmp_path):
    for last_step in range(12):
        write(tmp_path, [last_step + 1], keep_to=last_step)
    assert [step for _, step in scalars(tmp_path) if _ == "train/loss"] == [*range(1, 13)]
