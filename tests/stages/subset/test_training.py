"""Subsets and mixtures are trained on and replayed; an interrupted run is bitwise the same."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from stages.mix import run as mix_stage
from stages.mix.spec import Inputs as MixInputs
from stages.mix.spec import MixConfig, MixRuntime
from stages.pretrain import run as pretrain_stage
from stages.pretrain.spec import Inputs as PretrainInputs
from stages.replay.run import run as replay
from stages.replay.spec import Inputs as ReplayInputs
from stages.replay.spec import Request
from stages.shard import run as shard_stage
from stages.shard.spec import Inputs as ShardInputs
from stages.shard.spec import ShardConfig, ShardRuntime
from stages.subset import run as subset_stage
from stages.subset.spec import Inputs, SubsetConfig, SubsetRuntime
from tests import made
from tests.train.conftest import contents
from vitctl.artifacts import Store
from vitctl.data.opening import open_dataset
from vitctl.settings.trees import merge
from vitctl.train.config import TrainRuntime


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def subset_of_photos(folder, store):
    rng = np.random.default_rng(0)
    for name in ("ant", "bee", "cat"):
        (folder / name).mkdir(parents=True)
        for i in range(10):
            pixels = rng.integers(0, 256, (12, 10, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    photos = shard_stage.run(
        ShardConfig(val_fraction=0.2),
        ShardInputs(str(folder)),
        store=store,
        runtime=ShardRuntime(workers=0),
    )
    return subset_stage.run(
        SubsetConfig(per_class=4), Inputs(photos), store=store, runtime=SubsetRuntime()
    )


def mixed(photos, store, **settings):
    weights = None if settings else (Fraction(2), Fraction(1))
    parts = (photos,) if settings else (photos, photos)
    return mix_stage.run(
        MixConfig(**settings), MixInputs(parts, weights), store=store, runtime=MixRuntime()
    )


# Shards, trains three times and decodes with TensorFlow: 20 s.
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["subset", "mixture", "balanced"])
def test_resumed_bitwise_and_replayed(store, tmp_path, kind):
    images = subset_of_photos(tmp_path / "photos", store)
    if kind == "mixture":
        images = mixed(images, store)
    if kind == "balanced":
        images = mixed(images, store, balance=True)

    def pretrained(steps, place):
        changes = {
            "model": {"classes": 3},
            "data": {"batch": 8, "mock": None},
            "schedule": {"total_steps": steps},
        }
        return pretrain_stage.run(
            made.config(**merge(made.TINY, changes)),
            PretrainInputs(images),
            store=Store(tmp_path / place),
            runtime=TrainRuntime(checkpoint_every=2),
        )

    pretrained(2, "resumed")
    resumed, straight = pretrained(4, "resumed"), pretrained(4, "straight")
    assert contents(resumed) == contents(straight)
    shown = replay(Request(3, 8, None), ReplayInputs(resumed), store=store).batch
    keys = {image.key for image in shown.images}
    assert keys <= set(np.asarray(open_dataset(images).keys("train")).tolist())
