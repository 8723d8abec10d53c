"""Training with decoded images in memory: the same weights, and one line that says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stages import api
from stages.pretrain import run as pretrain_stage
from stages.pretrain.spec import Inputs
from tests.data.encoded_images import encode, rgb
from tests.train.conftest import ADAFACTOR, config, contents
from vitctl.artifacts import Artifact, Store
from vitctl.events import Note
from vitctl.train.config import TrainRuntime
from vitctl.train.run.images import open_images

IMAGES = 13
DATA: dict[str, Any] = {"mock": None, "eval_split": None, "batch": 8}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Artifact:
    folder = tmp_path_factory.mktemp("work")
    for number in range(IMAGES):
        place = folder / "pictures" / f"class{number % 4}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.png").write_bytes(encode(rgb(20 + number, 24), "PNG"))
    return api.shard(
        str(folder / "pictures"),
        set={"val_fraction": 0.0},
        runtime={"workers": 0},
        store=folder / "store",
    )


def notes_of(dataset: Artifact, steps: int, **options: Any) -> list[str]:
    events: list[Any] = []
    open_images(config(steps, data=DATA), dataset, workers=1, emit=events.append, **options)
    return [event.text for event in events if isinstance(event, Note)]


def test_what_is_kept_is_announced(dataset):
    # 214 bytes an image, and 3 x 24 for each of its 20 to 32 rows: 27,118 in all.
    (note,) = notes_of(dataset, 8, image_cache="auto")
    assert note == (
        "images are decoded once and kept in about 26.5 KiB of memory (--image-cache 0 decodes "
        "them each time)"
    )
    assert notes_of(dataset, 8, image_cache=0) == []


def test_what_a_run_sees_a_few_times_is_not_kept_unless_asked_for(dataset):
    # Four epochs of 13 images are 6.5 steps.
    assert notes_of(dataset, 6, image_cache="auto") == []
    assert len(notes_of(dataset, 7, image_cache="auto")) == 1
    assert len(notes_of(dataset, 1, image_cache=2**20)) == 1


def test_a_cache_that_can_keep_nothing_is_reported(dataset, monkeypatch):
    monkeypatch.setattr("vitctl.train.run.images.cache_bytes", lambda *_, **__: (0, 0))
    (note,) = notes_of(dataset, 8, image_cache=2**20)
    assert note.startswith("--image-cache has no effect")


def trained(dataset: Artifact, steps: int, store: Store, **runtime: Any) -> Artifact:
    return pretrain_stage.run(
        config(steps, data=DATA, **ADAFACTOR),
        Inputs(dataset=dataset),
        store=store,
        runtime=TrainRuntime(checkpoint_every=4, log_every=1, **runtime),
        emit=lambda event: None,
    )


def test_a_run_may_begin_with_a_cache_and_go_on_without(dataset, tmp_path):
    whole = trained(dataset, 8, Store(tmp_path / "a"), image_cache=0)
    trained(dataset, 4, Store(tmp_path / "b"), image_cache=10**6)
    resumed = trained(dataset, 8, Store(tmp_path / "b"), image_cache=2_000)
    assert contents(resumed) == contents(whole)


def test_a_replayed_batch_is_that_of_the_stream(dataset):
    images = open_images(config(8, data=DATA), dataset, workers=1, image_cache="auto")
    assert images.image_cache
    alone = images.batch_of_step(5)
    stream = images._stream(start_step=3, rows=slice(None), image_cache=images.image_cache)
    third = [next(stream) for _ in range(3)][-1]
    stream.close()
    assert np.array_equal(alone.images, third.images)
