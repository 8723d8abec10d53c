"""ImageNet's kin in miniature, sharded and scored as docs/guide/imagenet.md says: V2, R, ReaL,
ObjectNet."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

import stages.evaluate.written
from stages import api
from tests import made
from tests.data.test_class_map import objectnet_mappings
from tests.ingest.sources import miniature_imagenet as mini
from vitctl.artifacts import Store
from vitctl.data.class_map import ilsvrc2012_classes
from vitctl.data.dataset import Dataset

pytestmark = pytest.mark.slow

CLOCKS = ("n02708093", "n03196217")
PAN = "n03400231"
WNIDS = tuple(sorted({*mini.WNIDS, *CLOCKS, PAN}))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def checkpoint(store):
    """A model of ImageNet's classes, of which there are seven here."""
    return made.checkpoint(store, classes=WNIDS)


def sharded(store, source, **options):
    return api.shard(source, store=store, runtime={"workers": 0}, **options)


def scored(store, checkpoint, dataset, **options):
    """(the evaluation, its answers)"""
    done = api.evaluate(checkpoint, data=dataset, store=store, **options)
    lines = (done.path / stages.evaluate.written.ANSWERS).read_text().splitlines()
    return done, [json.loads(line) for line in lines]


def class_folders(folder, classes):
    for seed, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(3):
            (folder / name / f"{i}.jpg").write_bytes(mini.image(10 * seed + i))
    return folder


def test_real(store, checkpoint, tmp_path):
    """Labels by the numbers in the images' names; those with none do not count."""
    dataset = sharded(
        store,
        "imagenet",
        train=mini.train_tar(tmp_path / "ILSVRC2012_img_train.tar"),
        val=mini.val_tar(tmp_path / "ILSVRC2012_img_val.tar"),
        devkit=mini.devkit(tmp_path / "ILSVRC2012_devkit_t12.tar.gz"),
    )
    entries = [[3], [0, 1], [], [2, 3], [1]]
    (tmp_path / "real.json").write_text(json.dumps(entries))
    own, own_answers = scored(store, checkpoint, dataset)
    real, answers = scored(store, checkpoint, dataset, labels=tmp_path / "real.json")
    assert real.id != own.id
    assert (real.summary["examples"], real.summary["without_label"]) == (4, 1)
    assert own.summary["examples"] == 5
    names = Dataset.load(dataset.path).info.classes
    ids = Dataset.load(dataset.path).ids("val", np.arange(5))
    numbers = [int(name.rpartition("_")[2].partition(".")[0]) for name in ids]
    predicted = [line["predicted"] for line in own_answers]
    expected = [
        (i, predicted[i] in [names[label] for label in entries[number - 1]])
        for i, number in enumerate(numbers)
        if entries[number - 1]
    ]
    assert [(line["position"], line["right"]) for line in answers] == expected


def test_v2_and_r(store, checkpoint, tmp_path):
    """Folders of numbers of classes, and of some of the WordNet ids."""
    (tmp_path / "classes.txt").write_text("".join(f"{name}\n" for name in WNIDS))
    v2 = class_folders(tmp_path / "imagenetv2-matched-frequency-format-val", map(str, range(7)))
    options = {"classes_from": tmp_path / "classes.txt", "set": {"val_fraction": 0.0}}
    dataset = sharded(store, v2, **options)
    done, answers = scored(store, checkpoint, dataset, set={"eval_split": "train"})
    assert done.summary["examples"] == 21
    assert {tuple(line["labels"]) for line in answers} == {(name,) for name in WNIDS}
    rendition = class_folders(tmp_path / "imagenet-r", WNIDS[2:4])
    dataset = sharded(store, rendition, **options)
    settings = {"eval_split": "train", "answers": "dataset"}
    done, answers = scored(store, checkpoint, dataset, set=settings)
    assert done.summary["answers"] == 2
    assert {line["predicted"] for line in answers} <= {*WNIDS[2:4]}


def test_objectnet(store, checkpoint, tmp_path):
    """Folders of its own classes and tables that translate them; a red line around its images."""
    folder = tmp_path / "objectnet-1.0" / "images"
    rng = np.random.default_rng(0)
    for name in ("alarm_clock", "frying_pan", "air_freshener"):
        (folder / name).mkdir(parents=True)
        for i in range(3):
            pixels = np.full((14, 14, 3), (255, 0, 0), np.uint8)
            pixels[1:-1, 1:-1] = rng.integers(0, 256, (12, 12, 3))
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "PNG")
            (folder / name / f"{i}{name}.png").write_bytes(file.getvalue())
            inner = tmp_path / "trimmed" / name
            inner.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[1:-1, 1:-1]).save(inner / f"{i}{name}.png")
    from vitctl.data.class_map import read_class_map

    class_map = read_class_map(objectnet_mappings(tmp_path / "objectnet-1.0" / "mappings"))
    assert {*CLOCKS, PAN} <= {*ilsvrc2012_classes()}
    settings = {"eval_split": "train", "class_map": class_map}
    whole = sharded(store, folder, set={"val_fraction": 0.0})
    done, answers = scored(store, checkpoint, whole, set=settings | {"preprocess.trim_border": 1})
    assert (done.summary["examples"], done.summary["without_counterpart"]) == (6, 3)
    for line in answers:
        names = class_map[line["labels"][0]]
        names = (names,) if isinstance(names, str) else names
        assert line["right"] == (line["predicted"] in names)
    # What is cut off has no influence.
    trimmed = sharded(store, tmp_path / "trimmed", set={"val_fraction": 0.0})
    _, plain = scored(store, checkpoint, trimmed, set=settings)
    assert {line["key"]: line["confidence"] for line in plain} == {
        line["key"]: line["confidence"] for line in answers
    }
