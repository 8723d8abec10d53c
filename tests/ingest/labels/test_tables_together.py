"""Several tables of labels read as one, and CelebA's, one of which is of splits."""

from __future__ import annotations

import itertools
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.shard.source import list_source
from stages.shard.spec import Inputs, ShardConfig
from tests.ingest.labels.test_label_tables import labelled, splits, table
from tests.ingest.trees.test_folder import make
from vitctl.errors import InputError, UsageError, VitctlError
from vitctl.ingest.labels.label_cells import cells_of
from vitctl.ingest.sources.formats import list_images
from vitctl.text.textfiles import decode

NAMES = [f"{i:06d}.jpg" for i in range(1, 9)]
ATTRIBUTES = ["5_o_Clock_Shadow", "Bald", "Male"]
MARKS = list(itertools.product((-1, 1), repeat=3))
SPLITS = [0, 0, 0, 0, 1, 1, 2, 2]


def celeba(root):
    """As its makers give it out."""
    make(root, *(f"img_align_celeba/{name}" for name in NAMES))
    rows = zip(NAMES, MARKS, strict=True)
    marks = "".join(f"{name} {'  '.join(f'{m:2d}' for m in row)}\n" for name, row in rows)
    (root / "list_attr_celeba.txt").write_text(f"8\n{' '.join(ATTRIBUTES)} \n{marks}")
    lines = (f"{name} {split}\n" for name, split in zip(NAMES, SPLITS, strict=True))
    (root / "list_eval_partition.txt").write_text("".join(lines))
    points = "".join(f"{name} 69 109\n" for name in NAMES)
    (root / "list_landmarks_align_celeba.txt").write_text(f"8\nlefteye_x lefteye_y\n{points}")
    (root / "identity_CelebA.txt").write_text("".join(f"{name} 2880\n" for name in NAMES))


def celeba_of_kaggle(root):
    make(root, *(f"img_align_celeba/img_align_celeba/{name}" for name in NAMES))
    rows = [(name, *row) for name, row in zip(NAMES, MARKS, strict=True)]
    table(root / "list_attr_celeba.csv", ["image_id", *ATTRIBUTES], *rows)
    pairs = zip(NAMES, SPLITS, strict=True)
    table(root / "list_eval_partition.csv", ["image_id", "partition"], *pairs)
    boxes = [(name, 95, 71, 226, 313) for name in NAMES]
    table(root / "list_bbox_celeba.csv", ["image_id", "x_1", "y_1", "width", "height"], *boxes)
    points = [(name, 69, 109) for name in NAMES]
    table(root / "list_landmarks_align_celeba.csv", ["image_id", "nose_x", "nose_y"], *points)


def expected_labels():
    return {
        name: tuple(a for a, mark in zip(ATTRIBUTES, row, strict=True) if mark > 0)
        for name, row in zip(NAMES, MARKS, strict=True)
    }


@pytest.mark.parametrize("build", [celeba, celeba_of_kaggle])
@pytest.mark.parametrize("packed", [None, "tar", "gztar", "zip"])
def test_celeba(tmp_path, build, packed):
    build(tmp_path / "celeba")
    source = str(tmp_path / "celeba")
    if packed is not None:
        source = shutil.make_archive(str(tmp_path / "x"), packed, tmp_path, "celeba")
    listing = list_images(source)
    by_name = {id_.rpartition("/")[2]: names for id_, names in labelled(listing).items()}
    assert by_name == expected_labels()
    assert list(splits(listing).values()) == [("train", "val", "test")[i] for i in SPLITS]
    assert listing.multi_label
    assert "columns of -1 and 1" in listing.reading
    assert "splits by list_eval_partition" in listing.reading
    assert any("0, 1 and 2 are train, val and test" in note for note in listing.notes)


def test_partition_without_labels(tmp_path):
    celeba(tmp_path)
    (tmp_path / "list_attr_celeba.txt").unlink()
    listing = list_images(str(tmp_path))
    assert listing.classes == ["img_align_celeba"]
    assert any("it says splits, and no table says labels" in text for text in listing.cautions)


def images(root):
    make(root / "images", *(f"{split}{i}.jpg" for split in ("train", "val") for i in range(3)))
    for split in ("train", "val"):
        rows = ((f"{split}{i}.jpg", "ab"[i % 2]) for i in range(3))
        table(root / f"{split}.csv", ["image", "label"], *rows)


def of_labels(root, labels, **inputs):
    given_ = Inputs(str(root / "images"), labels=root / labels, **inputs)
    return list_source(given_, ShardConfig())


@pytest.mark.parametrize("pattern", ["{train,val}.csv", "*.csv"])
def test_tables_by_a_pattern(tmp_path, pattern):
    images(tmp_path)
    listing = of_labels(tmp_path, pattern)
    assert labelled(listing) == {
        f"{split}{i}.jpg": ("ab"[i % 2],) for split in ("train", "val") for i in range(3)
    }
    assert all(id_.startswith(split) for id_, split in splits(listing).items())
    assert "splits by their names" in listing.reading
    with pytest.raises(UsageError, match="has no column cat"):
        of_labels(tmp_path, pattern, label_column="cat")
    with pytest.raises(UsageError, match="no image has several rows"):
        of_labels(tmp_path, pattern, multi_label=True)


def test_a_table_of_splits_beside_one_of_labels(tmp_path):
    images(tmp_path)
    rows = [(f"{s}{i}.jpg", s) for s in ("train", "val") for i in range(2)]
    table(tmp_path / "splits.csv", ["image", "split"], *rows)
    listing = of_labels(tmp_path, "*.csv")
    assert splits(listing)["train0.jpg"] == "train"
    (tmp_path / "one.csv").write_text("image,label\n" + "".join(
        f"{s}{i}.jpg,{'ab'[i % 2]}\n" for s in ("train", "val") for i in range(3)
    ))  # fmt: skip
    listing = of_labels(tmp_path, "{one,splits}.csv")
    assert splits(listing) == {name: split for name, split in rows}  # noqa: C416
    assert listing.skipped["images without a line in the label file"] == 2
    with pytest.raises(InputError, match="says splits of images and no labels"):
        of_labels(tmp_path, "{splits,splits}.csv")
    # Among the images such a table is left alone, as it always was, with a way.
    for name in ("one.csv", "splits.csv"):
        shutil.copy(tmp_path / name, tmp_path / "images" / name)
    inside = list_images(str(tmp_path / "images"))
    assert set(splits(inside).values()) == {None}
    assert any("splits.csv is not read: it says splits alone" in note for note in inside.notes)


def test_tables_that_contradict_each_other(tmp_path):
    images(tmp_path)
    table(tmp_path / "other.csv", ["image", "label"], ("train0.jpg", "z"))
    with pytest.raises(InputError, match=r"say different things of train0\.jpg"):
        of_labels(tmp_path, "*.csv")
    table(tmp_path / "other.csv", ["image", "label"], ("nothing.jpg", "z"))
    with pytest.raises(InputError, match="none of the 1 images"):
        of_labels(tmp_path, "*.csv")
    (tmp_path / "other.lst").write_text("train0.jpg\n")
    with pytest.raises(InputError, match="is no list of images"):
        of_labels(tmp_path, "{train.csv,other.lst}")


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from(["3", "a b", "1.jpg 1 -1", "1.jpg 0", "2.jpg 1 1 1", "", "x"])),
    st.sampled_from(["list_attr_celeba.txt", "list_eval_partition.txt", "list_eval_partition.csv"]),
)
def test_any_lines_are_cells_or_a_sentence(lines, name):
    message = ""
    try:
        cells = cells_of(decode("\n".join(lines).encode(), label=name), name=name)
        assert len({len(column) for column in cells.columns.values()}) <= 1
    except VitctlError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1
