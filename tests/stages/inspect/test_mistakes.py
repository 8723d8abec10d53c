"""What `show` says of an evaluation's mistakes."""

from __future__ import annotations

import json

import pytest

from stages.inspect.show import mistakes
from stages.inspect.show import text as show
from tests.artifacts.making import recipe
from vitctl.artifacts import Store

CLASSES = [{"class": f"c{i}", "examples": 10, "top1": i / 10} for i in range(8)]
CONFUSIONS = [{"label": f"c{i}", "predicted": "c7", "count": 9 - i} for i in range(7)]


def evaluation(folder, content):
    with Store(folder).open(recipe("evaluate", "evaluation"), name="e") as draft:
        (draft.path / "results.json").write_text(content)
        return draft.publish(summary={"model": "S/16", "top1": 0.5, "top5": 0.9, "loss": 1.5})


def test_the_worst_few_and_where_all_are(tmp_path):
    content = {"format": 1, "classes": CLASSES, "confusions": CONFUSIONS}
    artifact = evaluation(tmp_path, json.dumps(content))
    lines = list(mistakes.lines(artifact))
    assert lines[0] == "     9  c0 predicted as c7"
    assert lines[5] == "  0.0%  right of 10 images of c0"
    assert len(lines) == 11
    assert lines[-1] == f"all 7 pairs, 8 classes: {artifact.path / 'results.json'}"
    assert "  " + lines[0] in list(show.of_artifact(artifact))


def test_the_picture_of_mistakes_is_named(tmp_path):
    with Store(tmp_path).open(recipe("evaluate", "evaluation"), name="e") as draft:
        content = {"format": 1, "classes": CLASSES[:2], "confusions": CONFUSIONS[:1]}
        (draft.path / "results.json").write_text(json.dumps(content))
        (draft.path / "mistakes.png").write_bytes(b"")
        artifact = draft.publish(summary={"model": "S/16"})
    last = list(mistakes.lines(artifact))[-1]
    assert last == f"images of the most frequent: {artifact.path / 'mistakes.png'}"


def test_without_a_mistake_there_is_nothing_to_say(tmp_path):
    content = {"format": 1, "classes": CLASSES[:3], "confusions": []}
    assert list(mistakes.lines(evaluation(tmp_path, json.dumps(content)))) == []


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "{}",
        "[" * 5000,
        '{"classes": [], "confusions": [{"label": 1, "predicted": "a", "count": 2}]}',
        '{"classes": [1], "confusions": []}',
        '{"classes": null, "confusions": []}',
        '{"classes": [{"class": "a", "examples": -1, "top1": 1.0}], "confusions": []}',
    ],
    ids=lambda text: text[:40],
)
def test_damaged_results_are_a_sentence(tmp_path, content):
    (line,) = mistakes.lines(evaluation(tmp_path, content))
    assert "is damaged" in line


def test_names_of_classes_cannot_write_to_the_terminal(tmp_path):
    pair = {"label": "\x1b[2J", "predicted": "a\nb", "count": 1}
    artifact = evaluation(tmp_path, json.dumps({"classes": [], "confusions": [pair]}))
    assert not any("\x1b" in line or "\n" in line for line in mistakes.lines(artifact))


def test_metrics_are_a_line_each(tmp_path):
    metrics = {"ece": {"value": 0.0123456, "interval": [0.01, 0.02]}, "map": {"value": 0.5}}
    with Store(tmp_path).open(recipe("evaluate", "evaluation"), name="e") as draft:
        artifact = draft.publish(summary={"model": "S/16", "metrics": {**metrics, "odd": "text"}})
    lines = [line.split(maxsplit=1) for line in show.of_artifact(artifact)]
    assert ["ece", "0.01235 (0.01 to 0.02)"] in lines
    assert ["map", "0.5"] in lines
    assert ["odd", "text"] in lines
