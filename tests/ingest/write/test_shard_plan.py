from __future__ import annotations

import hashlib
import math
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vitctl.data.order import sample_key
from vitctl.errors import UsageError
from vitctl.ingest.columns import EntriesBuilder
from vitctl.ingest.listing import Listing
from vitctl.ingest.pixels.storage import ImageStorage
from vitctl.ingest.sources.digits import InMemory
from vitctl.ingest.write import shard_plan
from vitctl.ingest.write.shard_plan import assign_splits, make_units


def listing(rows, *, size=100):
    """A listing of (id, class names, split)."""
    builder, numbers = EntriesBuilder(), {}
    for id_, names, split in rows:
        labels = [numbers.setdefault(name, len(numbers)) for name in names]
        builder.add(id_.encode(), size=size, mtime_ns=0, split=split, labels=labels)
    return Listing("test", InMemory(b""), builder.build(), list(numbers))


def rows(n, *, split=None):
    return [(f"{i % 3}/{i}.jpg", (str(i % 3),), split) for i in range(n)]


def entries(n, *, size=100, split=None):
    return listing(rows(n, split=split), size=size)


def units_of(source, *, val_fraction=0.2, shard_bytes=10**9, shards=None):
    by_split = assign_splits(source, val_fraction=val_fraction).by_split
    return make_units(
        by_split,
        names=source.names,
        classes=["0", "1", "2"],
        shard_bytes=shard_bytes,
        shards=shards,
        storage=ImageStorage(max_pixels=10**9),
    )


@given(st.integers(3, 200), st.integers(100, 5000), st.randoms())
def test_every_image_is_in_one_place_whatever_the_listing_order(n, shard_bytes, random):
    made = units_of(entries(n), shard_bytes=shard_bytes)
    shuffled = units_of(listing(random.sample(rows(n), n)), shard_bytes=shard_bytes)
    assert [(u.split, u.file_name, list(u.entries)) for u in shuffled] == [
        (u.split, u.file_name, list(u.entries)) for u in made
    ]
    assert sorted(entry.id for unit in made for entry in unit.entries) == sorted(
        id_ for id_, _, _ in rows(n)
    )
    assert all(len(unit.entries) for unit in made)
    for split in ("train", "val"):
        keys = [sample_key(e.id) for unit in made if unit.split == split for e in unit.entries]
        assert keys == sorted(keys)
    for unit in made:
        # The classes of the dataset are "0", "1" and "2", and an id begins with its class.
        assert [e.labels for e in unit.entries] == [(int(e.id[0]),) for e in unit.entries]
        # Shards are even: one of 100-byte images exceeds the target by an image at most.
        assert sum(entry.size for entry in unit.entries) <= shard_bytes + 100


def test_more_images_move_none_to_the_other_side():
    small, large = (
        assign_splits(entries(n), val_fraction=0.3, share_of="image").by_split for n in (100, 1000)
    )
    for split in ("train", "val"):
        assert {e.id for e in small[split]} <= {e.id for e in large[split]}
    # Binomial(1000, 0.3): deviation 14.5.
    assert abs(len(large["val"]) - 300) < 73


def test_own_splits_stay_and_val_comes_from_train_alone():
    plan = listing(
        [(f"{split}/{i}.jpg", ("a",), split) for split in ("test", "train") for i in range(400)]
    )
    by_split = assign_splits(plan, val_fraction=0.0).by_split
    assert {split: len(part) for split, part in by_split.items()} == {"train": 400, "test": 400}
    by_split = assign_splits(plan, val_fraction=0.5).by_split
    assert len(by_split["test"]) == 400
    assert len(by_split["val"]) + len(by_split["train"]) == 400
    assert by_split["val"]


@pytest.mark.parametrize("shards", [2, 3, 7, 100])
def test_shards_in_all(shards):
    made = units_of(entries(100), shards=shards)
    assert len(made) == shards
    assert {unit.shards for unit in made if unit.split == "train"} == {
        sum(unit.split == "train" for unit in made)
    }


@pytest.mark.parametrize("shards", [1, 101])
def test_impossible_numbers_of_shards(shards):
    with pytest.raises(UsageError, match=f"--shards {shards}"):
        units_of(entries(100), shards=shards)


def test_too_many_shards(monkeypatch):
    monkeypatch.setattr(shard_plan, "_MAX_SHARDS", 50)
    with pytest.raises(UsageError, match="this makes 51 shards"):
        units_of(entries(51, size=10), shard_bytes=1, val_fraction=0.0)


def named(*counts, split=None):
    """Entries of as many classes as there are counts, with so many images each."""
    return listing(
        (f"c{c}/{i}.jpg", (f"c{c}",), split) for c, count in enumerate(counts) for i in range(count)
    )


def class_of(entry):
    return entry.id.split("/")[0]


def class_of_id(id_):
    return id_.split("/")[0]


def fraction_of(sample_id):
    digest = hashlib.sha256(sample_id.encode()).digest()
    return int.from_bytes(digest[8:14], "little") / 2**48


@given(st.lists(st.integers(1, 8), min_size=1, max_size=40), st.floats(0, 0.99))
def test_no_class_loses_its_last_image_to_val(counts, fraction):
    plan = named(*counts)
    made = assign_splits(plan, val_fraction=fraction, share_of="image")
    trained = {class_of(entry) for entry in made.by_split["train"]}
    assert trained == {f"c{c}" for c in range(len(counts))}
    assert made.had_held_back == bool(made.held_back)
    assert assign_splits(plan, val_fraction=fraction).had_held_back == made.had_held_back
    # The hash alone decides about all others, so datasets that starved no class are what they were.
    alone = {entry.id for entry in plan.entries if fraction_of(entry.id) < fraction}
    val = {entry.id for entry in made.by_split.get("val", [])}
    held_back = {entry.id for entry in made.held_back}
    assert val | held_back == alone
    assert not val & held_back
    starved = {
        c for c in range(len(counts)) if all(f"c{c}/{i}.jpg" in alone for i in range(counts[c]))
    }
    assert {class_of(entry) for entry in made.held_back} == {f"c{c}" for c in starved}


def class_counts(part):
    return Counter(class_of(entry) for entry in part)


@example([1, 4], 0.5)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=40), st.floats(0, 0.99))
def test_a_share_is_one_of_each_class(counts, fraction):
    """Each class has its exact share, rounded up or down; all together have theirs, unless classes
    are too small to give any."""
    made = assign_splits(named(*counts), val_fraction=fraction)
    assert made.share_of == ("class" if fraction else None)
    val = class_counts(made.by_split.get("val", []))
    for c, count in enumerate(counts):
        assert val[f"c{c}"] < count
        # An image that a class of one cannot give may be another class's, whose share is whole.
        assert abs(val[f"c{c}"] - count * fraction) < 1 or val[f"c{c}"] == count * fraction + 1
    assert val.total() <= sum(counts) * fraction + 0.5
    if all(count * (1 - fraction) >= 1 for count in counts):
        assert abs(val.total() - sum(counts) * fraction) <= 0.5 + 1e-9
    assert made.held_back == ()
    if fraction:
        assert made.few == {f"c{c}": 0 for c in range(len(counts)) if not val[f"c{c}"]}


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=12), st.floats(0.01, 0.99), st.integers(0, 11)
)
def test_one_more_image_moves_two_others_at_most(counts, fraction, which):
    which %= len(counts)
    more = [count + (c == which) for c, count in enumerate(counts)]
    before, after = (
        {e.id for e in assign_splits(named(*sizes), val_fraction=fraction).by_split.get("val", [])}
        for sizes in (counts, more)
    )
    new = f"c{which}/{counts[which]}.jpg"
    moved = (before ^ after) - {new}
    assert len([id_ for id_ in moved if class_of_id(id_) == f"c{which}"]) <= 1
    assert len([id_ for id_ in moved if class_of_id(id_) != f"c{which}"]) <= 1


def test_a_larger_share_contains_a_smaller_of_even_classes():
    few, many = (
        {e.id for e in assign_splits(named(20, 20, 20), val_fraction=share).by_split["val"]}
        for share in (0.1, 0.3)
    )
    assert few < many


@pytest.mark.parametrize("each", [4, 12, 50])
def test_of_two_thousand_classes_none_is_missed_by_luck(each):
    """By a hash of each image alone some 10 of 2,000 classes of 50 have none of a tenth, and one in
    four of classes of 12."""
    source = named(*[each] * 2000)
    val = class_counts(assign_splits(source, val_fraction=0.1).by_split["val"])
    assert val.total() == 200 * each
    assert set(val.values()) == {math.floor(each / 10), math.ceil(each / 10)} - {0}
    by_luck = assign_splits(source, val_fraction=0.1, share_of="image").by_split["val"]
    assert len(class_counts(by_luck)) < 2000


@pytest.mark.parametrize("labels", [(), ("a", "b")])
def test_where_images_have_no_one_class_the_share_is_of_all(labels):
    source = listing([(f"{i}.jpg", labels if i else ("a",), None) for i in range(400)])
    made = assign_splits(source, val_fraction=0.3)
    assert made.share_of == "image"
    assert {entry.id for entry in made.by_split["val"]} == {
        f"{i}.jpg" for i in range(400) if fraction_of(f"{i}.jpg") < 0.3
    }


def test_an_image_of_several_classes_can_stay_for_all_of_them():
    plan = listing((f"{i}.jpg", ("a", "b"), None) for i in range(3))
    made = assign_splits(plan, val_fraction=0.999)
    assert [len(made.by_split[split]) for split in ("train", "val")] == [1, 2]


def test_own_splits_of_a_source_are_not_mended():
    plan = listing(
        [*((f"c0/{i}.jpg", ("c0",), "val") for i in range(3)), ("c1/0.jpg", ("c1",), "train")]
    )
    made = assign_splits(plan)
    assert {split: len(part) for split, part in made.by_split.items()} == {"train": 1, "val": 3}


@given(st.lists(st.integers(1, 9), min_size=1, max_size=20), st.integers(1, 5))
def test_so_many_of_each_class(counts, per_class):
    made = assign_splits(named(*counts), val_per_class=per_class)
    for c, count in enumerate(counts):
        own = sum(class_of(entry) == f"c{c}" for entry in made.by_split.get("val", []))
        assert own == min(per_class, count - 1)
    assert made.few == {f"c{c}": n - 1 for c, n in enumerate(counts) if n - 1 < per_class}


def test_more_of_each_class_contain_fewer():
    few, many = (
        {entry.id for entry in assign_splits(named(20, 20), val_per_class=n).by_split["val"]}
        for n in (3, 7)
    )
    assert few < many


def test_so_many_of_each_class_needs_one_class_each():
    plan = listing([("1.jpg", ("a", "b"), None)])
    with pytest.raises(UsageError, match=r"1\.jpg has 2"):
        assign_splits(plan, val_per_class=1)
    with pytest.raises(UsageError, match=r"share_of=class needs .* 1\.jpg has 2"):
        assign_splits(plan, val_fraction=0.1, share_of="class")
