from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from stages.predict import names, text
from stages.predict import run as stage
from stages.predict.settings import resolve
from stages.predict.spec import (
    PAUSE,
    Failure,
    Inputs,
    NamedImage,
    PredictConfig,
    Prediction,
    PredictRuntime,
)
from tests import made, schemas
from vitctl.artifacts import Store
from vitctl.data.config import EvalPreprocess
from vitctl.data.numpy_preprocess import eval_pixels
from vitctl.errors import InputError
from vitctl.events import Caution, silent
from vitctl.model import vit
from vitctl.recipes import branching
from vitctl.settings.overrides import Overrides

MODEL = made.config().model
PREPROCESS = EvalPreprocess()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def checkpoint(store):
    return made.checkpoint(store)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Eleven images of several sizes, and what evaluation sees of them."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    inputs = {}
    for number in range(11):
        pixels = random.integers(0, 256, (9 + number, 31 - number, 3)).astype(np.uint8)
        path = folder / f"{number:02}.png"
        Image.fromarray(pixels).save(path)
        inputs[str(path)] = eval_pixels(pixels, resolution=8, preprocess=PREPROCESS)
    return inputs


def answers(checkpoint, store, images, *, endless=False, batch=None, devices=1, **settings):
    given = {"loss": "softmax", "preprocess": PREPROCESS, "precision": "float32", **settings}
    return list(
        stage.run(
            PredictConfig(**given),
            Inputs(checkpoint, images, endless=endless),
            store=store,
            runtime=PredictRuntime(batch=batch, devices=devices),
        )
    )


def flat(batches):
    return [answer for batch in batches for answer in batch]


def logits(images):
    apply = jax.jit(lambda p, x: vit.apply(p, x, config=MODEL).logits)
    return np.asarray(apply(made.weights(MODEL), np.stack(list(images))), np.float64)


@pytest.mark.parametrize(("loss", "batch", "devices"), [("softmax", 4, 1), ("sigmoid", None, 8)])
def test_probabilities_are_those_of_the_loss(checkpoint, store, photos, loss, batch, devices):
    z = logits(photos.values())
    each = np.exp(z - z.max(1, keepdims=True))
    expected = each / each.sum(1, keepdims=True) if loss == "softmax" else 1 / (1 + np.exp(-z))
    result = flat(
        answers(
            checkpoint,
            store,
            map(NamedImage, photos),
            loss=loss,
            batch=batch,
            devices=devices,
            top=len(made.CLASSES),
        )
    )
    assert [answer.image for answer in result] == list(photos)
    for answer, row in zip(result, expected, strict=True):
        order = np.argsort(-row)
        assert [name for name, _ in answer.classes] == [made.CLASSES[i] for i in order]
        # A few ulp of fp32: sums of another order.
        assert [p for _, p in answer.classes] == pytest.approx(row[order], rel=1e-5)


def test_a_bad_file_is_answered_in_its_place(checkpoint, store, photos, tmp_path):
    bad = tmp_path / "page.jpg"
    bad.write_text("<html>")
    first, second, *_ = photos
    given = [first, str(bad), str(tmp_path / "none.png"), str(tmp_path), second, "http://a.org/b"]
    outcome = flat(answers(checkpoint, store, map(names.named, given), batch=2))
    assert [answer.image for answer in outcome] == given
    assert [isinstance(answer, Failure) for answer in outcome] == [False, *[True] * 3, False, True]
    reasons = [answer.reason for answer in outcome if isinstance(answer, Failure)]
    for reason, part in zip(
        reasons, ("an HTML page", "no such file", "a folder", "a URL"), strict=True
    ):
        assert part in reason
    assert [a.missing for a in outcome if isinstance(a, Failure)] == [False, True, False, False]


def test_a_pause_answers_what_was_named_and_no_other_size_is_compiled(
    checkpoint, store, photos, monkeypatch
):
    sizes = set()
    make = stage.prediction.make_predictor

    def spied(*arguments, **options):
        predictor = make(*arguments, **options)

        def predict(params, images):
            sizes.add(images.shape[0])
            return predictor(params, images)

        return predict

    monkeypatch.setattr(stage.prediction, "make_predictor", spied)
    paths, requests = list(photos), []

    def stream():
        for path in paths[:5]:
            requests.append(path)
            yield NamedImage(path)
        yield PAUSE
        # All five were answered before more is asked for.
        assert len(requests) == 5
        yield PAUSE
        yield NamedImage(paths[5])

    batches = answers(checkpoint, store, stream(), endless=True, batch=4)
    assert [[answer.image for answer in batch] for batch in batches] == [
        paths[:4],
        paths[4:5],
        paths[5:6],
    ]
    assert sizes == {4}


def test_no_tensorflow_is_asked_for(checkpoint, store, photos, monkeypatch):
    def refused():
        raise AssertionError("TensorFlow was asked for")

    for module in list(sys.modules.values()):
        if getattr(module, "load_tensorflow", None) is not None:
            monkeypatch.setattr(module, "load_tensorflow", refused)
    assert all(
        isinstance(a, Prediction) for a in flat(answers(checkpoint, store, map(NamedImage, photos)))
    )


def test_values_that_are_not_finite_are_no_prediction(checkpoint, store, photos, monkeypatch):
    broken = jax.tree.map(lambda x: x * np.float32("nan"), made.weights(MODEL))
    monkeypatch.setattr(stage.weights, "restored", lambda *_, **__: broken)
    (answer,) = flat(answers(checkpoint, store, [NamedImage(next(iter(photos)))]))
    assert "not finite" in answer.reason


# Settings


def test_a_model_without_classifier_is_refused_with_the_way_on(checkpoint, store, monkeypatch):
    features = made.config(model={"classes": 0})
    monkeypatch.setattr(branching, "trained_with", lambda _: features)
    with pytest.raises(InputError, match="has no classifier") as error:
        resolve(Overrides(), checkpoint, store=store, emit=silent)
    assert "vitctl finetune" in error.value.hint


def test_classes_that_mean_nothing_in_photos_are_reported(store):
    said = []
    formula = made.checkpoint(
        store, classes=tuple(f"multi{i:05d}" for i in range(7)), data={"mock": None}
    )
    cfg = resolve(Overrides(), formula, store=store, emit=said.append)
    assert cfg.loss == "sigmoid"
    (caution,) = (event for event in said if isinstance(event, Caution))
    assert "formula images" in caution.text


# Names


def piped(content, *, separator=b"\n"):
    reading, writing = os.pipe()
    writer = threading.Thread(target=lambda: (os.write(writing, content), os.close(writing)))
    writer.start()
    try:
        return list(names.lines(reading, separator=separator, emit=silent))
    finally:
        writer.join()
        os.close(reading)


def test_names_on_stdin():
    assert piped(b"a.jpg\r\n\n b c.jpg\nlast") == [
        NamedImage("a.jpg"),
        NamedImage(" b c.jpg"),
        NamedImage("last"),
    ]
    assert piped(b"a\nb.jpg\0c\0", separator=b"\0") == [NamedImage("a\nb.jpg"), NamedImage("c")]
    (whole,) = piped(b"a.jpg\0b.jpg\0")
    assert "add -0" in whole.problem
    assert piped(b"\xff.jpg") == [NamedImage(os.fsdecode(b"\xff.jpg"))]


@pytest.mark.parametrize("content", [b"\xff\xd8\xff\xe0" + bytes(99), b"x" * 200_000])
def test_stdin_that_holds_no_names_is_refused(content):
    reading, writing = os.pipe()
    writer = threading.Thread(target=lambda: (os.write(writing, content), os.close(writing)))
    writer.daemon = True
    writer.start()
    with pytest.raises(InputError, match="stdin holds"):
        list(names.lines(reading, separator=b"\n", emit=silent))
    while os.read(reading, 1 << 16):
        pass
    writer.join()
    os.close(reading)


def test_a_folder_gives_its_images_in_order(tmp_path):
    for name in ("b/2.JPG", "b/1.png", "a.webp", "notes.txt", ".hidden/x.png", "c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "b" / "up").symlink_to(tmp_path)
    said = []
    values = [
        Path(n.name).relative_to(tmp_path) for n in names.below(str(tmp_path), emit=said.append)
    ]
    assert [str(path) for path in values] == ["a.webp", "b/1.png", "b/2.JPG", "c"]
    assert ": 1 .txt file, 1 hidden folder, 1 link that leads back up" in said[0].text
    (tmp_path / "empty").mkdir()
    (none,) = names.below(str(tmp_path / "empty"), emit=silent)
    assert none.problem == "the folder has no images"


def test_a_run_among_the_images_is_answered_with_its_option(tmp_path):
    (tmp_path / "draft.json").write_text('{"vitctl": "0.1"}')
    (run,) = names.below(str(tmp_path), emit=silent)
    assert run.problem.endswith("a run is given as --from RUN")


# Text

SHOWN = (
    Prediction("a.jpg", (("tench\x1b[2J", 0.875), ("猫", 0.0625))),
    Failure("猫.png", "it is text"),
)


def test_rows_for_a_person_and_for_grep():
    person = list(text.GrowingTable(repeats=False).lines(SHOWN))
    assert person == [
        "image   probability  class",
        "a.jpg        87.50%  tench\\x1b[2J",
        "              6.25%  猫",
        "猫.png            -  error: it is text",
    ]
    table = text.GrowingTable(repeats=True)
    rows = list(table.lines(SHOWN))
    assert rows[2].split() == ["a.jpg", "6.25%", "猫"]
    assert len(list(table.lines(SHOWN))) == len(rows) - 1  # one header


def test_json_lines_follow_their_schema():
    for answer in SHOWN:
        value = text.as_json(answer, independent=False)
        schemas.check(value, "prediction")
        assert json.loads(json.dumps(value))["image"] == answer.image


# The command


@pytest.mark.slow
def test_the_command_agrees_with_evaluate_and_needs_no_tensorflow(tmp_path):
    """The same images, once as files and once as a dataset: the same top-1 in every class, and the
    loss that the probabilities say."""
    random = np.random.default_rng(0)
    paths = {}
    for number in range(24):
        for split in ("train", "val"):
            folder = tmp_path / "photos" / split / f"class{number % 3}"
            folder.mkdir(parents=True, exist_ok=True)
            pixels = random.integers(0, 256, (40 + number, 60, 3)).astype(np.uint8)
            path = folder / f"{number}.{('png', 'jpg', 'webp')[number // 8]}"
            Image.fromarray(pixels).save(path)
            if split == "val":
                paths[str(path)] = f"class{number % 3}"

    def vitctl(*arguments, stdin="", prelude=""):
        code = f"{prelude}\nfrom stages.app import main\nmain({list(arguments)!r})"
        return subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(Path(stage.__file__).parents[2])},
            **({"input": stdin} if stdin else {"stdin": subprocess.DEVNULL}),
            capture_output=True,
            text=True,
            check=False,
        )

    assert vitctl("shard", "photos").returncode == 0
    size = ("--res", "16", "--batch", "8", "--epochs", "3", "--set", "loss=softmax")
    assert vitctl("pretrain", "--model", "test", *size).returncode == 0
    scored = json.loads(vitctl("evaluate", "--json").stdout)
    answer = vitctl(
        *("predict", "--from", "latest", "--json", "--top", "3", "-"),
        stdin="".join(f"{path}\n" for path in [*paths, "none.jpg"]),
        prelude="import sys; sys.modules['tensorflow'] = None",
    )
    *rows, none = map(json.loads, answer.stdout.splitlines())
    assert (answer.returncode, none["error"]) == (4, "there is no such file")
    assert [row["image"] for row in rows] == list(paths)
    likely = [{c["class"]: c["probability"] for c in row["classes"]} for row in rows]
    right = [max(p, key=p.get) == name for p, name in zip(likely, paths.values(), strict=True)]
    assert np.mean(right) == scored["summary"]["top1"]
    losses = [-np.log(p[name]) for p, name in zip(likely, paths.values(), strict=True)]
    # Probabilities are fp32.
    assert np.mean(losses) == pytest.approx(scored["summary"]["loss"], rel=1e-5)
