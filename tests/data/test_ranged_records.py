"""Records of shards in a bucket, held against the library that reads the same shards on a disk."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vitctl.data.dataset import Dataset, DatasetInfo, SplitInfo, shard_name
from vitctl.data.example import Example, encode_example
from vitctl.data.ranged_records import RangedRecords, RangedShard
from vitctl.data.records import Shard, ShardedRecords, open_writer
from vitctl.data.stored_size import may_be_below, typical_side
from vitctl.errors import InputError, OutOfReachError
from vitctl.places import buckets, place

BLOCK = 1 << 16
SIZES = [0, 1, 127, 128, 300, BLOCK - 100, BLOCK, 3 * BLOCK + 5, *range(40, 90)]
"""Also none, more than a block, and some that end at and around the end of a block."""


def write(path, contents):
    with open_writer(path) as writer:
        for content in contents:
            writer.write(content)


def bucket(folder):
    """The same files in a bucket of fsspec's memory file system."""
    copy = place(f"memory://{folder.name}/store")
    for path in folder.iterdir():
        (copy / path.name).write_atomic(path.read_bytes())
    return copy


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranged")
    contents = [os.urandom(size) for size in SIZES]
    # A shard of an exact number of blocks before its footer, one of no record, one of one.
    parts = {"a": contents, "b": [], "c": contents[4:5], "d": contents[::-1]}
    for name, records in parts.items():
        write(folder / name, records)
    copy = bucket(folder)
    ranged = RangedRecords([RangedShard(copy / n, len(r)) for n, r in parts.items()])
    return ranged, ShardedRecords([Shard(folder / n, len(r)) for n, r in parts.items()])


@settings(max_examples=30)
@given(st.lists(st.integers(0, 2 * len(SIZES)), max_size=20))
def test_they_are_those_that_the_library_reads(both, wanted):
    ranged, library = both
    indices = np.array(wanted, np.int64)
    assert ranged.read(indices) == library.read(indices)


def test_every_record_and_where_it_is(both):
    ranged, library = both
    every = np.arange(len(library))
    assert len(ranged) == len(library)
    assert ranged.read(every) == library.read(every)
    assert (ranged.stored() == library.stored()).all()
    path, position = ranged.locate(len(SIZES))
    assert (path.name, position) == ("c", 0)


@pytest.mark.parametrize("size", [0, 1, 1000, BLOCK - 1, BLOCK, -BLOCK, -1])
def test_a_shard_that_is_cut_off_is_damaged(tmp_path, size):
    write(tmp_path / "x", [b"a" * 100_000, b"b"])
    os.truncate(tmp_path / "x", size % (tmp_path / "x").stat().st_size)
    records = RangedRecords([RangedShard(bucket(tmp_path) / "x", 2)])
    with pytest.raises(InputError, match="x is truncated or damaged"):
        records.read(np.array([1]))


def test_a_shard_that_is_missing_or_has_another_count_is_an_error(tmp_path):
    write(tmp_path / "x", [b"a", b"b"])
    shard = bucket(tmp_path) / "x"
    with pytest.raises(InputError, match="x holds 2 records where 3 were written"):
        RangedRecords([RangedShard(shard, 3)]).read(np.array([0]))
    with pytest.raises(InputError, match="y is missing"):
        RangedRecords([RangedShard(shard.parent / "y", 3)]).read(np.array([0]))


@settings(max_examples=60)
@given(st.data())
def test_a_shard_with_another_byte_gives_records_or_an_input_error(both, data):
    """Pixels may be others: their hashes are compared in `vitctl verify --deep`."""
    ranged, _ = both
    whole = ranged._shards[2].path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    copy = ranged._shards[2].path.parent / "damaged"
    copy.write_atomic(
        whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    )
    try:
        [record] = RangedRecords([RangedShard(copy, 1)]).read(np.array([0]))
    except InputError:
        return
    assert len(record) == SIZES[4]


def test_shards_that_another_program_compressed_are_refused(tmp_path):
    from array_record.python import array_record_module

    for name, options in [("x", "group_size:1"), ("y", "group_size:2,uncompressed")]:
        writer = array_record_module.ArrayRecordWriter(str(tmp_path / name), options)
        for _ in range(2):
            writer.write(b"a" * 1000)
        writer.close()
    folder = bucket(tmp_path)
    for name in ("x", "y"):
        with pytest.raises(InputError, match=r"damaged"):
            RangedRecords([RangedShard(folder / name, 2)]).read(np.array([0]))


@pytest.fixture
def small(tmp_path):
    """A dataset of images of 28 px in a bucket."""
    buffer = io.BytesIO()
    Image.new("RGB", (28, 28)).save(buffer, "PNG")
    record = encode_example(Example(buffer.getvalue(), (0,), "a"))
    write(tmp_path / shard_name("train", index=0, shards=1), [record] * 50)
    split = SplitInfo(shard_lengths=(50,), record_bytes=50 * len(record))
    return Dataset(bucket(tmp_path), DatasetInfo(classes=("a",), splits={"train": split}))


def test_the_images_of_a_bucket_are_looked_at(small):
    """Else the same command would train with other crops than from a folder."""
    assert may_be_below(small, "train", below=108)
    assert typical_side(small, "train", below=108) == 28


def test_a_bucket_that_is_out_of_reach_is_no_damaged_shard(small, monkeypatch):
    def away(path, begin, end):
        raise OutOfReachError("away", exit_code=10)

    monkeypatch.setattr(buckets, "read_part", away)
    with pytest.raises(OutOfReachError):
        typical_side(small, "train", below=108)
