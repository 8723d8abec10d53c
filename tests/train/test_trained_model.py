"""A checkpoint in Python: `vitctl.load`, and what the model makes of images."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vitctl
from tests import made
from vitctl.artifacts import Artifact, Store
from vitctl.checkpoints import arrays
from vitctl.errors import InputError, NotFoundError, UsageError
from vitctl.model import vit
from vitctl.train.trained_model import in_range

MODEL = made.config().model
SIDE = MODEL.resolution


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def checkpoint(store) -> Artifact:
    return made.checkpoint(store)


def pixels(n: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, SIDE, SIDE, 3)).astype(np.uint8)


def expected(images: np.ndarray) -> vit.Outputs:
    run = jax.jit(lambda p, x: vit.apply(p, x, config=MODEL))
    return run(made.weights(MODEL), images)


@pytest.mark.parametrize(
    ("n", "batch", "devices"), [(1, 256, 1), (5, 256, 8), (11, 4, 1), (16, 16, 8)]
)
def test_answers_are_those_of_the_saved_weights(store, checkpoint, n, batch, devices):
    model = vitctl.load(checkpoint.path, store=store, devices=devices)
    scaled = (pixels(n) / 127.5 - 1).astype(np.float32)
    answers = model.apply(pixels(n), batch=batch)
    outputs = expected(scaled)
    # fp32 sums in another order; features are of size 1, logits sums of 16 of them.
    np.testing.assert_allclose(answers.logits, outputs.logits, rtol=0, atol=3e-5)
    np.testing.assert_allclose(answers.features, outputs.pre_logits, rtol=0, atol=5e-6)
    features = model.features(scaled, batch=batch)
    np.testing.assert_allclose(features, outputs.pre_logits, rtol=0, atol=5e-6)


def test_what_it_says_of_itself(store, checkpoint):
    model = vitctl.load(checkpoint, store=store)
    assert model.config == MODEL
    assert model.classes == made.CLASSES
    assert repr(model) == "<tiny at step 8, raw weights, 7 classes, images of 8 x 8>"
    same = jax.tree.map(np.array_equal, model.params, made.weights(MODEL))
    assert all(jax.tree.leaves(same))
    answer = vitctl.apply(model.params, jnp.zeros((2, SIDE, SIDE, 3)), config=MODEL)
    np.testing.assert_allclose(
        answer.logits, model.apply(np.zeros((2, SIDE, SIDE, 3))).logits, rtol=0, atol=3e-5
    )


def test_no_image_has_no_answer(store, checkpoint):
    model = vitctl.load(checkpoint, store=store)
    answers = model.apply(np.zeros((0, SIDE, SIDE, 3)))
    assert (answers.logits.shape, answers.features.shape) == ((0, 7), (0, MODEL.features))


@pytest.mark.parametrize("reference", ["latest", "made", "made@8"])
def test_what_commands_take_is_taken(store, checkpoint, reference, monkeypatch):
    monkeypatch.setenv("VITCTL_STORE", str(store.root))
    assert vitctl.load(reference).checkpoint.id == checkpoint.id


def test_features_of_a_dataset_and_the_probe_are_what_the_command_measures(store, checkpoint):
    import json

    from stages.fewshot import run as fewshot
    from stages.fewshot.spec import FewshotConfig
    from vitctl.recipes.measuring import Measured, MeasuringRuntime

    model = vitctl.load(checkpoint, store=store)
    train, val = (model.features_of(split=split) for split in ("train", "val"))
    assert train.classes == tuple("0123456")
    rows = vitctl.fewshot(
        train.features, train.labels, val.features, val.labels[:, 0], shots=[3, 1], draws=4, seed=2
    )
    settings = {"shots": (1, 3), "draws": 4, "seed": 2, "eval_split": "val"}
    cfg = FewshotConfig(**settings, precision="float32")
    command = fewshot.run(cfg, Measured(checkpoint, None), store=store, runtime=MeasuringRuntime())
    results = json.loads((command.path / fewshot.RESULTS).read_bytes())["draws"]
    for row in rows:
        by_command = [draw["accuracy"] for draw in results if draw["shots"] == row.shots]
        assert row.accuracy_mean == pytest.approx(np.mean(by_command), abs=1e-12)
        assert row.draws == len(by_command) == 4
    assert [row.shots for row in rows] == [1, 3]


def test_the_average_is_taken_where_there_is_one(tmp_path):
    trained = made.checkpoint(Store(tmp_path), optim={"ema": 0.5})
    for request, taken, seed in ((None, "ema", 4), ("ema", "ema", 4), ("raw", "raw", 3)):
        model = vitctl.load(trained, weights=request)
        assert model.weights == taken
        kernel = made.weights(MODEL, seed=seed)["head"]["kernel"]
        np.testing.assert_array_equal(model.params["head"]["kernel"], kernel)


def test_other_weights_are_refused(store, checkpoint, tmp_path):
    with pytest.raises(UsageError, match="no average"):
        vitctl.load(checkpoint, store=store, weights="ema")
    with pytest.raises(NotFoundError, match="neither a path nor"):
        vitctl.load("unknown", store=store)
    with pytest.raises(InputError, match="is a dataset"):
        vitctl.load(made.dataset_artifact(Store(tmp_path)))
    damaged = made.checkpoint(Store(tmp_path / "damaged"))
    file = next(f for f in (damaged.path / arrays.PARAMS).rglob("c/*") if f.is_file())
    file.write_bytes(bytes(len(file.read_bytes())))
    with pytest.raises(InputError, match="other bytes than were published"):
        vitctl.load(damaged.path)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (pixels(1)[0], r"expected images \[n, 8, 8, 3\], got \[8, 8, 3\]"),
        (np.zeros((1, 3, SIDE, SIDE)), "expected images"),
        (np.zeros((1, 2 * SIDE, 2 * SIDE, 3), np.uint8), "expected images"),
        (pixels(2).astype(np.float32), "from -1 .black. to 1 .white."),
        (np.full((1, SIDE, SIDE, 3), np.nan), "from -1 .black. to 1 .white."),
        (pixels(2).astype(np.int64), "uint8 or floats"),
    ],
    ids=["one", "channels first", "size", "0 to 255", "NaN", "int64"],
)
def test_other_images_are_refused(store, checkpoint, images, said):
    model = vitctl.load(checkpoint, store=store)
    with pytest.raises(UsageError, match=said):
        model.apply(images)
    with pytest.raises(UsageError, match=said):
        model.features(images)


def test_bytes_become_what_the_input_pipeline_makes_of_them():
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(
        in_range(levels), np.arange(256, dtype=np.float32) / np.float32(127.5) - np.float32(1)
    )
