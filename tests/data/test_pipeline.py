"""Batches of a dataset on disk, made by the stage's own pieces."""

from __future__ import annotations

import itertools
import os
import threading

import numpy as np
import pytest

from tests.data.encoded_images import encode, rgb
from vitctl.data.batches import ALL
from vitctl.data.config import AugmentConfig, EvalPreprocess, RandAugmentConfig
from vitctl.data.dataset import (
    Dataset,
    DatasetInfo,
    SplitInfo,
    keys_name,
    labels_name,
    shard_name,
)
from vitctl.data.example import Example, encode_example
from vitctl.data.order import Shuffled, batch_indices, sample_key
from vitctl.data.pipeline import eval_batches, train_batches
from vitctl.data.preprocess import train_image
from vitctl.data.read_clock import ReadClock
from vitctl.data.records import open_writer
from vitctl.data.tf_pipeline import _read_in_groups
from vitctl.errors import InputError

# Random, but quick to trace; one test draws operations too.
AUGMENT = AugmentConfig()
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP")


def make_dataset(folder, *, lengths=(5, 0, 9), split="train", spoil=None):
    """Three shards of images of every format; `spoil` = (position, bytes) replaces an image."""
    folder.mkdir(exist_ok=True)
    keys, labels, number = [], [], 0
    for index, length in enumerate(lengths):
        name = shard_name(split, index=index, shards=len(lengths))
        with open_writer(folder / name) as writer:
            for _ in range(length):
                image = rgb(10 + number, 12)
                if FORMATS[number % 5] == "GIF":
                    image = image.quantize(16)
                data = encode(image, FORMATS[number % 5])
                if spoil and spoil[0] == number:
                    data = spoil[1]
                example = Example(data, (number % 3, 2), f"image {number}")
                writer.write(encode_example(example))
                keys.append(sample_key(example.id))
                labels.append(example.labels)
                number += 1
    np.array(keys, "<u8").tofile(folder / keys_name(split))
    np.array(labels, "<i4").tofile(folder / labels_name(split))
    info = DatasetInfo(
        classes=("a", "b", "c"),
        multi_label=True,
        max_labels=2,
        splits={split: SplitInfo(shard_lengths=lengths, record_bytes=1)},
    )
    (folder / "dataset.json").write_text(info.model_dump_json())
    return Dataset.load(folder)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("dataset"))


def train(
    dataset,
    *,
    first_step=0,
    count=1,
    batch=4,
    rows=ALL,
    workers=2,
    augment=AUGMENT,
    resolution=16,
):
    stream = train_batches(
        dataset,
        resolution=resolution,
        augment=augment,
        seed=11,
        batch=batch,
        start_step=first_step,
        rows=rows,
        workers=workers,
    )
    result = list(itertools.islice(stream, count))
    stream.close()
    return result


def score(dataset, *, batch, split="train", **options):
    return list(
        eval_batches(
            dataset,
            split=split,
            resolution=16,
            preprocess=EvalPreprocess(),
            batch=batch,
            workers=2,
            **options,
        )
    )


def equal(one, other):
    return all(
        np.array_equal(getattr(one, field), getattr(other, field))
        for field in ("images", "labels", "keys", "epochs")
    )


def test_batches_are_those_of_the_order(dataset):
    """Every image is the one the arithmetic says, augmented by its own seed alone."""
    from vitctl.data.example import decode_example
    from vitctl.data.order import augment_seeds
    from vitctl.data.tensorflow import load_tensorflow

    tf = load_tensorflow()
    keys, labels, records = dataset.keys("train"), dataset.labels("train"), dataset.records("train")
    augment = AugmentConfig(randaugment=RandAugmentConfig(layers=1))
    for step, batch in enumerate(train(dataset, count=5, augment=augment)):
        order = batch_indices(Shuffled(14), seed=11, batch=4, step=step)
        assert np.array_equal(batch.keys, keys[order.indices])
        assert np.array_equal(batch.labels, labels[order.indices])
        assert np.array_equal(batch.epochs, order.epochs)
        seeds = augment_seeds(seed=11, epochs=order.epochs, keys=batch.keys)
        for image, seed, record in zip(
            batch.images, seeds, records.read(order.indices), strict=True
        ):
            data = tf.constant(decode_example(record).image)
            alone = train_image(data, tf.constant(seed), resolution=16, augment=augment)
            assert np.array_equal(image, alone.numpy())


def test_workers_and_start_do_not_matter(dataset):
    whole = train(dataset, count=6, workers=1)
    later = train(dataset, first_step=3, count=3, workers=4)
    assert all(equal(a, b) for a, b in zip(whole[3:], later, strict=True))


def test_neither_do_they_where_jpegs_are_decoded_smaller(dataset):
    options = {"augment": AugmentConfig(jpeg_oversampling=1), "resolution": 4}
    whole = train(dataset, count=6, workers=1, **options)
    later = train(dataset, first_step=3, count=3, workers=4, **options)
    halves = [train(dataset, count=6, rows=slice(i, 4, 2), **options) for i in (0, 1)]
    assert all(equal(a, b) for a, b in zip(whole[3:], later, strict=True))
    for batch, *parts in zip(whole, *halves, strict=True):
        for i, part in enumerate(parts):
            assert np.array_equal(part.images, batch.images[i::2])
    in_full = train(dataset, count=6, resolution=4)
    assert not all(equal(a, b) for a, b in zip(whole, in_full, strict=True)), "some are smaller"


def test_processes_share_the_batch(dataset):
    whole = train(dataset, count=4)
    halves = [train(dataset, count=4, rows=rows) for rows in (slice(0, 2), slice(2, 4))]
    for step in range(4):
        joined = np.concatenate([half[step].images for half in halves])
        assert np.array_equal(joined, whole[step].images)


def test_a_batch_larger_than_the_dataset(dataset):
    batch = train(dataset, batch=30)[0]
    assert batch.images.shape == (30, 16, 16, 3)
    assert sorted(np.bincount(batch.epochs).tolist()) == [2, 14, 14]


@pytest.fixture(scope="module")
def reference(dataset):
    """All images in one batch."""
    (whole,) = score(dataset, batch=14)
    return whole


@pytest.mark.parametrize("batch", [1, 4, 14, 100])
def test_scoring_is_exact_for_any_batch(dataset, reference, batch):
    result = score(dataset, batch=batch)
    assert all(part.images.shape == (batch, 16, 16, 3) for part in result)
    for field in ("images", "labels", "indices"):
        joined = np.concatenate([getattr(part, field)[part.mask] for part in result])
        assert np.array_equal(joined, getattr(reference, field))
    assert np.array_equal(reference.indices, np.arange(14))
    assert all((part.images[~part.mask] == 0).all() for part in result)


def test_scoring_chosen_examples(dataset, reference):
    """Few-shot reads the drawn images only, in the order of the draw."""
    wanted = np.array([13, 2, 2, 7, 0])
    joined = np.concatenate(
        [part.images[part.mask] for part in score(dataset, batch=2, indices=wanted)]
    )
    assert np.array_equal(joined, reference.images[wanted])


def test_scoring_in_processes(dataset):
    """The last global batch of 14 in fours has two rows: the second process gets padding only."""
    whole = score(dataset, batch=4)
    halves = [score(dataset, batch=4, rows=rows) for rows in (slice(0, 2), np.array([2, 3]))]
    assert [len(half) for half in halves] == [len(whole)] * 2
    for parts in zip(whole, *halves, strict=True):
        for field in range(3):
            joined = np.concatenate([part.local[field] for part in parts[1:]])
            assert np.array_equal(joined, parts[0].local[field])
        for part in parts[1:]:
            for field in ("labels", "mask", "indices"):
                assert np.array_equal(getattr(part, field), getattr(parts[0], field))
    assert not halves[1][-1].local[2].any()


@pytest.mark.parametrize("bad", [b"not an image", encode(rgb(90, 90), "JPEG")[:-300]])
def test_an_image_that_fails_is_named(tmp_path, bad):
    dataset = make_dataset(tmp_path / "d", spoil=(7, bad))
    with pytest.raises(InputError) as error:
        train(dataset, count=10, augment=AugmentConfig(crop="resize"))
    assert "image 7" in error.value.message
    assert "record 2 of" in error.value.message
    assert "00002-of-00003" in error.value.message
    assert "\n" not in error.value.message


def test_batches_before_the_failing_one_arrive(tmp_path):
    dataset = make_dataset(tmp_path / "d", spoil=(7, b"not an image"))
    stream = eval_batches(
        dataset, split="train", resolution=16, preprocess=EvalPreprocess(), batch=4, workers=2
    )
    assert next(stream).indices.tolist() == [0, 1, 2, 3]
    with pytest.raises(InputError, match="image 7"):
        next(stream)


class Numbers:
    """Stands in for images: of position i the bytes of i, of position `bad` an error."""

    shape = ()

    def __init__(self, *, bad=None, size=1):
        self.bad, self.size, self.reads = bad, size, []

    def read(self, indices):
        if self.bad in indices.tolist():
            raise InputError(f"{self.bad} is damaged")
        self.reads.append(len(indices))
        return np.array([bytes([i % 256]) * self.size for i in indices.tolist()], object)


def in_groups(images, *, batch=4, batches=20):
    requests = (
        (np.arange(i, i + batch), np.full((batch, 2), i, np.int32))
        for i in range(0, batch * batches, batch)
    )
    for group, block in _read_in_groups(images, requests, clock=ReadClock()):
        assert np.array_equal(
            [part[:1] for part in block],
            [bytes([i % 256]) for indices, _ in group for i in indices.tolist()],
        )
        yield from (int(indices[0]) for indices, _ in group)


def test_small_batches_are_read_together_and_the_first_alone():
    images = Numbers()
    assert list(in_groups(images, batches=200)) == list(range(0, 800, 4))
    assert images.reads == [4, 8, 16, 32, 64, 128, 256, 256, 36]


def test_large_images_are_not_read_many_at_once():
    images = Numbers(size=2**20)
    assert list(in_groups(images)) == list(range(0, 80, 4))
    assert max(images.reads) == 16  # of 1 MiB each


@pytest.mark.parametrize("bad", [0, 3, 9, 50, 79])
def test_batches_that_were_read_with_a_damaged_one_arrive(bad):
    delivered = in_groups(Numbers(bad=bad))
    whole = bad // 4
    assert list(itertools.islice(delivered, whole)) == list(range(0, 4 * whole, 4))
    with pytest.raises(InputError, match=f"^{bad} is damaged"):
        next(delivered)


def test_images_cannot_be_written_to(dataset):
    """They are TensorFlow's memory, of which jax may make an array without a copy."""
    (batch,) = train(dataset)
    assert not batch.images.flags.writeable


@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped"])
def test_a_damaged_shard_is_named(tmp_path, damage):
    dataset = make_dataset(tmp_path / "d")
    path = dataset.shards("train")[2].path
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    else:
        at = content.index(b"image 9")
        path.write_bytes(content[:at] + b"I" + content[at + 1 :])
    with pytest.raises(InputError, match="00002-of-00003"):
        train(dataset, count=10)


def test_an_image_of_the_wrong_size_is_named(dataset):
    with pytest.raises(InputError, match=r"image \d+ .* 16 x 16"):
        train(dataset, count=10, augment=AugmentConfig(crop="none"))


def test_nothing_is_left_behind(dataset):
    """No reading thread and no open shard: a run makes a stream for every evaluation."""

    def left():
        readers = [t for t in threading.enumerate() if t.name.startswith("read-records")]
        return len(readers), len(os.listdir("/proc/self/fd"))

    train(dataset, count=2)
    before = left()
    assert before[0] == 0
    train(dataset, count=2)
    score(dataset, batch=4)
    assert left() == before
