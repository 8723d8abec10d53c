"""Pictures that are made when they are read are seen as the same pictures in files would be."""

from __future__ import annotations

import io

import jax
import numpy as np
import pytest
from PIL import Image

from vitctl.data.columns import Computed
from vitctl.data.config import AugmentConfig, EvalPreprocess
from vitctl.data.dataset import DatasetInfo, SplitInfo
from vitctl.data.formula_images import FormulaImages, described
from vitctl.data.pipeline import eval_batches, train_batches
from vitctl.data.tensorflow import load_tensorflow
from vitctl.data.tf_pipeline import image_function
from vitctl.data.views import EvalView, TrainView
from vitctl.errors import DoesNotFitError
from vitctl.formula.cropped_images import device_images
from vitctl.formula.family import VALIDATION, FormulaConfig
from vitctl.formula.maker import labels_of

CONFIG = FormulaConfig(family="atom", classes=7, per_class=5, val_per_class=2, resolution=40)
SOURCE = FormulaImages(described(CONFIG), CONFIG)
VIEWS = [
    TrainView(16, AugmentConfig()),
    TrainView(40, AugmentConfig(crop="none", flip=False)),
    EvalView(16, EvalPreprocess()),
]


@pytest.mark.parametrize("view", VIEWS)
def test_images_are_those_of_files(view):
    positions = np.asarray([30, 2, 9])
    seeds = np.asarray([[1, 2], [3, 4], [5, 6]], np.int32)
    requests = iter([(positions, seeds), (positions[:1], seeds[:1])])
    first, second = SOURCE.images(requests, split="train", view=view, batch=3)
    tf, function = load_tensorflow(), image_function(view)
    for row, position in enumerate(positions):
        file = io.BytesIO()
        Image.fromarray(SOURCE.pictures("train", positions[row : row + 1])[0]).save(file, "PNG")
        decoded = function(tf.constant(file.getvalue()), tf.constant(seeds[row])).numpy()
        assert np.array_equal(first[row], decoded), position
    assert np.array_equal(second[0], first[0])


@pytest.mark.parametrize(
    "augment",
    [
        AugmentConfig(),
        AugmentConfig(area_min=0.01, area_max=0.05),  # windows that are enlarged
        AugmentConfig(crop="resize"),
        AugmentConfig(crop="none", flip=False),
    ],
)
def test_devices_make_the_images_of_hosts(augment):
    """40 of them, so that a block is filled up."""
    resolution = 40 if augment.crop == "none" else 24
    positions = np.random.default_rng(0).integers(0, 35, 40)
    seeds = np.random.default_rng(1).integers(0, 2**31, (40, 2)).astype(np.int32)
    options = {"split": "train", "view": TrainView(resolution, augment), "batch": 40}
    (expected,) = SOURCE.images(iter([(positions, seeds)]), **options)
    (drawn,) = SOURCE.drawn(iter([(positions, seeds)]), **options)
    assert drawn.dtype == np.int32
    tables, images = device_images(CONFIG, resolution=resolution)
    made = np.asarray(jax.jit(images)(tables, drawn))
    if augment.crop == "none":
        assert np.array_equal(np.rint((made + 1) * 127.5), np.rint((expected + 1) * 127.5))
    np.testing.assert_allclose(made, expected, atol=1e-5)
    assert set(drawn[:, -1]) == ({0, 1} if augment.flip else {0})


def test_positions_name_pictures_and_larger_sets_begin_with_smaller_ones():
    classes, instances = SOURCE.named("train", np.arange(35))
    assert np.array_equal(classes, np.arange(35) % 7)
    assert np.array_equal(instances, np.arange(35) // 7)
    assert (SOURCE.named("val", np.arange(14))[1] >= VALIDATION).all()
    larger = CONFIG.model_copy(update={"per_class": 10**9})
    big = FormulaImages(described(larger), larger)
    assert np.array_equal(big.keys("train")[np.arange(35)], SOURCE.keys("train"))
    assert big.ids("train", np.asarray([8])) == SOURCE.ids("train", np.asarray([8]))
    assert big.ids("val", np.asarray([8])) == ["val/atom00001/0000001.png"]
    everything = np.concatenate([SOURCE.keys("train"), SOURCE.keys("val")])
    assert len(np.unique(everything)) == 49


def test_billions_of_pictures_cost_no_memory_and_all_of_them_at_once_are_refused():
    config = FormulaConfig(family="fractal", classes=30, per_class=10**8, resolution=40)
    source = FormulaImages(described(config), config)
    assert source.info.examples("train") == 3 * 10**9
    batch = next(train_batches(source, resolution=16, augment=AugmentConfig(), seed=0, batch=4))
    assert batch.images.shape == (4, 16, 16, 3)
    with pytest.raises(DoesNotFitError, match="sample keys at once take 22 GiB"):
        np.asarray(source.keys("train"))


def test_scoring_sees_every_picture_once():
    values = [
        batch.labels[batch.mask]
        for batch in eval_batches(
            SOURCE, split="val", resolution=16, preprocess=EvalPreprocess(), batch=8
        )
    ]
    assert np.array_equal(np.concatenate(values), np.asarray(SOURCE.labels("val")))


def test_several_labels():
    config = FormulaConfig(family="multi", classes=7, per_class=5, resolution=40)
    source = FormulaImages(described(config), config)
    assert source.info.multi_label
    assert source.info.max_labels == 5
    labels = source.labels("train")[np.arange(35)]
    assert np.array_equal(labels, labels_of(config, *source.named("train", np.arange(35))))


def test_datasets_of_files_are_described_as_before():
    info = DatasetInfo(
        classes=("a", "b"), splits={"train": SplitInfo(shard_lengths=(3,), record_bytes=9)}
    )
    assert "formula" not in info.model_dump_json()
    assert "formula" not in info.model_dump()
    made = described(CONFIG)
    assert DatasetInfo.model_validate_json(made.model_dump_json()) == made


def test_a_column_is_an_array_of_arithmetic():
    column = Computed(5, lambda positions: positions * 2, what="numbers")
    assert len(column) == 5
    assert np.asarray(column).tolist() == [0, 2, 4, 6, 8]
    assert column[np.asarray([3, 1])].tolist() == [6, 2]
