"""`vitctl bench feed` on a handful of images: what is measured is real work, of all parts."""

from __future__ import annotations

import itertools
import json
import time

import numpy as np
import pytest

from stages import api
from stages.bench.feed import parts, run
from stages.bench.feed.settings import resolve
from stages.bench.feed.spec import PARTS, FeedConfig
from stages.bench.feed.text import as_text
from tests import schemas
from tests.artifacts.making import formula_options
from tests.data.encoded_images import encode, rgb
from vitctl.data.config import AugmentConfig
from vitctl.data.opening import open_dataset
from vitctl.data.order import batch_indices
from vitctl.data.tensorflow import load_tensorflow
from vitctl.errors import InputError, NotFoundError, UsageError
from vitctl.formula.family import FormulaConfig
from vitctl.settings.overrides import Overrides

IMAGES = 9


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """JPEGs of 24 x 20 px in two classes."""
    folder = tmp_path_factory.mktemp("work")
    for number in range(IMAGES):
        place = folder / "photos" / f"class{number % 2}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.jpg").write_bytes(encode(rgb(24, 20), "JPEG"))
    return api.shard(
        str(folder / "photos"),
        set={"val_fraction": 0.0},
        runtime={"workers": 0},
        store=folder / "store",
    )


@pytest.fixture(scope="module")
def report(dataset):
    return api.bench_feed(
        data=dataset,
        set={"resolution": 16, "batch": 4},
        runtime={"seconds": 0.2, "workers": 1},
    )


def test_the_report(report):
    answer = json.loads(json.dumps(report.as_json()))
    schemas.check(answer, "feed")
    assert answer["images_per_second"] > 0
    assert answer["decode_only_images_per_second"] > 0
    assert (report.batch, report.resolution, report.workers) == (4, 16, 1)
    assert 300 < report.image_bytes < 3000
    assert answer["parts_cpu_ms"].keys() == set(PARTS)
    assert len(report.memory) == report.rounds
    images = [one.images for one in report.memory]
    assert images == sorted(set(images))
    assert all(2**20 < one.bytes < 2**38 for one in report.memory)


def test_the_parts_add_up_to_the_whole(report):
    """Unless parts by themselves take longer than the whole, which leaves nothing to hand over."""
    total = sum(report.parts.values())
    assert total >= report.whole.cpu_ms * (1 - 1e-9)
    if report.parts["hand_over"] > 0:
        assert total == pytest.approx(report.whole.cpu_ms)


def test_in_words(report):
    lines = as_text(report).splitlines()
    assert lines[0].startswith(f"input        {report.whole.images_per_second:,.0f} images/s")
    assert lines[2].endswith("medians of 5 rounds")
    assert sum(line.startswith("  ") for line in lines) == len(PARTS)


def test_what_decodes_alone_decodes_and_names_what_it_cannot(dataset):
    """Of a damaged image the error of the decoder arrives; so nothing is optimised away."""
    whole = encode(rgb(90, 90), "JPEG")
    images = np.array([whole, whole[:-400]], object)
    sample = parts.ImagesInMemory(np.array([2, 5]), images, np.zeros((2, 2), np.int32))
    cfg = FeedConfig(resolution=16, augment=AugmentConfig(crop="resize"))
    source = open_dataset(dataset)
    (damaged,) = source.ids("train", np.array([5]))
    for decoder in parts.decoding(source, cfg, sample, workers=1).values():
        with pytest.raises(InputError, match=f"the image {damaged} .record 5 of .*can't be used"):
            decoder.some(0)


@pytest.mark.parametrize("workers", [1, 3])
def test_what_is_ready_before_a_round_is_no_more_than_is_taken_first(workers):
    """Images whose decoding a round does not measure would make decoding alone look cheaper."""
    tf = load_tensorflow()
    calls = itertools.count(1)

    def counted(data, seed):
        last = tf.numpy_function(lambda: np.int64(next(calls)), [], tf.int64)
        return tf.reshape(last, [1, 1, 1])

    sample = parts.ImagesInMemory(
        np.arange(2), np.array([b"a", b"b"], object), np.zeros((2, 2), np.int32)
    )
    decoder = parts.Decoding(sample, counted, workers=workers, named=InputError)
    taken = decoder.some(0)
    run._settle()
    before = next(calls) - 1
    decoder.take_ready()
    taken_first = parts.ready_batches(workers=workers, batch=64) * 64
    assert taken + 64 <= before <= taken + taken_first
    run._settle()
    assert next(calls) - 2 <= taken + 2 * taken_first


def test_a_sample_is_what_training_begins_with(dataset):
    source = open_dataset(dataset)
    cfg = FeedConfig(seed=3)
    sample = parts.sample(source, cfg)
    order = batch_indices(source.order("train"), seed=3, batch=IMAGES, step=0)
    assert np.array_equal(sample.indices, order.indices)
    assert sorted(sample.indices.tolist()) == list(range(IMAGES))


def test_a_round_begins_when_the_process_is_idle(monkeypatch):
    """Threads that still work are waited for, but not for ever."""
    clock = iter([0.0, 0.05, 0.05, 0.1, 0.1, 0.1001])
    monkeypatch.setattr(parts, "processor_s", lambda: next(clock))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    run._settle()
    assert next(clock, None) is None


@pytest.mark.parametrize("source", ["file", "settings"])
def test_what_the_crop_has_no_use_for_is_refused(source):
    tree = {"augment": {"crop": "none", "aspect_max": 2.0}}
    with pytest.raises(UsageError, match=r"augment\.aspect_max is of crop=inception, and crop is"):
        resolve(Overrides(**{source: tree}))
    tree["augment"]["crop"] = "inception"
    assert resolve(Overrides(**{source: tree})).augment.aspect_max == 2


def test_a_split_that_is_not_there(dataset):
    with pytest.raises(NotFoundError, match="no split 'val'"):
        api.bench_feed(data=dataset, set={"split": "val"})


def test_images_that_are_made_when_they_are_read(tmp_path):
    config = FormulaConfig(family="atom", classes=2, per_class=3, val_per_class=1, resolution=40)
    api.shard("formula", **formula_options(config), virtual=True, store=tmp_path / "store")
    with pytest.raises(UsageError, match="made when they are read"):
        api.bench_feed(store=tmp_path / "store")
