from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn

from stages.evaluate import run as stage
from stages.evaluate import written
from stages.evaluate.spec import EvaluateConfig, Inputs
from stages.inspect.text import in_words
from tests import made
from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.kinds import EVALUATION
from vitctl.errors import InputError, UsageError
from vitctl.events import Caution, Settings, silent
from vitctl.inference import scoring, weights
from vitctl.ingest.labels.replaced_labels import read_replaced_labels
from vitctl.measures import bootstrap
from vitctl.measures.results import MISTAKES, RESULTS
from vitctl.model import vit
from vitctl.recipes.measuring import MeasuringRuntime

MODEL = made.config().model
NAMED = made.NamedDataset()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def checkpoint(store: Store) -> Artifact:
    return made.checkpoint(store)


@pytest.fixture
def evaluate(store: Store, checkpoint: Artifact, tmp_path: Path, monkeypatch: Any):
    """evaluate(dataset, batch=..., config fields...) -> artifact"""

    def call(
        dataset: made.NamedDataset = NAMED,
        *,
        batch: int | None = None,
        devices: int = 1,
        out: str = "out",
        emit: Any = silent,
        labels: Any = None,
        **fields: Any,
    ) -> Artifact:
        monkeypatch.setattr(weights, "open_dataset", lambda *_, **__: dataset)
        monkeypatch.setattr(bootstrap, "_MOST_DRAWS", 100)
        cfg = EvaluateConfig(
            **{
                "eval_split": "val",
                "loss": "sigmoid",
                "preprocess": {},
                "precision": "float32",
                **fields,
            }
        )
        return stage.run(
            cfg,
            Inputs(checkpoint, made.dataset_artifact(store), labels),
            store=store,
            runtime=MeasuringRuntime(batch=batch, devices=devices, out=tmp_path / out),
            emit=emit,
        )

    return call


def results(artifact: Artifact) -> dict[str, Any]:
    return json.loads((artifact.path / RESULTS).read_bytes())


def logits() -> np.ndarray:
    """float64[37, 7] of the validation images."""
    requests = [(np.arange(37), np.zeros((37, 2), np.int32))]
    images = next(NAMED.made_up(requests, split="val", resolution=MODEL.resolution))
    apply = jax.jit(lambda p, x: vit.apply(p, x, config=MODEL).logits)
    return np.asarray(apply(made.weights(MODEL), images), np.float64)


def test_scores_are_exact_at_any_batch_size(evaluate):
    z, labels = logits(), NAMED.labels("val")[:, 0]
    own = z[np.arange(37), labels]
    targets = np.where(labels[:, None] == np.arange(7), 1, -1)
    top1 = np.mean(own == z.max(axis=1))
    top5 = np.mean((z > own[:, None]).sum(axis=1) < 5)
    loss = np.mean(np.log1p(np.exp(-targets * z)).sum(axis=1))
    for batch, devices in ((1, 1), (256, 1), (7, 8)):
        out = f"{batch}-on-{devices}"
        summary = evaluate(batch=batch, devices=devices, out=out).summary
        assert summary["examples"] == 37
        assert summary["top1"] == pytest.approx(top1, abs=1e-12)
        assert summary["top5"] == pytest.approx(top5, abs=1e-12)
        assert summary["loss"] == pytest.approx(loss, rel=1e-6)
        wilson = stats.binomtest(round(top1 * 37), 37).proportion_ci(method="wilson")
        assert summary["top1_interval"] == pytest.approx([wilson.low, wilson.high])


def test_classes_are_matched_by_name(evaluate):
    whole = results(evaluate(NAMED, out="whole"))
    shuffled = results(
        evaluate(
            made.NamedDataset(names=("fox", "ant", "gnu", "bee", "eel", "dog", "cat")),
            out="shuffled",
        )
    )
    assert shuffled == whole
    per_class = {row["class"]: row for row in whole["classes"]}

    few = evaluate(made.NamedDataset(names=("gnu", "bee")), out="few")
    assert results(few)["classes"] == [per_class["bee"], per_class["gnu"]]
    assert few.summary["without_label"] == 37 - few.summary["examples"]
    expected = sum(row["examples"] * row["top1"] for row in results(few)["classes"])
    assert few.summary["top1"] * few.summary["examples"] == pytest.approx(expected)


def test_results_count_every_image_and_mistake(evaluate):
    result = results(evaluate(NAMED))
    z, labels = logits(), NAMED.labels("val")[:, 0]
    answers = z.argmax(axis=1)
    for row in result["classes"]:
        of = labels == made.CLASSES.index(row["class"])
        assert row["examples"] == of.sum()
        assert row["top1"] == pytest.approx(np.mean(answers[of] == labels[of]))
    assert sum(row["count"] for row in result["confusions"]) == np.sum(answers != labels)
    for row in result["confusions"]:
        pair = [made.CLASSES.index(row[key]) for key in ("label", "predicted")]
        assert row["count"] == np.sum((labels == pair[0]) & (answers == pair[1]))


def test_metrics_have_intervals_and_are_what_scikit_learn_computes(evaluate):
    z, labels = logits(), NAMED.labels("val")[:, 0]
    done = evaluate(NAMED, loss="softmax", top=(1, 2), batch=16, out="softmax")
    metrics = done.summary["metrics"]
    assert [*metrics] == ["top1", "top2", "per_class", "ece", "brier", "loss"]
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    expected = {
        "top1": sklearn.accuracy_score(labels, z.argmax(axis=1)),
        "top2": sklearn.top_k_accuracy_score(labels, z, k=2, labels=range(7)),
        "per_class": sklearn.balanced_accuracy_score(labels, z.argmax(axis=1)),
        "brier": sklearn.brier_score_loss(labels, p, labels=range(7), scale_by_half=False),
        "loss": sklearn.log_loss(labels, p, labels=range(7)),
    }
    for name, value in expected.items():
        assert metrics[name]["value"] == pytest.approx(value, rel=1e-5), name
        low, high = metrics[name]["interval"]
        assert low <= value <= high
    shown = stage.readable(EVALUATION.summary(done))
    assert shown["mean per class"].startswith(f"{expected['per_class']:.2%} (")
    rows = results(done)["metrics"]
    assert {row["name"]: row["value"] for row in rows} == {
        name: of["value"] for name, of in metrics.items()
    }


def test_several_labels_an_image_have_average_precision(evaluate):
    dataset = made.NamedDataset(multi=True)
    done = evaluate(dataset, out="several")
    z, labels = logits(), dataset.labels("val")
    shown = (labels >= 0).any(axis=1)
    truth = (labels[:, :, None] == np.arange(7)).any(axis=1)
    precisions = [sklearn.average_precision_score(truth[shown, c], z[shown, c]) for c in range(7)]
    assert done.summary["metrics"]["map"]["value"] == pytest.approx(np.mean(precisions), rel=1e-6)
    result = {row["class"]: row["average_precision"] for row in results(done)["classes"]}
    assert result == pytest.approx(dict(zip(made.CLASSES, precisions, strict=True)), rel=1e-6)


def test_every_answer_is_a_line(evaluate):
    done = evaluate(batch=16, out="lines")
    lines = [json.loads(line) for line in (done.path / written.ANSWERS).read_text().splitlines()]
    z, labels = logits(), NAMED.labels("val")[:, 0]
    assert [line["position"] for line in lines] == [*range(37)]
    assert [int(line["key"], 16) for line in lines] == NAMED.keys("val").tolist()
    assert [line["labels"] for line in lines] == [[made.CLASSES[c]] for c in labels]
    assert [line["predicted"] for line in lines] == [made.CLASSES[c] for c in z.argmax(axis=1)]
    assert [line["right"] for line in lines] == (z.argmax(axis=1) == labels).tolist()
    confidence = 1 / (1 + np.exp(-z.max(axis=1)))
    assert [line["confidence"] for line in lines] == pytest.approx(confidence.tolist(), rel=1e-5)


def test_mistakes_are_a_picture_of_the_surest_of_each_confusion(evaluate, monkeypatch):
    captions: list[Any] = []
    drawn = written.sheet
    monkeypatch.setattr(written, "sheet", lambda *of: captions.extend(of[1]) or drawn(*of))
    done = evaluate(out="pictures")
    assert (done.path / MISTAKES).read_bytes().startswith(b"\x89PNG")
    z, labels = logits(), NAMED.labels("val")[:, 0]
    pairs = [(row["label"], row["predicted"]) for row in results(done)["confusions"][:8]]
    assert list(dict.fromkeys((label, was[3:]) for label, was, _ in captions)) == pairs
    for label, predicted in pairs:
        at = [made.CLASSES.index(name) for name in (label, predicted)]
        chosen = (labels == at[0]) & (z.argmax(axis=1) == at[1])
        best = sorted(1 / (1 + np.exp(-z[chosen].max(axis=1))), reverse=True)[:3]
        shares = [
            text.split()[0] for name, was, text in captions if (name, was[3:]) == (label, predicted)
        ]
        assert shares == [f"{share:.0%}" for share in best]


def test_settings_that_came_later_change_no_id():
    cfg = EvaluateConfig(eval_split="val", loss="sigmoid", preprocess={}, precision="float32")
    assert [*cfg.identity()] == [
        *("eval_split", "loss", "preprocess", "precision", "class_map", "weights")
    ]
    assert cfg.model_copy(update={"top": (1, 10)}).identity()["top"] == [1, 10]


def test_more_answers_than_classes_are_refused(evaluate):
    with pytest.raises(UsageError, match="--top 8: of 7 classes"):
        evaluate(top=(1, 8))


def test_any_label_is_right_and_images_without_one_are_left_out(evaluate):
    dataset = made.NamedDataset(multi=True)
    content = evaluate(dataset).summary
    answers, labels = logits().argmax(axis=1), dataset.labels("val")
    hits = [answer in own for answer, own in zip(answers, labels, strict=True) if own.max() >= 0]
    assert content["examples"] == len(hits) == 37 - content["without_label"]
    assert content["top1"] == pytest.approx(np.mean(hits))


def test_a_class_the_model_lacks_is_refused_unless_it_is_renamed(evaluate):
    other = made.NamedDataset(names=("ant", "hen", "cat", "dog", "eel", "fox", "gnu"))
    with pytest.raises(InputError, match=r"1 of the dataset's 7 .* the model's 7 \('hen'\)") as err:
        evaluate(other)
    assert "--class-map FILE" in err.value.hint
    renamed = evaluate(other, class_map={"hen": "bee", "owl": "ant"}, out="renamed")
    # made images of "hen" carry no label here, so that its row alone is missing
    expected = [row for row in results(evaluate(NAMED))["classes"] if row["class"] != "bee"]
    assert results(renamed)["classes"] == expected


def test_a_class_map_of_other_names_is_refused(evaluate):
    with pytest.raises(InputError, match=r"renames none of the dataset's 7 classes; .* 'owl'"):
        evaluate(NAMED, class_map={"owl": "ant"})


class Numbered(made.NamedDataset):
    """Its images are called as ImageNet's validation images, in another order than they lie in."""

    def ids(self, split, positions):
        return [f"val/ILSVRC2012_val_{NUMBERS[i]:08d}.JPEG" for i in positions]


NUMBERS = np.random.default_rng(0).permutation(37) + 1


def test_labels_of_a_file_take_the_place_of_the_datasets(evaluate, tmp_path):
    """As ReaL is scored: any of an image's labels is right, images without one do not count."""
    rng = np.random.default_rng(1)
    entries = [rng.choice(7, rng.integers(0, 4), replace=False).tolist() for _ in range(37)]
    (tmp_path / "real.json").write_text(json.dumps(entries))
    labels, notes = read_replaced_labels(tmp_path / "real.json"), []
    done = evaluate(
        Numbered(), labels=labels, labels_sha256=labels.sha256, emit=notes.append, out="real"
    )
    answers = logits().argmax(axis=1)
    own = [entries[number - 1] for number in NUMBERS]
    hits = [answer in names for answer, names in zip(answers, own, strict=True) if names]
    assert done.summary["top1"] == pytest.approx(np.mean(hits))
    assert done.summary["examples"] == len(hits)
    assert done.summary["without_label"] == 37 - len(hits) == own.count([])
    assert done.summary["labels"] == "real.json"
    assert any("numbers of the dataset's 7 classes" in getattr(e, "text", "") for e in notes)
    assert (
        f"{own.count([])} without a label left out"
        in stage.readable(EVALUATION.summary(done))["data"]
    )


MANY = {
    "ant": ("ant", "bee"),
    "bee": "cat",
    "cat": (),
    "dog": ("dog", "eel", "fox"),
    "eel": (),
    "fox": ("fox",),
    "gnu": "gnu",
}


def test_a_class_may_stand_for_several_of_the_models_or_none(evaluate):
    """As ObjectNet is scored: any of them is right; classes are counted as the dataset has them."""
    events: list[Any] = []
    done = evaluate(class_map=MANY, emit=events.append, out="many")
    answers, labels = logits().argmax(axis=1), NAMED.labels("val")[:, 0]
    lists = [(of,) if isinstance(of, str) else of for of in MANY.values()]
    names = [lists[label] for label in labels]
    hits = [made.CLASSES[a] in own for a, own in zip(answers, names, strict=True) if own]
    assert done.summary["top1"] == pytest.approx(np.mean(hits))
    assert done.summary["examples"] == len(hits)
    assert done.summary["without_counterpart"] == 37 - len(hits) > 0
    assert done.summary["without_label"] == 0
    assert any("images of 2 classes that --class-map" in getattr(e, "text", "") for e in events)
    by_class = {row["class"]: row for row in results(done)["classes"]}
    assert [*by_class] == [name for name, of in MANY.items() if of]
    ants = [
        made.CLASSES[a] in ("ant", "bee") for a, c in zip(answers, labels, strict=True) if c == 0
    ]
    assert by_class["ant"]["top1"] == pytest.approx(np.mean(ants))
    accuracies = [row["top1"] for row in by_class.values()]
    assert done.summary["metrics"]["per_class"]["value"] == pytest.approx(np.mean(accuracies))
    lines = [json.loads(line) for line in (done.path / written.ANSWERS).read_text().splitlines()]
    assert [line["right"] for line in lines] == hits


def test_answers_may_be_restricted_to_the_classes_of_the_images(evaluate):
    """As ImageNet-A and -R are scored: the highest of the scores of the dataset's classes."""
    few = made.NamedDataset(names=("gnu", "bee", "cat"))
    done = evaluate(few, answers="dataset", loss="softmax", out="restricted")
    chosen = [made.CLASSES.index(name) for name in ("bee", "cat", "gnu")]
    labels = NAMED.labels("val")[:, 0]
    scored = np.isin(labels, chosen)
    z, truth = logits()[scored][:, chosen], np.searchsorted(chosen, labels[scored])
    assert done.summary["top1"] == sklearn.accuracy_score(truth, z.argmax(axis=1))
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert done.summary["loss"] == pytest.approx(sklearn.log_loss(truth, p, labels=range(3)), 1e-5)
    assert done.summary["answers"] == 3
    assert done.summary["top1"] >= evaluate(few, loss="softmax", out="all").summary["top1"]
    assert {row["predicted"] for row in results(done)["confusions"]} <= {"bee", "cat", "gnu"}


def test_a_mock_run_is_scored_on_its_own_synthetic_images(store, tmp_path):
    numbered = made.checkpoint(store, classes=NAMED.plain.info.classes, seed=9)
    cfg = EvaluateConfig(eval_split="val", loss="sigmoid", preprocess={}, precision="float32")
    runtime = MeasuringRuntime(out=tmp_path / "out")
    artifact = stage.run(cfg, Inputs(numbered, None), store=store, runtime=runtime)
    summary = artifact.summary
    # As when `mock` was a setting, so that ids are those of before.
    images = {"mock": {"examples": 90, "eval_examples": 37}}
    assert artifact.config == cfg.identity() | images
    right = logits().argmax(axis=1) == NAMED.labels("val")[:, 0]
    assert (summary["top1"], summary["dataset"]) == (pytest.approx(right.mean()), "mock")


def test_a_finished_evaluation_is_found_again(evaluate):
    first = evaluate()
    events: list[Any] = []
    again = evaluate(batch=5, emit=events.append)
    assert again.manifest == first.manifest
    shown = next(event for event in events if isinstance(event, Settings))
    assert shown.values["top-1"].startswith(f"{first.summary['top1']:.2%}")


def test_a_loss_that_is_not_finite_is_null(evaluate, monkeypatch):
    honest, calls = scoring.Tally.scores, []
    monkeypatch.setattr(
        scoring.Tally,
        "scores",
        lambda tally: replace(scores := honest(tally), means={**scores.means, "loss": math.inf}),
    )
    done = evaluate(out="infinite", emit=calls.append)
    assert done.summary["loss"] is None
    assert json.loads((done.path / RESULTS).read_text())["loss"] is None
    assert any("not finite" in event.text for event in calls if isinstance(event, Caution))
    assert stage.readable(EVALUATION.summary(done))["loss"] == "not finite"
    assert "loss not finite" in in_words("evaluation", done.summary)
