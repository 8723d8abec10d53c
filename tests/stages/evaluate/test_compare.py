"""Two evaluations of the same images: what differs, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import typer

from stages import api
from stages.app import app
from stages.evaluate.compare import compare
from stages.evaluate.written import ANSWERS
from tests import made, schemas
from tests.artifacts.making import recipe
from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.references import find
from vitctl.errors import InputError, UsageError

CLASSES = ("ant", "bee", "cat")
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 3, 60).tolist()
FIRST, SECOND = (RNG.random((2, 60)) < [[0.6], [0.8]]).tolist()


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store")


def evaluation(
    store: Store, name: str, right: list[bool], labels: list[int] = LABELS, keys: Any = None
) -> Artifact:
    """As `vitctl evaluate` writes it, as far as a comparison reads it."""
    rows = [
        {"position": i, "key": f"{key:016x}", "labels": [CLASSES[label]], "predicted": "ant",
         "confidence": 0.5, "right": is_right}
        for i, (key, label, is_right) in enumerate(
            zip(keys or range(len(right)), labels, right, strict=True)
        )
    ]  # fmt: skip
    top1 = float(np.mean(right))
    with store.open(recipe("evaluate", "evaluation", name=name), name=name) as draft:
        draft.write(ANSWERS, "".join(json.dumps(row) + "\n" for row in rows).encode())
        return draft.publish(
            summary={
                "model": name, "step": 7, "dataset": "pets", "split": "val", "top1": top1,
                "top5": 1.0, "loss": 1.0, "examples": len(right), "top1_interval": [0.0, 1.0],
                "without_label": 0,
            }
        )  # fmt: skip


def test_images_are_matched_by_key_and_counted(store):
    first = evaluation(store, "a", FIRST)
    order = np.random.default_rng(1).permutation(60)
    second = evaluation(
        store,
        "b",
        [SECOND[i] for i in order],
        labels=[LABELS[i] for i in order],
        keys=order.tolist(),
    )
    comparison = compare(first, second)
    value = comparison.as_json()
    schemas.check(value, "comparison")
    one, other = np.array(FIRST), np.array(SECOND)
    assert value["both"] == (one & other).sum()
    assert value["only_first"] == (one & ~other).sum()
    assert value["only_second"] == (~one & other).sum()
    assert value["difference"] == pytest.approx(other.mean() - one.mean())
    for row in value["classes"]:
        of = np.array(LABELS) == CLASSES.index(row["class"])
        assert row["only_first"] == (of & one & ~other).sum()
        assert row["only_second"] == (of & ~one & other).sum()
    lines = list(comparison.lines())
    assert lines[0].startswith(f"A  a at step 7: top-1 {one.mean():.2%} of 60 images of pets val")
    assert lines[2].startswith(f"B - A: {100 * (other.mean() - one.mean()):+.2f} points of top-1")
    assert lines[4].startswith(f"McNemar: p {value['p_mid']:.3g} (mid-p; exact ")
    # The other way round, all signs turn.
    turned = compare(second, first).as_json()
    assert turned["difference"] == -value["difference"]
    assert turned["interval"] == pytest.approx([-end for end in reversed(value["interval"])])
    assert turned["p_mid"] == value["p_mid"]


def test_a_model_does_not_differ_from_itself(store):
    first, second = evaluation(store, "a", FIRST), evaluation(store, "b", FIRST)
    comparison = compare(first, second)
    assert (comparison.paired.difference, comparison.paired.p_mid, comparison.classes) == (
        0.0,
        1.0,
        (),
    )
    assert list(comparison.lines())[4].endswith(": not more than chance explains")


def test_a_clear_difference_is_said_to_be_one(store):
    one, other = evaluation(store, "a", [False] * 60), evaluation(store, "b", [True] * 60)
    comparison = compare(one, other)
    assert comparison.paired.p_exact == pytest.approx(2 * 0.5**60)
    assert list(comparison.lines())[4].endswith(": more than chance explains")


def test_an_image_that_is_there_twice_counts_twice(store):
    keys = [*range(30), *range(30)]
    labels = LABELS[:30] * 2
    comparison = compare(
        evaluation(store, "a", FIRST, labels=labels, keys=keys),
        evaluation(store, "b", SECOND, labels=labels, keys=keys),
    )
    assert comparison.paired.images == 60


def test_other_images_or_labels_are_refused(store):
    first = evaluation(store, "a", FIRST)
    fewer = evaluation(store, "b", SECOND[:50], labels=LABELS[:50])
    with pytest.raises(InputError, match="10 are in only one of them, 50 in both"):
        compare(first, fewer)
    changed = [(label + 1) % 3 if i < 4 else label for i, label in enumerate(LABELS)]
    relabelled = evaluation(store, "c", SECOND, labels=changed)
    with pytest.raises(InputError, match="different labels for 4 of 60 images"):
        compare(first, relabelled)


def test_evaluations_of_earlier_versions_and_damaged_ones_are_refused(store):
    first, second = evaluation(store, "a", FIRST), evaluation(store, "b", SECOND)
    (first.path / ANSWERS).write_text('{"key": 1}\n')
    with pytest.raises(InputError, match=r"is damaged: answers\.jsonl has 11 bytes"):
        compare(first, second)
    (first.path / ANSWERS).unlink()
    with pytest.raises(InputError, match="an earlier version made it") as error:
        compare(first, second)
    assert "--force" in error.value.hint


@pytest.fixture
def command(store, monkeypatch, capfd):
    """A command line, run here: what it answers, or its exit code and what it says."""
    answers: list[str] = []
    monkeypatch.setattr("vitctl.console.guarded.silence_stdout", lambda: None)
    monkeypatch.setattr("vitctl.console.session.answer", answers.append)

    def run(*arguments: str) -> Any:
        answers.clear()
        line = ["evaluate", *map(str, arguments), "--store", str(store.root), "--json"]
        try:
            typer.main.get_command(app).main(line, prog_name="vitctl", standalone_mode=False)
        except SystemExit as ended:
            return ended.code, capfd.readouterr().err
        return [json.loads(answer) for answer in answers]

    return run


def test_the_command_takes_evaluations_and_refuses_what_does_not_go_together(store, command):
    first, second = evaluation(store, "a", FIRST), evaluation(store, "b", SECOND)
    pair = ("--compare", first.path, second.path)
    assert command(*pair) == [compare(first, second).as_json()]
    assert api.compare(first, second, store=store) == compare(first, second)
    for more, sentence in (
        (("--from", "a"), "--from and --compare"),
        (("--data", "photos"), "and --data is for one that is made"),
        (("--labels", "real.json"), "and --labels is for one that is made"),
        (("--eval-split", "val"), "and eval_split is for one that is made"),
        (("--out", "one"), "this makes 2 results"),
    ):
        code, said = command(*pair, *more)
        assert code == UsageError.exit_code
        assert sentence in said
    run = made.checkpoint(store, saved=False)
    code, said = command("--compare", first.path, "made@8")
    assert (code, "names an evaluation and a run" in said) == (2, True)
    with pytest.raises(UsageError, match="two evaluations, and data is for one"):
        api.compare(first, second, by="evaluate", data="photos", store=store)
    with pytest.raises(UsageError, match="is a run, and results are compared") as refusal:
        api.compare(first, run, store=store)
    assert "by='evaluate'" in refusal.value.hint


def test_two_runs_are_evaluated_alike_and_looked_up_once(store, command, monkeypatch):
    made.checkpoint(store, step=4, saved=False)
    made.checkpoint(store, step=8, saved=False)
    results = {4: evaluation(store, "a", FIRST), 8: evaluation(store, "b", SECOND)}
    begun, references = [], []

    def run(cfg: Any, given: Any, **how: Any) -> Artifact:
        begun.append((given.checkpoint.step, cfg))
        return results[given.checkpoint.step]

    def noting(reference: str, **how: Any) -> Any:
        references.append(reference)
        return find(reference, **how)

    monkeypatch.setattr("stages.evaluate.run.run", run)
    monkeypatch.setattr("vitctl.artifacts.references.find", noting)
    settings = ("--top", "1,3", "--weights", "raw")
    answer = command("--compare", "made@4", "made@8", *settings)
    assert answer == [compare(results[4], results[8]).as_json()]
    assert [step for step, _ in begun] == [4, 8]
    assert begun[0][1] == begun[1][1]
    assert begun[0][1].top == (1, 3)
    assert references == ["made@4", "made@8"]
    by_shell = [*begun]
    begun.clear()
    made_here = api.compare(
        "made@4", "made@8", by="evaluate", set={"top": (1, 3), "weights": "raw"}, store=store
    )
    assert made_here == compare(results[4], results[8])
    assert begun == by_shell
