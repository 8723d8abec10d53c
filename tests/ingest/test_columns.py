"""Columns against lists of rows; and what they cost."""

from __future__ import annotations

import os
import pickle
import tracemalloc
from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vitctl.ingest.columns import EntriesBuilder
from vitctl.ingest.pixels.storage import ImageStorage
from vitctl.ingest.trees import folder
from vitctl.ingest.write.shard_plan import assign_splits, make_units

ROWS = st.lists(
    st.tuples(
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6),
        st.integers(0, 2**40),
        st.sampled_from([None, "train", "val", "test"]),
        st.lists(st.integers(0, 4), max_size=3, unique=True).map(tuple),
        st.integers(0, 3),
        st.integers(0, 2**40),
    ),
    max_size=8,
    unique_by=lambda row: row[0],
)


def built(rows):
    builder = EntriesBuilder()
    for id_, size, split, labels, part, offset in rows:
        builder.add(
            id_.encode(),
            size=size,
            mtime_ns=size + 1,
            split=split,
            labels=labels,
            part=part,
            offset=offset,
        )
    return builder.build()


def rows_of(entries):
    return [(e.id, e.size, e.split, e.labels, e.part, e.offset) for e in entries]


@given(ROWS, st.randoms())
def test_columns_are_their_rows_sorted_by_id(rows, random):
    entries = built(random.sample(rows, len(rows)))
    assert rows_of(entries) == sorted(rows, key=lambda row: row[0])
    assert rows_of(pickle.loads(pickle.dumps(entries))) == rows_of(entries)
    assert [entries.id(row) for row in entries.in_reading_order()] == [
        id_ for id_, *_ in sorted(rows, key=lambda row: (row[4], row[5], row[0]))
    ]


@given(ROWS, st.data())
def test_taking_marking_and_relabelling_are_those_of_rows(rows, data):
    entries = built(rows)
    rows = rows_of(entries)
    if not rows:
        return
    taken = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=9))
    assert rows_of(entries.take(taken)) == [rows[i] for i in taken]
    marked = np.array(data.draw(st.lists(st.booleans(), min_size=5, max_size=5)))
    assert entries.have(marked).tolist() == [any(marked[i] for i in row[3]) for row in rows]
    assert entries.have(marked, all_of_them=True).tolist() == [
        all(marked[i] for i in row[3]) for row in rows
    ]
    new = np.array(data.draw(st.lists(st.integers(0, 2), min_size=5, max_size=5)), np.int32)
    assert [row[3] for row in rows_of(entries.relabelled(new))] == [
        tuple(dict.fromkeys(new[i] for i in row[3])) for row in rows
    ]


class File:
    """What `os.scandir` gives of a file with a name of ImageNet."""

    def __init__(self, folder_name: bytes, number: int) -> None:
        self.name, self._number = b"%b_%d.JPEG" % (folder_name, number), number

    def is_dir(self):
        return False

    def is_file(self):
        return True

    def stat(self):
        return SimpleNamespace(st_size=100_000 + self._number, st_mtime_ns=10**18 + self._number)


def test_a_listing_and_its_plan_are_below_400_bytes_an_image(tmp_path, monkeypatch):
    """The peak, with names of 30 characters; tens of millions of images fit in memory."""
    images, scan = 20_000, folder._scan
    for name in ("n01440764", "n02102040"):
        (tmp_path / name).mkdir()

    def fake(path):
        if path == os.fsencode(tmp_path):
            return scan(path)
        return (File(os.path.basename(path), i) for i in range(images // 2))

    monkeypatch.setattr(folder, "_scan", fake)
    tracemalloc.start()
    try:
        listing = folder.list_folder(tmp_path)
        plan = make_units(
            assign_splits(listing, val_fraction=0.1).by_split,
            names=listing.names,
            classes=listing.classes,
            shard_bytes=2**28,
            shards=None,
            storage=ImageStorage(max_pixels=10**9),
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(len(unit.entries) for unit in plan) == images
    assert peak / images < 400
