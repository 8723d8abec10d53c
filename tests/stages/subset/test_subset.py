"""`vitctl subset`: what is selected and described; the result is a dataset like any other."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from stages import api
from stages.inspect.verify.checks import of_entry
from tests.artifacts.making import dataset, formula_options
from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.kinds import DATASET
from vitctl.data.batches import keys_of_steps
from vitctl.data.example import decode_example
from vitctl.data.opening import PartGoneError, open_dataset
from vitctl.data.order import sample_key
from vitctl.errors import InputError, NotFoundError, UsageError
from vitctl.events import Caution, Note, silent
from vitctl.formula.family import FormulaConfig
from vitctl.ingest.choices import Choices
from vitctl.ingest.sources.artifact import list_artifact


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Store(tmp_path / "store")


@pytest.fixture
def photos(store):
    """12 images each of train and val; image i is of class i % 2, cat or dog."""
    return dataset(store, images=12)


def subset(photos, *, emit=silent, ids=None, exclude_ids=None, store=None, **settings):
    store = store or Store(str(photos.path.parents[1]))
    return api.subset(
        photos, ids=ids, exclude_ids=exclude_ids, store=store, set=settings, emit=emit
    )


def ids_of(artifact, split="train"):
    source = open_dataset(artifact)
    records = source.records(split)
    examples = [decode_example(r) for r in records.read(np.arange(len(records)))]
    records.close()
    keys, labels = np.asarray(source.keys(split)), np.asarray(source.labels(split))
    assert [sample_key(example.id) for example in examples] == keys.tolist()
    assert source.info.examples(split) == len(keys) == len(labels)
    return [example.id for example in examples]


def checked(artifact, *, deep=True):
    store = Store(str(artifact.path.parents[1]))
    return of_entry(artifact, store=store, depth="contents" if deep else "sizes", emit=silent)


def test_a_count_is_of_the_split_and_nothing_is_copied(photos):
    six = subset(photos, images=6)
    three = subset(photos, images=3)
    assert set(ids_of(three)) < set(ids_of(six)) < set(ids_of(photos))
    assert ids_of(six, "val") == ids_of(photos, "val")
    assert sorted(file.name for file in six.path.iterdir() if file.suffix != ".lock") == [
        "artifact.json",
        "dataset.json",
        "images-train.rows",
    ]
    assert (six.path / "images-train.rows").stat().st_size == 6 * 4
    summary = DATASET.summary(six)
    assert summary.examples == {"train": 6, "val": 12}
    assert summary.classes == 2
    assert DATASET.in_one_line(six.summary) == "2 classes, 6 train of 12, 12 val"
    assert six.manifest.parent("dataset") == photos.as_parent("dataset")
    assert six.path.name.startswith("photos-6-")
    assert subset(photos, images=6).path == six.path
    assert subset(photos, images=6, seed=1).id != six.id


def test_a_subset_of_a_subset(photos):
    inner = subset(subset(photos, images=8), images=4)
    assert set(ids_of(inner)) < set(ids_of(subset(photos, images=8)))
    assert ids_of(inner) == ids_of(subset(photos, images=4))  # nested by one hash
    assert checked(inner).whole


def test_fraction_and_per_class(photos):
    assert len(ids_of(subset(photos, fraction=0.25))) == 3
    both = subset(photos, per_class=2)
    assert np.bincount(np.asarray(open_dataset(both).labels("train"))[:, 0]).tolist() == [2, 2]
    events = []
    subset(photos, per_class=7, emit=events.append)
    (caution,) = [event.text for event in events if isinstance(event, Caution)]
    assert caution.startswith("fewer than 7 images in train, which are all taken: 2 of 2 classes")


def test_classes_keep_their_numbers_unless_they_are_dropped(photos):
    events = []
    dogs = subset(photos, classes="dog", emit=events.append)
    source = open_dataset(dogs)
    assert source.info.classes == ("cat", "dog")
    assert (np.asarray(source.labels("train")) == 1).all()
    assert source.info.examples("val") == 6
    assert any("keep their numbers" in e.text for e in events if isinstance(e, Note))
    anew = open_dataset(subset(photos, classes="dog", drop_classes=True))
    assert anew.info.classes == ("dog",)
    assert (np.asarray(anew.labels("train")) == 0).all()
    assert np.array_equal(anew.keys("train"), source.keys("train"))


def test_classes_in_a_file_are_recorded_by_name(photos, tmp_path):
    (tmp_path / "list.txt").write_text("dog\n")
    by_file = subset(photos, classes=str(tmp_path / "list.txt"))
    assert by_file.id == subset(photos, classes="dog").id
    (tmp_path / "list.txt").write_text("dog\nfox\n")
    with pytest.raises(UsageError, match="no class 'fox'"):
        subset(photos, classes=str(tmp_path / "list.txt"))


def test_lists_of_ids(photos, tmp_path):
    (tmp_path / "ids.txt").write_text("train/3\ntrain/1\n")
    events = []
    two = subset(photos, ids=tmp_path / "ids.txt", emit=events.append)
    assert ids_of(two) == ["train/1", "train/3"]
    assert ids_of(two, "val") == ids_of(photos, "val")
    assert any("names no image of val" in e.text for e in events if isinstance(e, Note))
    assert subset(photos, ids=["train/1", "train/3"]).id == two.id
    rest = subset(photos, exclude_ids=["train/1", "val/0"])
    assert "train/1" not in ids_of(rest)
    assert "val/0" not in ids_of(rest, "val")
    assert (len(ids_of(rest)), len(ids_of(rest, "val"))) == (11, 11)


def test_duplicates(photos):
    """The images of train and val have the same bytes, in `making.dataset`."""
    events = []
    with pytest.raises(UsageError, match="no image of train is left"):
        subset(photos, dedup=True, emit=events.append)
    assert any(
        e.text.startswith("left out: 12 images of the same") for e in events if isinstance(e, Note)
    )
    chosen = subset(photos, dedup=True, split="val", exclude_ids=["val/0", "val/5"])
    assert ids_of(chosen) == ["train/0", "train/5"]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({}, UsageError, "nothing says which images"),
        ({"images": 13}, UsageError, '{"images": 13}: train has only 12'),
        ({"images": 1, "split": "test"}, NotFoundError, "no split 'test'"),
        ({"images": 1, "fraction": 0.5}, UsageError, "three ways"),
        ({"classes": "fox"}, UsageError, "no class 'fox'"),
        ({"fraction": 0.0}, UsageError, "greater than 0"),
    ],
)
def test_what_is_refused(photos, settings, error, message):
    with pytest.raises(error, match=message):
        subset(photos, **settings)


def test_training_takes_it_in_the_order_of_its_own_permutation(photos):
    small, whole = open_dataset(subset(photos, images=5)), open_dataset(photos)
    of = keys_of_steps(small, split="train", seed=3, batch=5)
    for step in range(3):
        assert sorted(of(step).tolist()) == sorted(np.asarray(small.keys("train")).tolist())
    assert set(np.asarray(small.keys("train"))) < set(np.asarray(whole.keys("train")))


def test_verify_and_a_parent_that_is_gone_or_changed(photos, store):
    six = subset(photos, images=6)
    verdict = checked(six)
    assert (verdict.whole, verdict.records, verdict.remarks) == (True, 18, [])
    # Moved inside the store: found by its id.
    moved = photos.path.with_name("elsewhere")
    photos.path.rename(moved)
    assert len(ids_of(six)) == 6
    assert checked(six).whole
    # A flipped bit of a label is not what was published.
    labels = moved / "images-train.labels"
    content = labels.read_bytes()
    labels.write_bytes(content[:-4])
    with pytest.raises(InputError, match="damaged"):
        open_dataset(six)
    labels.write_bytes(content)
    shutil.rmtree(moved)
    with pytest.raises(PartGoneError, match="takes its images from is gone") as error:
        open_dataset(six)
    assert error.value.exit_code == 3
    verdict = checked(six, deep=False)
    assert any("is gone" in problem for problem in verdict.problems)


def test_a_parent_that_was_made_again_with_other_bytes(photos, store):
    six = subset(photos, images=6)
    manifest = photos.path / "artifact.json"
    document = json.loads(manifest.read_text())
    shard = next(e for e in document["files"] if e["path"].endswith(".keys"))
    keys = photos.path / shard["path"]
    keys.write_bytes(bytes(reversed(keys.read_bytes())))
    from vitctl.artifacts.files import sha256_file
    from vitctl.artifacts.manifest import FileEntry, digest_of

    shard["sha256"] = sha256_file(keys)[1]
    document["digest"] = digest_of([FileEntry(**e) for e in document["files"]])
    manifest.write_text(json.dumps(document))
    with pytest.raises(InputError, match="is not what it was: its digest is"):
        open_dataset(six)


@pytest.mark.parametrize(
    "spoil", [lambda rows: rows[:-1], lambda rows: rows[::-1], lambda rows: rows + 9]
)
def test_rows_that_are_none(photos, spoil):
    six = subset(photos, images=6)
    file = six.path / "images-train.rows"
    spoil(np.fromfile(file, "<u4")).astype("<u4").tofile(file)
    with pytest.raises(InputError, match=r"rows (does not hold the 6|holds row numbers)"):
        open_dataset(six).keys("train")
    assert not checked(six, deep=False).whole


def test_it_is_a_source_of_shard(photos):
    six = subset(photos, classes="dog", drop_classes=True)
    entries = list_artifact(str(six.path), Choices()).entries
    assert {entry.id for entry in entries} == {*ids_of(six), *ids_of(six, "val")}
    assert {tuple(entry.labels) for entry in entries} == {(0,)}


def test_formula_images_that_are_made_when_they_are_read(store):
    config = FormulaConfig(family="atom", classes=4, per_class=6, val_per_class=1, resolution=40)
    virtual = api.shard("formula", **formula_options(config), virtual=True, store=store)
    few = subset(virtual, per_class=2)
    records = open_dataset(few).records("train")
    assert len({decode_example(r).id for r in records.read(np.arange(len(records)))}) == 8
    verdict = checked(few)
    assert verdict.whole, verdict.problems
    assert isinstance(few, Artifact)
