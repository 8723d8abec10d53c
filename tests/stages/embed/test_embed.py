"""Features that are kept: the same rows as computed at once, found again by the probe."""

from __future__ import annotations

import json
from typing import Any

import jax
import numpy as np
import pytest

from stages.embed import run as stage
from stages.embed.settings import read_splits, resolve
from stages.embed.spec import EmbedConfig
from stages.fewshot import run as fewshot_stage
from stages.fewshot.settings import resolve_given
from stages.fewshot.spec import FewshotConfig, Given
from tests import made
from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.kinds import FEATURE_SET, FEWSHOT
from vitctl.errors import InputError, NotFoundError, UsageError
from vitctl.events import Note, Progress, silent
from vitctl.feature_sets import stored
from vitctl.feature_sets.stored import StoredFeatures
from vitctl.inference import features
from vitctl.ingest.sources.feature_files import read_features
from vitctl.model import vit
from vitctl.probe import fewshot as probe
from vitctl.recipes.measuring import Measured, MeasuringRuntime
from vitctl.settings.overrides import Overrides

MODEL = made.config().model
IMAGES = made.MockDataset(len(made.CLASSES), 90, 37)
RUNTIME = MeasuringRuntime(devices=1, batch=16)


class StoppedError(Exception):
    pass


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return made.checkpoint(Store(tmp_path_factory.mktemp("store")))


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store")


def embed(checkpoint: Artifact, store: Store, *, emit: Any = silent, **fields: Any) -> Artifact:
    cfg = EmbedConfig(**{"splits": ("train", "val"), "precision": "float32", **fields})
    given = Measured(checkpoint, None)
    return stage.run(cfg, given, store=store, runtime=RUNTIME, emit=emit)


def probed(
    checkpoint: Artifact, store: Store, *, emit: Any = silent, force: bool = False
) -> Artifact:
    cfg = FewshotConfig(shots=(1, 3), draws=3, eval_split="val", precision="float32")
    runtime = RUNTIME.model_copy(update={"force": force})
    given = Measured(checkpoint, None)
    return fewshot_stage.run(cfg, given, store=store, runtime=runtime, emit=emit)


def rows(artifact: Artifact, split: str) -> np.ndarray:
    stored = StoredFeatures.load(artifact)
    return stored.rows(split, np.arange(stored.info.splits[split].examples))


def images(split: str) -> np.ndarray:
    n = IMAGES.info.examples(split)
    request = [(np.arange(n), np.zeros((n, 2), np.int32))]
    return next(IMAGES.made_up(request, split=split, resolution=MODEL.resolution))


def test_rows_are_the_pre_logits_of_all_images_in_order(checkpoint, store, monkeypatch):
    monkeypatch.setattr(stored, "_PART_BYTES", 4 * MODEL.features * 25)
    artifact = embed(checkpoint, store)
    look = jax.jit(lambda x: vit.apply(made.weights(MODEL), x, config=MODEL).pre_logits)
    for split in ("train", "val"):
        # fp32 sums in another order: features are of size 1.
        np.testing.assert_allclose(rows(artifact, split), look(images(split)), rtol=0, atol=2e-6)
        labels = np.load(artifact.path / f"{split}.labels.npy")
        np.testing.assert_array_equal(labels, IMAGES.labels(split))
        np.testing.assert_array_equal(
            np.load(artifact.path / f"{split}.keys.npy"), IMAGES.keys(split)
        )
    assert sorted(p.name for p in artifact.path.glob("train-*")) == [
        f"train-{i:05d}-of-00004.npy" for i in range(4)
    ]
    some = np.array([0, 24, 25, 60, 89])
    np.testing.assert_array_equal(
        StoredFeatures.load(artifact).rows("train", some), rows(artifact, "train")[some]
    )


def test_what_was_stopped_goes_on_and_ends_the_same(checkpoint, store, monkeypatch, tmp_path):
    monkeypatch.setattr(stored, "_PART_BYTES", 4 * MODEL.features * 25)
    whole = embed(checkpoint, Store(tmp_path / "other"))

    def stop(event: Any) -> None:
        if isinstance(event, Progress) and event.done > 50:
            raise StoppedError

    with pytest.raises(StoppedError):
        embed(checkpoint, store, emit=stop)
    requests: list[int] = []
    of_model = features.of_model

    def counted(*args: Any, **kwargs: Any) -> Any:
        for part in of_model(*args, **kwargs):
            requests.append(len(part))
            yield part

    monkeypatch.setattr(features, "of_model", counted)
    again = embed(checkpoint, store)
    assert sum(requests) == 90 + 37 - 50
    assert again.digest == whole.digest
    requests.clear()
    assert embed(checkpoint, store).path == again.path
    assert requests == []


def test_a_probe_finds_them_and_scores_the_same(checkpoint, store, monkeypatch, tmp_path):
    expected = probed(checkpoint, Store(tmp_path / "other"))
    stored = embed(checkpoint, store)

    def never(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("features were computed again")

    monkeypatch.setattr(features, "of_model", never)
    notes: list[str] = []
    result = probed(
        checkpoint,
        store,
        emit=lambda event: notes.append(event.text) if isinstance(event, Note) else None,
    )
    assert result.id == expected.id
    assert result.digest == expected.digest
    # As when `mock` was a setting, so that ids are those of before.
    images = {"examples": 90, "eval_examples": 37}
    assert result.config["mock"] == stored.config["mock"] == images
    assert any(str(stored.path) in note for note in notes)


@pytest.mark.parametrize(
    "fields", [{"at": "tokens"}, {"splits": ("train",)}, {"precision": "bfloat16"}]
)
def test_a_probe_takes_no_others(checkpoint, store, fields):
    embed(checkpoint, store, **fields)
    notes: list[str] = []
    probed(
        checkpoint,
        store,
        emit=lambda event: notes.append(event.text) if isinstance(event, Note) else None,
    )
    assert not [note for note in notes if "not computed again" in note]


def test_a_probe_of_the_artifact_alone_is_the_probe_on_its_arrays(checkpoint, store):
    artifact = embed(checkpoint, store, at="tokens")
    given = Given(artifact)
    overrides = Overrides(flags={"shots": [1, 3], "draws": 3})
    cfg = resolve_given(overrides, given, emit=silent)
    outcome = fewshot_stage.run(cfg, given, store=store, runtime=RUNTIME, emit=silent)
    expected = probe.accuracies(
        rows(artifact, "train"),
        IMAGES.labels("train"),
        rows(artifact, "val"),
        IMAGES.labels("val"),
        shots=(1, 3),
        draws=3,
    )
    summary = FEWSHOT.summary(outcome)
    assert [row.accuracy_mean for row in summary.shots] == [r.accuracy_mean for r in expected]
    assert (summary.features, summary.seen, summary.model) == ("given", "none", "tiny (tokens)")
    assert [p.role for p in outcome.manifest.parents] == ["features"]


def test_features_of_another_program_are_probed_by_the_same_rules(store, tmp_path):
    rng = np.random.default_rng(0)
    y, ty = rng.integers(0, 4, 60), rng.integers(0, 4, 30)
    x, tx = rng.normal(size=(60, 8)) + 2 * np.eye(8)[y], rng.normal(size=(30, 8))
    tx += 2 * np.eye(8)[ty]
    x, tx = x.astype(np.float32), tx.astype(np.float32)
    path = tmp_path / "dino.npz"
    np.savez(path, train_features=x, train_labels=y, test_features=tx, test_labels=ty)
    given = Given(read_features(path))
    overrides = Overrides(flags={"shots": [1, 5], "draws": 4})
    notes: list[str] = []
    cfg = resolve_given(
        overrides,
        given,
        emit=lambda event: notes.append(event.text) if isinstance(event, Note) else None,
    )
    artifact = fewshot_stage.run(cfg, given, store=store, runtime=RUNTIME, emit=silent)
    expected = probe.accuracies(x, y, tx, ty, shots=(1, 5), draws=4)
    summary = FEWSHOT.summary(artifact)
    assert [row.accuracy_mean for row in summary.shots] == [r.accuracy_mean for r in expected]
    assert (summary.model, summary.step, summary.cooled) == ("dino", None, None)
    assert (summary.split, summary.seen) == ("test", "unknown")
    assert "train_features" in notes[0]
    shown = fewshot_stage.readable(summary)
    assert shown["data"] == "dino test: 30 images, 4 classes"
    # Their contents name the result, not their place.
    moved = Given(read_features(path.rename(tmp_path / "other.npz")))
    assert resolve_given(overrides, moved, emit=silent).identity() == cfg.identity()


def used(artifact: Artifact) -> None:
    stored = StoredFeatures.load(artifact)
    stored.labels("val")
    stored.rows("train", np.arange(3))


def test_a_flipped_byte_is_noticed(checkpoint, store):
    artifact = embed(checkpoint, store)
    for name in ("train-00000-of-00001.npy", "val.labels.npy", "features.json"):
        whole = (artifact.path / name).read_bytes()
        content = bytearray(whole)
        content[-3] ^= 1
        (artifact.path / name).write_bytes(content)
        with pytest.raises(InputError, match=name.replace(".", r"\.")):
            used(artifact)
        (artifact.path / name).write_bytes(whole)


def test_weights_that_have_diverged_give_no_features(store, monkeypatch):
    monkeypatch.setattr(
        features,
        "of_model",
        lambda extractor, params, batches, layout: (
            np.full((int(b.mask.sum()), MODEL.features), np.nan, np.float32) for b in batches
        ),
    )
    checkpoint = made.checkpoint(store)
    with pytest.raises(InputError, match="are not finite"):
        embed(checkpoint, store)


def test_settings(checkpoint):
    overrides = Overrides(flags={"splits": ["val"], "at": "block:1"})
    cfg = resolve(overrides, checkpoint, None, emit=silent)
    assert (cfg.splits, cfg.at) == (("val",), "block:1")
    assert resolve(Overrides(), checkpoint, None, emit=silent).splits == ("train", "val")
    assert read_splits(" val,train , val") == ["val", "train"]
    with pytest.raises(UsageError, match="no images of a split 'test'"):
        resolve(Overrides(flags={"splits": ["test"]}), checkpoint, None, emit=silent)
    with pytest.raises(UsageError, match="the model has 1 blocks"):
        resolve(Overrides(flags={"at": "block:2"}), checkpoint, None, emit=silent)


def test_features_to_learn_from_alone_are_refused(checkpoint, store):
    artifact = embed(checkpoint, store, splits=("train",))
    with pytest.raises(NotFoundError, match="features of train alone"):
        resolve_given(Overrides(), Given(artifact), emit=silent)


def test_the_summary_is_one_line(checkpoint, store):
    artifact = embed(checkpoint, store, at="block:1")
    assert FEATURE_SET.in_one_line(artifact.summary) == (
        "tiny on mock, 16 wide at block:1, 90 train, 37 val"
    )
    assert json.loads((artifact.path / "features.json").read_text())["trained_on"] == [
        *made.CLASSES
    ]
