from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats
from sklearn.linear_model import Ridge

from stages.fewshot import comparison
from stages.fewshot import run as stage
from stages.fewshot.results import in_a_table
from stages.fewshot.settings import _of_probe, _with_neighbours, read_l2
from stages.fewshot.spec import FewshotConfig
from tests import forking, made, schemas
from tests.forking import COMMAND, LOOKING, TRAINING
from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.kinds import FEWSHOT
from vitctl.data import pipeline
from vitctl.errors import DoesNotFitError, InputError, UsageError
from vitctl.events import Caution, Settings, silent
from vitctl.inference import weights
from vitctl.model import vit
from vitctl.recipes import measuring
from vitctl.recipes.measuring import Measured, MeasuringRuntime
from vitctl.settings.overrides import read_toml

MODEL = made.config().model
NAMED = made.NamedDataset()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def checkpoint(store: Store) -> Artifact:
    return made.checkpoint(store)


@pytest.fixture
def fewshot(store: Store, checkpoint: Artifact, tmp_path: Path, monkeypatch: Any):
    """fewshot(dataset or None for mock, config fields...) -> artifact"""

    def call(
        dataset: made.NamedDataset | None = None,
        *,
        batch: int | None = None,
        devices: int = 1,
        out: str = "out",
        emit: Any = silent,
        **fields: Any,
    ) -> Artifact:
        artifact = None
        if dataset is not None:
            artifact = made.dataset_artifact(store)
            monkeypatch.setattr(weights, "open_dataset", lambda *_, **__: dataset)
        cfg = FewshotConfig(
            **{
                "shots": (1, 3),
                "draws": 4,
                "features": "pixels",
                "eval_split": "val",
                "precision": "float32",
                **fields,
            }
        )
        return stage.run(
            cfg,
            Measured(checkpoint, artifact),
            store=store,
            runtime=MeasuringRuntime(batch=batch, devices=devices, out=tmp_path / out),
            emit=emit,
        )

    return call


def results(artifact: Artifact) -> dict[str, Any]:
    return json.loads((artifact.path / stage.RESULTS).read_bytes())


def images(split: str) -> np.ndarray:
    n = NAMED.info.examples(split)
    requests = [(np.arange(n), np.zeros((n, 2), np.int32))]
    return next(NAMED.made_up(requests, split=split, resolution=MODEL.resolution))


def protocol(train, train_labels, test, test_labels, *, shots: int, seed: int, l2: float) -> float:
    """The accuracy of one draw, written from the protocol with scikit-learn's ridge."""
    rng = np.random.default_rng(seed)
    chosen = np.concatenate(
        [rng.permutation(np.where(train_labels == c)[0])[:shots] for c in range(7)]
    )
    x, y = train[chosen].astype(np.float64), train_labels[chosen]
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-5

    def columns(features):
        return np.insert((features - mean) / scale, features.shape[1], 100.0, axis=1)

    model = Ridge(alpha=l2, fit_intercept=False, solver="svd")
    model.fit(columns(x), 2.0 * (y[:, None] == np.arange(7)) - 1)
    return float(np.mean(model.predict(columns(test)).argmax(axis=1) == test_labels))


@pytest.mark.parametrize("kind", ["model", "pixels", "untrained"])
def test_every_draw_is_the_protocol_on_frozen_features(fewshot, kind):
    result = results(fewshot(features=kind, seed=11, l2=2.0, batch=5))
    flat = {split: images(split) for split in ("train", "val")}
    if kind == "pixels":
        by_split = {split: x.reshape(len(x), -1) for split, x in flat.items()}
    else:
        params = (
            made.weights(MODEL)
            if kind == "model"
            else jax.jit(lambda: vit.init(MODEL, key=jax.random.key(made.config().seed)))()
        )
        look = jax.jit(lambda x: vit.apply(params, x, config=MODEL).pre_logits)
        by_split = {split: np.asarray(look(x), np.float64) for split, x in flat.items()}
    labels = {split: NAMED.labels(split)[:, 0] for split in by_split}
    for row in result["draws"]:
        expected = protocol(
            by_split["train"],
            labels["train"],
            by_split["val"],
            labels["val"],
            shots=row["shots"],
            seed=row["seed"],
            l2=2.0,
        )
        assert row["seed"] == 11 + row["draw"]
        # fp32 features in another order may move one of the 37 images across a near tie.
        near_tie = 0 if kind == "pixels" else 1 / 37
        assert row["accuracy"] == pytest.approx(expected, rel=0, abs=near_tie + 1e-9)
    assert len(result["draws"]) == 2 * 4


def test_the_summary_holds_what_is_promised(fewshot):
    artifact = fewshot(features="model", devices=8)
    summary, rows = artifact.summary, results(artifact)["draws"]
    assert artifact.kind == "fewshot"
    assert (summary["model"], summary["step"], summary["examples"]) == ("tiny", 8, 37)
    assert [row["shots"] for row in summary["shots"]] == [1, 3]
    for row in summary["shots"]:
        assert set(row) == {
            "shots", "accuracy_mean", "accuracy_std", "interval", "test_interval", "draws",
        }  # fmt: skip
        values = [r["accuracy"] for r in rows if r["shots"] == row["shots"]]
        assert row["draws"] == len(values) == 4
        assert row["accuracy_mean"] == pytest.approx(np.mean(values))
        assert row["accuracy_std"] == pytest.approx(np.std(values, ddof=1))
        low, high = row["interval"]
        assert low <= row["accuracy_mean"] <= high
        low, high = row["test_interval"]
        assert low < row["accuracy_mean"] < high


def test_one_draw_has_no_interval_of_the_mean(fewshot):
    events: list[Any] = []
    row = fewshot(draws=1, shots=(2,), emit=events.append).summary["shots"][0]
    assert (row["accuracy_std"], row["interval"], row["draws"]) == (None, None, 1)
    shown = next(event for event in events if isinstance(event, Settings))
    assert shown.values["2-shot"] == (
        f"{row['accuracy_mean']:.2%} (one draw; test set ± "
        f"{50 * (row['test_interval'][1] - row['test_interval'][0]):.2f})"
    )


def test_more_shots_leave_the_smaller_draws_alone(fewshot):
    """Draws are nested, and only the images that are needed are read."""
    few = [row for row in results(fewshot(out="few"))["draws"] if row["shots"] == 1]
    many = results(fewshot(out="many", shots=(1, 3, 5)))["draws"]
    assert [row for row in many if row["shots"] == 1] == few


def test_only_images_that_are_needed_are_read(fewshot, monkeypatch):
    request: dict[str, list[int]] = {}
    read = pipeline.eval_batches

    def counting(dataset, *, split, indices, **rest):
        request.setdefault(split, []).extend(indices.tolist())
        return read(dataset, split=split, indices=indices, **rest)

    monkeypatch.setattr(pipeline, "eval_batches", counting)
    fewshot(draws=2, shots=(1,))
    assert len(set(request["train"])) == len(request["train"]) <= 2 * 7
    assert request["val"] == list(range(37))


def test_classes_seen_in_training_are_marked(fewshot):
    assert fewshot(NAMED, out="a").summary["seen"] == "all"
    assert measuring.share_trained_on(["ant", "hen", "bee"], trained_on=made.CLASSES) == "some"
    assert measuring.share_trained_on(["hen", "owl"], trained_on=made.CLASSES) == "none"


def test_what_the_trunk_was_trained_on_was_seen_too(tmp_path):
    """These record no classes before, so their ancestors are asked, while they are there."""
    store = Store(tmp_path)
    trunk = made.checkpoint(store)
    branch = made.checkpoint(store, classes=("hen", "owl"), parent=trunk, model={"classes": 2})
    known = measuring.known(branch, store=store)
    assert known == ({*made.CLASSES, "hen", "owl"}, ())
    shutil.rmtree(trunk.path)
    classes, gone = measuring.known(branch, store=store)
    assert classes == {"hen", "owl"}
    assert gone == (f"{trunk.path} is not in this store any more",)


def test_classes_that_are_recorded_need_no_ancestors(tmp_path):
    store = Store(tmp_path)
    trunk = made.checkpoint(store)
    before = {"classes_before": ["ant", "bee"]}
    branch = made.checkpoint(store, classes=("hen",), parent=trunk, summary=before)
    shutil.rmtree(trunk.path)
    assert measuring.known(branch, store=store) == ({"ant", "bee", "hen"}, ())


def test_a_class_with_too_few_images_is_named(fewshot):
    with pytest.raises(InputError, match=r"40 shots need 40 images .* '0' has \d+") as caught:
        fewshot(shots=(1, 40))
    assert caught.value.exit_code == 3


def test_images_of_several_classes_are_scored_but_never_drawn(fewshot):
    dataset = made.NamedDataset(train_examples=200, multi=True)
    artifact = fewshot(dataset)
    assert artifact.summary["examples"] == (dataset.labels("val") >= 0).any(axis=1).sum() < 37


def test_features_that_do_not_fit_are_refused_before_any_image_is_read(fewshot, monkeypatch):
    monkeypatch.setattr("vitctl.hardware.machine.host_bytes", lambda: 1000)
    monkeypatch.setattr(pipeline, "eval_batches", None)
    with pytest.raises(DoesNotFitError, match="16 features of each of"):
        fewshot(features="model")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"shots": (5, 1)}, "not ascending"),
        ({"shots": ()}, "at least 1 item"),
        ({"train_split": "val"}, "can't be scored"),
        ({"l2": 0.0}, "greater than 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields, said):
    with pytest.raises(ValidationError, match=said):
        FewshotConfig(**{"eval_split": "val", "precision": "float32", **fields})


def test_an_uncooled_checkpoint_is_told_apart(tmp_path):
    store = Store(tmp_path)
    assert measuring.uncooled(made.checkpoint(store), store=store) is None
    trunk = made.checkpoint(store, cooled=False, seed=1)
    assert measuring.uncooled(trunk, store=store).endswith(
        f"cool it down: vitctl cooldown --from {trunk.path} --store {tmp_path}"
    )
    closed = made.checkpoint(store, cooled=False, schedule={"kind": "cosine"})
    assert "middle of a cosine schedule" in measuring.uncooled(closed, store=store)
    falling = made.checkpoint(
        store, cooled=False, step=7, schedule={"total_steps": 10, "cooldown_steps": 4}
    )
    assert "already cooling down since step 6" in measuring.uncooled(falling, store=store)


def test_the_command_fills_in_what_is_left_out(tmp_path):
    """Mock images, split and precision of the checkpoint; it loads no array library for that."""
    made.checkpoint(Store(tmp_path / "artifacts"), cooled=False)
    command = "fewshot --from made --shots 10,1,5 --draws 3 --print-config"
    streams = {"stdin": subprocess.DEVNULL, "text": True}
    arguments = command.split()
    done = forking.run(COMMAND, *arguments, preload=LOOKING, cwd=tmp_path, check=True, **streams)
    (tmp_path / "printed.toml").write_text(done.stdout)
    cfg = FewshotConfig.model_validate(read_toml(tmp_path / "printed.toml"))
    assert cfg == FewshotConfig(shots=(1, 5, 10), draws=3, eval_split="val", precision="float32")
    assert "vitctl cooldown --from artifacts/pretrain/made-" in done.stderr
    assert "synthetic images" in done.stderr


def test_one_command_probes_several_models_and_kinds_of_features(tmp_path):
    """On made-up images, so without TensorFlow; each result is an artifact of its own."""
    store = Store(tmp_path / "artifacts")
    first, second = made.checkpoint(store), made.checkpoint(store, seed=1)
    command = "fewshot --shots 1 --draws 2 --set eval_split=val"
    both = ("--features", "pixels,untrained")
    lines = f"{first.path}\n{second.path}\n"

    def probe(*more):
        arguments = (*command.split(), *more)
        options = {"cwd": tmp_path, "text": True, "input": lines}
        return forking.run(COMMAND, *arguments, preload=TRAINING, **options)

    done = probe(*both)
    assert done.returncode == 0, done.stderr
    outcome = [Artifact.load(tmp_path / line) for line in done.stdout.splitlines()]
    probed = [(a.manifest.parent("from").id, a.summary["features"]) for a in outcome]
    kinds = ("pixels", "untrained")
    assert probed == [(above.id, kind) for above in (first, second) for kind in kinds]
    assert len({artifact.id for artifact in outcome}) == 4

    pair = ("--compare", str(first.path), str(second.path))
    compared = probe("--features", "pixels", *pair, "--json")
    document = json.loads(compared.stdout)
    assert [result["id"] for result in document["results"]] == [outcome[0].id, outcome[2].id]
    assert document["comparison"][0]["draws"] == 2
    schemas.check(document, "fewshot_comparison")

    refused = probe(*both, "--out", "one")
    assert refused.returncode == 2
    assert "this makes 2 results" in refused.stderr
    refused = probe("--features", "pixels,pixel")
    assert "not one of model, pixels, untrained" in refused.stderr


def test_classes_left_out_are_as_if_they_were_not_there(fewshot):
    """Against a dataset that never had the names of the rarest classes."""
    counts = np.bincount(NAMED.labels("train").ravel(), minlength=7)
    most = int(np.sort(counts)[2])  # the two rarest have fewer, but for ties
    enough = [name for name, count in zip(NAMED.names, counts, strict=True) if count >= most]
    assert 2 <= len(enough) < 7
    events = []
    whole = fewshot(NAMED, shots=(1, most), too_few="leave-out", emit=events.append)
    part = fewshot(made.NamedDataset(names=tuple(enough)), shots=(1, most), out="part")
    assert results(whole)["draws"] == results(part)["draws"]
    assert results(whole)["classes"] == enough
    assert whole.summary["left_out"] == len(results(whole)["classes_left_out"]) == 7 - len(enough)
    said = [event.text for event in events if isinstance(event, Caution)]
    assert any(
        f"fewer than {most} images can be drawn from: {7 - len(enough)} of 7 classes" in t
        for t in said
    )
    assert "too few images left out" in stage.readable(FEWSHOT.summary(whole))["data"]


def test_settings_that_came_later_leave_older_ids_alone():
    cfg = FewshotConfig(eval_split="val", precision="float32")
    assert "too_few" not in cfg.identity()
    assert not {"probe", "neighbours", "temperature"} & cfg.identity().keys()
    assert cfg.identity()["l2"] == 1024.0
    changed = cfg.model_copy(update={"too_few": "leave-out"})
    assert changed.identity() == {**cfg.identity(), "too_few": "leave-out"}


@pytest.mark.parametrize(
    ("fields", "key", "usual"),
    [
        ({"l2": "auto"}, "l2", 1024.0),
        ({"probe": "logistic", "l2": "auto"}, "l2", 1.0),
        ({"probe": "knn", "neighbours": "auto"}, "neighbours", None),
    ],
    ids=["ridge", "logistic", "knn"],
)
def test_what_each_draw_chose_is_recorded_and_one_shot_chooses_nothing(
    fewshot, monkeypatch, fields, key, usual
):
    monkeypatch.setattr("vitctl.probe.probes._LOGISTIC_L2S", (10.0, 1.0, 0.1))  # less takes longest
    events: list[Any] = []
    # Of 16 features a regression is a tenth of the work that it is of 192 pixels.
    fields |= {"features": "model", "draws": 2, "too_few": "leave-out"}
    artifact = fewshot(NAMED, shots=(1, 5), emit=events.append, **fields)
    rows = results(artifact)["draws"]
    fixed, chosen = ([row for row in rows if row["shots"] == k] for k in (1, 5))
    assert not any(row["chosen"] for row in fixed)
    assert all(row["chosen"] for row in chosen)
    assert {row[key] for row in fixed} == {usual or artifact.summary["classes"]}
    one, five = artifact.summary["shots"]
    assert "chosen" not in one
    assert five["chosen"] == [row[key] for row in chosen]
    assert artifact.summary["l2"] is None
    said = [event.text for event in events if isinstance(event, Caution)]
    assert any("1 shot a class leaves none to hold out" in text for text in said)
    assert "chosen" in stage.readable(FEWSHOT.summary(artifact))["5-shot"]


def test_all_images_are_probed_once(fewshot):
    artifact = fewshot(NAMED, shots="all", draws=1, probe="knn", neighbours=3)
    [row] = artifact.summary["shots"]
    assert (row["shots"], row["draws"], artifact.summary["neighbours"]) == (None, 1, 3)
    assert results(artifact)["draws"][0]["shots"] is None
    from sklearn.neighbors import KNeighborsClassifier

    flat = {split: images(split).reshape(-1, MODEL.resolution**2 * 3) for split in ("train", "val")}
    model = KNeighborsClassifier(
        3, metric="cosine", weights=lambda d: np.exp((d.min(axis=1, keepdims=True) - d) / 0.07)
    )
    model.fit(flat["train"].astype(np.float64), NAMED.labels("train")[:, 0])
    expected = model.score(flat["val"].astype(np.float64), NAMED.labels("val")[:, 0])
    assert row["accuracy_mean"] == pytest.approx(expected)
    assert "all images" in stage.readable(FEWSHOT.summary(artifact))


def test_more_neighbours_than_shots_are_refused_before_any_image_is_read(fewshot, monkeypatch):
    monkeypatch.setattr(pipeline, "eval_batches", None)
    with pytest.raises(UsageError, match=r"20 neighbours need 20 images .* there are 7"):
        fewshot(shots=(1, 3), probe="knn")


@pytest.mark.parametrize(
    ("given", "classes", "neighbours"),
    [
        ({}, 7, 7),
        ({}, 20, 20),
        ({"shots": [5, 10]}, 7, 20),
        ({"neighbours": 20}, 7, 20),
        ({"neighbours": "auto"}, 7, "auto"),
        ({"shots": "all", "draws": 1}, 7, 20),
    ],
)
def test_the_usual_neighbours_are_no_more_than_there_are_images(given, classes, neighbours):
    """Of few classes, too, knn works as it is; what the user gave is refused where it can't be."""
    tree = {"probe": "knn", "eval_split": "val", "precision": "float32", **given}
    events = []
    cfg = _with_neighbours(FewshotConfig(**tree), tree, classes=classes, emit=events.append)
    assert cfg.neighbours == neighbours
    assert [event.text.partition(":")[0] for event in events] == ["neighbours 7"] * (
        neighbours == 7
    )


def test_features_that_are_not_finite_are_refused(fewshot, monkeypatch):
    monkeypatch.setattr(
        "vitctl.inference.features.gathered",
        lambda batches, *, examples, width, progress: np.full((examples, width), np.nan, "f4"),
    )
    with pytest.raises(
        InputError, match=r"of (\d+) of \1 images of the split 'train' are not finite"
    ):
        fewshot()


def test_settings_of_another_probe_are_refused():
    for tree in (
        {"probe": "knn", "l2": 1.0},
        {"neighbours": 3},
        {"probe": "ridge", "temperature": 1},
    ):
        with pytest.raises(UsageError, match="is no setting of the probe"):
            _of_probe(tree)
    for written in ({"l2": 1024.0, "probe": "knn"}, {"neighbours": 20, "temperature": 0.07}):
        assert _of_probe(written) == {}, "a file of --print-config has the defaults of all probes"
    assert _of_probe({"probe": ["knn"], "l2": 3.0}) == {}, "refused where settings are built"
    assert _of_probe({"probe": "logistic"}) == {"l2": "auto"}
    assert _of_probe({"probe": "logistic", "l2": 3.0}) == {}
    assert _of_probe({"shots": "all"}) == {"draws": 1}
    assert read_l2("auto", name="--l2") == "auto"
    for text in ("much", "0", "-1", "nan", "inf"):
        with pytest.raises(UsageError, match=f"--l2 '{text}' is neither"):
            read_l2(text, name="--l2")


def test_a_comparison_pairs_the_draws(fewshot):
    """Against scipy's paired t test; and what is on other images is refused."""
    first = fewshot(NAMED, shots=(1, 3), out="first")
    second = fewshot(NAMED, shots=(1, 3), features="untrained", out="second")
    rows = comparison.compare(first, second)
    for row in rows:
        one, two = (
            [r["accuracy"] for r in results(a)["draws"] if r["shots"] == row.shots]
            for a in (first, second)
        )
        expected = stats.ttest_rel(two, one).confidence_interval(0.95)
        assert row.difference == pytest.approx(np.mean(two) - np.mean(one))
        assert row.interval == pytest.approx(expected)
        assert (row.first, row.second) == pytest.approx((np.mean(one), np.mean(two)))
    assert [row.shots for row in rows] == [1, 3]
    schemas.check(
        {
            "results": [first.as_json(), second.as_json()],
            "comparison": [row.as_json() for row in rows],
        },
        "fewshot_comparison",
    )
    assert not comparison.is_assumed(first, second)
    assert comparison.cells(rows)[0][:2] == ["1", f"{rows[0].first:.2%}"]
    single = fewshot(NAMED, shots=(3,), draws=1, out="single")
    [row] = comparison.compare(single, second)
    assert (row.interval, row.draws) == (None, 1)
    with pytest.raises(UsageError, match="not of the same images: 37 of 7 classes in"):
        comparison.compare(first, fewshot(shots=(1, 3), out="mock"))
    with pytest.raises(UsageError, match="no draw in common"):
        comparison.compare(first, fewshot(NAMED, shots=(2,), out="other"))
    edited = (second.path / "results.json").read_text().replace('"accuracy": 0', '"accuracy": 1', 1)
    (second.path / "results.json").write_text(edited)
    with pytest.raises(InputError, match=r"is damaged: results\.json has other bytes"):
        comparison.compare(first, second)
    (first.path / stage.RESULTS).write_text("{}")
    with pytest.raises(InputError, match=r"is damaged: results\.json has 2 bytes"):
        comparison.compare(first, second)


def test_several_results_are_a_table(fewshot):
    made = [fewshot(NAMED, out="a"), fewshot(NAMED, features="untrained", out="b")]
    lines = in_a_table(made)
    assert [name.split(" on ")[0] for name in lines] == [
        "tiny at step 8 (pixels)", "tiny at step 8 (untrained)",
    ]  # fmt: skip
    for artifact, line in zip(made, lines.values(), strict=True):
        assert f"{artifact.summary['shots'][1]['accuracy_mean']:.2%}" in line
