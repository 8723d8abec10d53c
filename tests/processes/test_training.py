"""Real processes train, score and probe one model; and a run goes on with other numbers of devices
and processes.

Tolerances. Sums over devices come in another order; tests/rounding.py tells how far that can bring
the losses of one run apart, 1e-5 here. The tests that do not sample it again allow twice as much.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests import rounding
from tests.processes.running import run

LOSS = 2e-5


def pretrain(store: Path, steps: int, *more: object) -> list[object]:
    return [
        "pretrain", "--model", "test", "--mock", "--store", store, "--batch", 16, "--res", 16,
        "--set", "data.mock.examples=40", "--set", "data.mock.eval_examples=21",
        "--set", "model.classes=4", "--set", "schedule.warmup_steps=2",
        "--set", "schedule.timescale_steps=20", "--steps", steps, *more,
    ]  # fmt: skip


# The fourth batch has a pixel that is no number, in one process.
POISONED = """
from vitctl.data import pipeline
train_batches = pipeline.train_batches
def poisoned(*args, **options):
    for batch in train_batches(*args, **options):
        if index == {victim} and batch.number == 3:
            batch.images[3, 0, 0, 0] = float("nan")
        yield batch
pipeline.train_batches = poisoned
"""
NOT_SCORED = ("--set", "data.eval_split=none")


def only(*ended) -> Path:
    """All went well, process 0 answered with one path and nobody else said a word."""
    first, *others = ended
    assert [e.code for e in ended] == [0] * len(ended), "\n".join(e.err for e in ended)
    assert first.out.count("\n") == 1
    assert {(e.out, e.err) for e in others} <= {("", "")}
    assert "Gloo" not in first.err
    return Path(first.out.strip())


def losses(checkpoint: Path) -> dict[int, float]:
    rows = [json.loads(row) for row in (checkpoint.parents[1] / "metrics.jsonl").open()]
    return {row["step"]: row["loss"] for row in rows if row["kind"] == "train"}


def consumed(checkpoint: Path) -> object:
    """What the run consumed, as a digest."""
    return json.loads((checkpoint / "position.json").read_text())["consumed"]


@pytest.mark.slow
def test_two_processes_train_one_model(tmp_path):
    """The same samples and losses as one with two devices."""
    command = pretrain(tmp_path / "store", 2, *NOT_SCORED)
    two = only(*run(2, *command, folder=tmp_path / "two"))
    assert consumed(two)["step"] == 2
    command = pretrain(tmp_path / "other", 2, *NOT_SCORED)
    one = only(*run(1, *command, folder=tmp_path / "one", devices=2))
    assert consumed(two) == consumed(one)
    assert losses(two) == pytest.approx(losses(one), rel=LOSS)
    left = [p.name for p in two.parents[1].iterdir() if p.name.startswith(".tmp")]
    assert left == []


@pytest.mark.slow
def test_four_processes_do_all_stages(tmp_path):
    """Pretrain, cooldown, evaluate and few-shot; the scores are those of one process."""
    store = tmp_path / "store"

    def both(name: str, *arguments: object) -> tuple[Path, Path]:
        four = only(*run(4, *arguments, folder=tmp_path / f"{name}4"))
        one = only(*run(1, *arguments, "--out", tmp_path / f"{name}-alone", folder=tmp_path / name))
        return four, one

    trunk = only(*run(4, *pretrain(store, 3), folder=tmp_path / "trunk"))
    here = ("--store", store)
    cooled, alone = both("cooldown", "cooldown", "--from", trunk, "--steps", 2, *here)
    assert consumed(cooled) == consumed(alone)
    assert losses(cooled) == pytest.approx(losses(alone), rel=LOSS)

    scored, alone = both("evaluate", "evaluate", "--from", cooled, *here)
    results = [json.loads((path / "results.json").read_text()) for path in (scored, alone)]
    assert results[0]["examples"] == 21
    assert results[0]["top1"] == results[1]["top1"]
    assert results[0]["classes"] == results[1]["classes"]
    assert results[0]["loss"] == pytest.approx(results[1]["loss"], rel=1e-5)

    for features in ("model", "pixels"):
        probed, alone = both(
            f"fewshot-{features}", "fewshot", "--from", cooled, "--features", features,
            "--shots", "1,2", "--draws", 2, *here,
        )  # fmt: skip
        results = [json.loads((path / "results.json").read_text()) for path in (probed, alone)]
        assert results[0]["draws"] == results[1]["draws"]


@pytest.mark.slow
def test_tasks_of_slurm_find_each_other(tmp_path):
    command = pretrain(tmp_path / "store", 1, *NOT_SCORED)
    assert consumed(only(*run(2, *command, folder=tmp_path / "srun", srun=True)))["step"] == 1
    listing = run(2, "ls", "--store", tmp_path / "store", folder=tmp_path / "ls", srun=True)
    assert [e.code for e in listing] == [0, 0]
    assert "test-8" in listing[0].out
    assert listing[1].out == ""
    assert listing[1].err == "process 1 of 2 does nothing here: process 0 runs this command\n"


@pytest.mark.slow
def test_each_may_have_its_own_copy_of_the_dataset(tmp_path):
    """Only the store is shared; a copy that differs is refused by all."""
    [made] = run(1, "shard", "digits", "--out", tmp_path / "digits", folder=tmp_path / "shard")
    assert made.code == 0, made.err
    copies = [tmp_path / name / "digits" for name in ("here", "there")]
    for copy in copies:
        shutil.copytree(tmp_path / "digits", copy)
    shutil.rmtree(tmp_path / "digits")
    own = [["--data", copy] for copy in copies]
    command = [
        "pretrain", "--model", "test", "--store", tmp_path / "store", "--batch", 16, "--res", 16,
        "--set", "schedule.warmup_steps=2", "--steps", 2, *NOT_SCORED,
    ]  # fmt: skip
    two = only(*run(2, *command, own=own, folder=tmp_path / "two"))
    alone = [*command, *own[0], "--out", tmp_path / "alone"]
    one = only(*run(1, *alone, folder=tmp_path / "one", devices=2))
    assert consumed(two) == consumed(one)
    assert losses(two) == pytest.approx(losses(one), rel=LOSS)

    shutil.rmtree(copies[1])
    other = ["shard", "digits", "--val-fraction", 0.3, "--out", copies[1]]
    [made] = run(1, *other, folder=tmp_path / "other")
    assert made.code == 0, made.err
    ended = run(2, *command, "--force", own=own, folder=tmp_path / "differ")
    assert [e.code for e in ended] == [3, 3], ended
    assert "process 1 ended: process 1 (" in ended[0].err
    assert "does not see the dataset that process 0 works on" in ended[0].err


@pytest.mark.slow
def test_a_run_goes_on_with_other_devices_and_processes(tmp_path):
    """8 devices, then 4, 2, 1, and 4 processes; against one that kept its 8, as far as sums of a
    batch in another order let them agree."""
    store = tmp_path / "store"
    parts = [(1, 8), (1, 4), (1, 2), (1, 1), (4, 1)]
    for stop, (processes, devices) in enumerate(parts, start=1):
        command = pretrain(store, stop, *NOT_SCORED)
        folder = tmp_path / f"{processes}x{devices}"
        moved = only(*run(processes, *command, folder=folder, devices=devices))

    def stayed(name: str, prelude: str = "") -> Path:
        command = pretrain(tmp_path / f"store-{name}", len(parts), *NOT_SCORED)
        return only(*run(1, *command, folder=tmp_path / name, devices=8, prelude=prelude))

    steady = stayed("steady")
    turned = [stayed(f"turned{n}", rounding.TURNED.format(rows=n)) for n in (1, 5)]
    assert consumed(moved) == consumed(steady)
    assert losses(moved).keys() == losses(steady).keys() == set(range(1, 6))
    result, expected, *others = (list(losses(run).values()) for run in (moved, steady, *turned))
    rounding.check(result, expected, others, terms=16 * 4)


@pytest.mark.slow
def test_two_processes_finetune_and_score_real_images(tmp_path):
    """Other classes, larger images, weights divided over both; decoded by TensorFlow in each."""
    store = tmp_path / "store"
    here = ("--store", store)
    [made] = run(1, "shard", "digits", "--val-fraction", 0.1, *here, folder=tmp_path / "shard")
    assert made.code == 0, made.err
    data = Path(made.out.strip())
    divided = ("--mesh", "fsdp=2")
    command = pretrain(store, 2, *NOT_SCORED, *divided)
    trunk = only(*run(2, *command, folder=tmp_path / "trunk"))

    tune = [
        "finetune", "--from", trunk, "--data", data, "--res", 24, "--batch", 16, "--steps", 3,
        "--set", "data.eval_split=none", *here, *divided,
    ]  # fmt: skip
    two = only(*run(2, *tune, folder=tmp_path / "two"))
    alone = [*tune, "--out", tmp_path / "alone"]
    one = only(*run(1, *alone, folder=tmp_path / "one", devices=2))
    assert consumed(two) == consumed(one)
    assert losses(two) == pytest.approx(losses(one), rel=LOSS)

    score = ["evaluate", "--from", two, "--data", data, *here]
    both = only(*run(2, *score, folder=tmp_path / "score2"))
    one = only(*run(1, *score, "--out", tmp_path / "scored", folder=tmp_path / "score"))
    results = [json.loads((path / "results.json").read_text()) for path in (both, one)]
    assert results[0]["examples"] == results[1]["examples"] > 100
    assert results[0]["top1"] == results[1]["top1"]
    assert results[0]["loss"] == pytest.approx(results[1]["loss"], rel=1e-5)


@pytest.mark.slow
def test_two_processes_go_back_together_when_one_of_them_diverges(tmp_path):
    """What is not finite in the part of one process is passed over by all, as one process would."""
    more = ("--checkpoint-every", 2, "--on-divergence", "rollback", *NOT_SCORED)

    def poisoned(count: int, name: str) -> Path:
        command = pretrain(tmp_path / f"store-{name}", 5, *more)
        prelude = POISONED.format(victim=count - 1)
        folder = tmp_path / name
        ended = run(count, *command, folder=folder, devices=3 - count, prelude=prelude)
        return only(*ended)

    two, one = poisoned(2, "two"), poisoned(1, "one")
    assert (two / "position.json").read_text() == (one / "position.json").read_text()
    assert losses(two) == pytest.approx(losses(one), rel=LOSS)
    for made in (two, one):
        [back] = json.loads((made.parents[1] / "run.json").read_text())["rollbacks"]
        assert (back["diverged"], back["step"], back["batches"]) == (4, 2, 2)
    [both], [alone] = [list((made.parents[1] / "batches").iterdir()) for made in (two, one)]
    assert both.name == alone.name == "3"
    for name in ("keys", "labels"):
        assert (np.load(both / f"{name}.npy") == np.load(alone / f"{name}.npy")).all()
    assert np.load(both / "images.npy").shape == (16, 16, 16, 3)
