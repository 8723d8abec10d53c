"""The size of stored images, as their headers say it."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from vitctl.data.dataset import Dataset, DatasetInfo, SplitInfo, shard_name
from vitctl.data.example import Example, encode_example
from vitctl.data.records import open_writer
from vitctl.data.stored_size import may_be_below, typical_side
from vitctl.errors import InputError
from vitctl.places import place


def encoded(size, format_):
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 30, 90)).save(buffer, format_)
    return buffer.getvalue()


@pytest.fixture
def stored(tmp_path):
    """A dataset of one split with these images."""

    def store(images, *, record_bytes=None):
        path = tmp_path / shard_name("train", index=0, shards=1)
        records = [encode_example(Example(data, (0,), str(i))) for i, data in enumerate(images)]
        with open_writer(path) as writer:
            for record in records:
                writer.write(record)
        total = record_bytes or sum(map(len, records))
        split = SplitInfo(shard_lengths=(len(records),), record_bytes=total)
        return Dataset(place(tmp_path), DatasetInfo(classes=("a",), splits={"train": split}))

    return store


@pytest.mark.parametrize(
    ("sizes", "side"),
    [([(48, 48)], 48), ([(28, 28)] * 3 + [(500, 400)], 28), ([(30, 120)] * 40, 60)],
)
@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP"])
def test_the_median_side_of_small_images(stored, sizes, side, format_):
    assert typical_side(stored([encoded(s, format_) for s in sizes]), "train", below=108) == side


def test_large_images_have_none(stored):
    assert typical_side(stored([encoded((108, 108), "PNG")]), "train", below=108) is None


def test_long_records_are_no_small_images(stored):
    """107 x 107 pixels of noise are a PNG of 34 KB: what is longer on average is not opened."""
    small = stored([encoded((48, 48), "PNG")])
    assert may_be_below(small, "train", below=108)
    long = stored([encoded((48, 48), "PNG")], record_bytes=60_000)
    assert not may_be_below(long, "train", below=108)


def test_a_damaged_image_is_an_error(stored):
    with pytest.raises(InputError, match="cannot be read"):
        typical_side(stored([b"\x89PNG\r\n\x1a\nnothing"]), "train", below=108)
