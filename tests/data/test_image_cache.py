"""Images that are kept decoded are those that training sees without, bit for bit."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from PIL import Image

from tests.data.encoded_images import encode, pixels, rgb
from tests.data.test_pipeline import make_dataset
from vitctl.data import image_cache
from vitctl.data.batches import ALL
from vitctl.data.config import AugmentConfig, RandAugmentConfig
from vitctl.data.dataset import DatasetInfo, SplitInfo
from vitctl.data.decode import decode
from vitctl.data.image_cache import (
    CachedImages,
    as_bitmap,
    cache_bytes,
    cached_images,
    kept_bytes,
    stays_the_same,
)
from vitctl.data.mixture import Mixture
from vitctl.data.mock import MockDataset
from vitctl.data.parts import DatasetRef, MixtureInfo
from vitctl.data.pipeline import train_batches
from vitctl.data.subset import subset_of
from vitctl.data.tensorflow import load_tensorflow
from vitctl.data.tf_pipeline import image_function
from vitctl.data.views import TrainView
from vitctl.errors import InputError
from vitctl.hardware import machine

AUGMENT = AugmentConfig(crop="simple")
"""Of these crops every image may be kept."""
VIEW = TrainView(16, AUGMENT)
LARGE = 10**9


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Fourteen images of five formats."""
    return make_dataset(tmp_path_factory.mktemp("dataset"))


def mixed(dataset):
    """The images of one set three times as often as some of them again."""
    ref = DatasetRef(id="0" * 64, digest="1" * 64)
    info = DatasetInfo(
        classes=("a", "b", "c"),
        max_labels=2,
        multi_label=True,
        splits={"train": SplitInfo(shard_lengths=(18,), record_bytes=1)},
        mixture=MixtureInfo(datasets=(ref, ref), weights=(3, 1)),
    )
    return Mixture((dataset, subset_of(dataset, {"train": np.array([3, 4, 8, 13])})), info)


SOURCES = {
    "dataset": lambda dataset: dataset,
    "subset": lambda dataset: subset_of(dataset, {"train": np.arange(1, 14, 2)}),
    "mixture": mixed,
}


def batches(source, *, limit, count, first_step=0, augment=AUGMENT, rows=ALL, workers=2):
    def cached(requests, **options):
        return cached_images(source, requests, limit=limit, **options)

    stream = train_batches(
        source,
        resolution=16,
        augment=augment,
        seed=11,
        batch=4,
        start_step=first_step,
        rows=rows,
        workers=workers,
        images_of=cached if limit else None,
    )
    result = list(itertools.islice(stream, count))
    stream.close()
    return result


@pytest.fixture(scope="module")
def without(dataset):
    """Twelve batches of each source, without a cache."""
    return {
        kind: batches(source(dataset), limit=0, count=12, workers=1)
        for kind, source in SOURCES.items()
    }


def check_equal(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        for field in ("images", "labels", "keys", "epochs"):
            assert np.array_equal(getattr(a, field), getattr(b, field))


# Some are kept, or all.
@pytest.mark.parametrize("limit", [2_000, LARGE])
@pytest.mark.parametrize("kind", SOURCES)
def test_batches_are_those_without_a_cache(dataset, without, kind, limit):
    """Over more than three epochs."""
    check_equal(batches(SOURCES[kind](dataset), limit=limit, count=12), without[kind])


@pytest.mark.parametrize(
    "augment",
    [
        AugmentConfig(randaugment=RandAugmentConfig(layers=1)),
        AugmentConfig(jpeg_oversampling=1),
    ],
    ids=["randaugment", "oversampling"],
)
def test_of_every_augmentation(dataset, augment):
    check_equal(
        batches(dataset, limit=LARGE, count=8, augment=augment),
        batches(dataset, limit=0, count=8, augment=augment),
    )


def test_resumed_in_an_epoch_and_shared_by_processes(dataset, without):
    whole = without["dataset"]
    check_equal(batches(dataset, limit=LARGE, count=5, first_step=7), whole[7:])
    for rows in (slice(0, 2), slice(2, 4)):
        for own, batch in zip(
            batches(dataset, limit=LARGE, count=12, rows=rows), whole, strict=True
        ):
            assert np.array_equal(own.images, batch.images[rows])


def noisy(height, width, rng):
    """A picture whose colours differ from pixel to pixel."""
    image = pixels(height, width).astype(int) + rng.integers(-60, 60, (height, width, 3))
    return Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))


JPEGS = {
    "4:4:4": lambda image: encode(image, "JPEG", subsampling=0),
    "4:4:4 progressive": lambda image: encode(image, "JPEG", subsampling=0, progressive=True),
    "4:4:4 restarts": lambda image: encode(image, "JPEG", subsampling=0, restart_marker_blocks=3),
    "RGB": lambda image: encode(image, "JPEG", keep_rgb=True),
    "grey": lambda image: encode(image.convert("L"), "JPEG"),
    "CMYK": lambda image: encode(image.convert("CMYK"), "JPEG"),
    "4:2:2": lambda image: encode(image, "JPEG", subsampling=1),
    "4:2:0": lambda image: encode(image, "JPEG", subsampling=2),
}


@pytest.mark.parametrize("kind", JPEGS)
def test_the_window_of_a_kept_jpeg_is_what_is_decoded_alone(kind):
    """Of random windows of random sizes; where colours are stored at half the resolution some
    differ, so such images are not kept."""
    tf = load_tensorflow()
    view = TrainView(16, AugmentConfig(flip=False))
    function = image_function(view)
    rng = np.random.default_rng(0)
    differ = 0
    for _ in range(12):
        height, width = (int(side) for side in rng.integers(20, 90, 2))
        data = JPEGS[kind](noisy(height, width, rng))
        assert stays_the_same(data, view=view) == (kind not in ("4:2:0", "4:2:2"))
        assert stays_the_same(data, view=VIEW)
        bitmap = as_bitmap(decode(tf.constant(data)).numpy())
        for _ in range(4):
            seed = tf.constant(rng.integers(0, 2**31, 2), tf.int32)
            alone, cropped = (function(tf.constant(each), seed).numpy() for each in (data, bitmap))
            differ += not np.array_equal(alone, cropped)
    assert (differ > 0) == (kind in ("4:2:0", "4:2:2"))


def test_a_jpeg_whose_frame_is_cut_off_is_not_kept():
    data = JPEGS["4:4:4"](rgb())
    frame = data.index(b"\xff\xc0")
    view = TrainView(16, AugmentConfig())
    assert stays_the_same(data, view=view)
    for end in (3, frame, frame + 8, frame + 12):
        assert not stays_the_same(data[:end], view=view)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 2), (2, 3), (5, 7), (4, 8)])
def test_bitmaps_hold_the_pixels(height, width):
    """As Pillow and TensorFlow read them; rows are filled up to whole words."""
    tf = load_tensorflow()
    image = np.random.default_rng(1).integers(0, 256, (height, width, 3)).astype(np.uint8)
    data = as_bitmap(image)
    assert np.array_equal(decode(tf.constant(data)).numpy(), image)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), image)
    assert len(data) == kept_bytes(height=height, width=width) - image_cache._AROUND_BYTES


class Counted:
    """Records that count how often each is read."""

    def __init__(self, records):
        self._records, self.reads = records, np.zeros(len(records), int)

    def __getattr__(self, name):
        return getattr(self._records, name)

    def read(self, indices):
        np.add.at(self.reads, indices, 1)
        return self._records.read(indices)


@pytest.mark.parametrize("room", [0, 3, 14])
def test_as_many_as_the_limit_holds_are_read_once(dataset, room):
    sizes = [kept_bytes(height=10 + number, width=12) for number in range(14)]
    records = Counted(dataset.records("train"))
    images = CachedImages(lambda: records, view=VIEW, limit=sum(sizes[:room]), workers=2)
    for _ in range(3):
        for at in range(0, 14, 2):
            images.read(np.array([at, at + 1, at]))
    images.close()
    assert records.reads.tolist() == [1] * room + [3] * (14 - room)


def test_the_image_that_cannot_be_decoded_is_named_as_without_a_cache(tmp_path):
    dataset = make_dataset(tmp_path / "damaged", spoil=(9, encode(rgb(20, 20), "PNG")[:-30]))
    errors = []
    for limit in (0, LARGE):
        with pytest.raises(InputError) as raised:
            batches(dataset, limit=limit, count=4)
        errors.append((str(raised.value), raised.value.hint))
    assert errors[0] == errors[1]
    assert "the image image 9 (record 4 of" in errors[0][0]


def test_auto_keeps_what_fits_into_a_tenth_of_the_memory(dataset, monkeypatch):
    """All of them, or none."""
    sizes = [kept_bytes(height=10 + number, width=12) for number in range(14)]
    for free, most in ((sum(sizes) * 10, sum(sizes)), (sum(sizes) * 10 - 10, 0), (2**60, 2**31)):
        monkeypatch.setattr(machine, "host_bytes", lambda free=free: free)
        answer = cache_bytes(dataset, "train", view=VIEW, limit="auto")
        assert answer == (most, sum(sizes))
    monkeypatch.setattr(machine, "host_bytes", lambda: None)
    assert cache_bytes(dataset, "train", view=VIEW, limit="auto")[0] == 0


def test_a_number_is_the_limit_itself(dataset):
    assert cache_bytes(dataset, "train", view=VIEW, limit=0) == (0, 0)
    assert cache_bytes(dataset, "train", view=VIEW, limit=700) == (700, 700)


def test_auto_leaves_sets_alone_of_which_most_are_decoded_each_time(tmp_path):
    """JPEGs of colours at half the resolution, under crops whose window alone is decoded."""
    jpegs = make_dataset(tmp_path / "jpegs", lengths=(1,))
    view = TrainView(16, AugmentConfig())
    assert cache_bytes(jpegs, "train", view=view, limit="auto")[0] == 0
    assert cache_bytes(jpegs, "train", view=view, limit=LARGE)[0] == 0
    assert cache_bytes(jpegs, "train", view=VIEW, limit=LARGE)[0] == LARGE


def test_nothing_is_kept_of_images_that_no_file_holds_or_that_cannot_be_read(tmp_path):
    mock = MockDataset(classes=5, train_examples=100, val_examples=23)
    assert cache_bytes(mock, "train", view=VIEW, limit="auto")[0] == 0
    damaged = make_dataset(tmp_path / "damaged")
    for shard in (tmp_path / "damaged").glob("*.array_record-*"):
        shard.write_bytes(b"")
    assert cache_bytes(damaged, "train", view=VIEW, limit="auto")[0] == 0
