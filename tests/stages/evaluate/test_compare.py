"""Two evaluations of the same images: what differs, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.evaluate import command
from stages.evaluate.compare import compare
from stages.evaluate.written import ANSWERS
from tests import schemas
from tests.artifacts.making import recipe
from vitctl.artifacts import Artifact, Store
from vitctl.console.session import Options, Session
from vitctl.errors import InputError, UsageError
from vitctl.events import silent

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


def test_the_command_takes_evaluations_and_refuses_what_does_not_go_together(store, monkeypatch):
    first, second = evaluation(store, "a", FIRST), evaluation(store, "b", SECOND)
    session = Session(Options(store=store.root, json=True), silent)
    references = (str(first.path), str(second.path))
    arguments = {"source": None, "data": None, "labels": None, "runtime": None}
    lines: list[str] = []
    monkeypatch.setattr("vitctl.console.session.answer", lines.append)
    command._compare(session, references, **arguments)
    assert json.loads(lines[0]) == compare(first, second).as_json()
    with pytest.raises(UsageError, match="--from and --compare"):
        command._compare(session, references, **arguments | {"source": ["a"]})
    with pytest.raises(UsageError, match="and --data is for one that is made"):
        command._compare(session, references, **arguments | {"data": "photos"})
    with pytest.raises(UsageError, match="and --labels is for one that is made"):
        command._compare(session, references, **arguments | {"labels": Path("real.json")})
