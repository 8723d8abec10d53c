"""Labels in place of a dataset's, by the names of images and never by their order."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vitctl.errors import InputError, NotFoundError
from vitctl.ingest.labels.replaced_labels import class_numbers, read_replaced_labels

CLASSES = ("n01", "n02", "n03")


def written(folder: Path, content: object, *, name: str = "real.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def val(number: int) -> str:
    return f"val/ILSVRC2012_val_{number:08d}.JPEG"


def test_real_json_belongs_to_the_numbers_in_names(tmp_path):
    """ReaL's own file: entry i is of image i + 1; some entries are empty, some have several."""
    labels = read_replaced_labels(written(tmp_path, [[2], [], [0, 1], [1]]))
    ids = [val(3), val(1), "ILSVRC2012_val_00000002_n01.JPEG", val(4)]
    replaced = labels.of_images(ids, shown="imagenet val")
    assert replaced.labels == [("0", "1"), ("2",), (), ("1",)]
    assert replaced.cautions == ()
    assert "the first is of ILSVRC2012_val_00000001" in replaced.notes[0]
    names, numbers, remark = class_numbers(replaced.labels, classes=CLASSES, known=(), label="L")
    assert names == CLASSES
    assert numbers.tolist() == [[0, 1], [2, -1], [-1, -1], [1, -1]]
    assert (
        remark == "labels in L are read as numbers of the dataset's 3 classes, from 0 on: 0 is n01"
    )


def test_a_list_is_refused_for_images_without_such_numbers(tmp_path):
    labels = read_replaced_labels(written(tmp_path, [[0]] * 4))
    with pytest.raises(InputError, match=r"only 1 of the 4 images .* \('a/1.jpg' is not") as error:
        labels.of_images(["a/1.jpg", "a/2.jpg", "b/3.jpg", val(1)], shown="photos val")
    assert "give an object" in error.value.hint
    replaced = labels.of_images([val(1), val(2), val(9)], shown="photos val")
    assert replaced.labels[2] == ()
    assert "1 of the 3 images of photos val have no entry" in replaced.cautions[0]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.json", {"a.jpg": ["n01", "n03"], "val/b.jpg": "n02", "c": []}),
        ("labels.csv", "image,labels\na.jpg,n01|n03\nb.jpg,n02\nc.jpg,\n"),
        ("labels.tsv", "image\tlabels\na.jpg\tn01|n03\nb.jpg\tn02\nc.jpg\t\n"),
        ("labels.jsonl", '{"image": "a.jpg", "labels": ["n01", "n03"]}\n{"image": "b.jpg", '
         '"labels": ["n02"]}\n{"image": "c.jpg", "labels": []}\n'),
    ],
    ids=lambda of: of if isinstance(of, str) and of.startswith("labels") else "",
)  # fmt: skip
def test_labels_by_names_of_images(tmp_path, name, content):
    labels = read_replaced_labels(written(tmp_path, content, name=name))
    replaced = labels.of_images(["val/b.jpg", "val/a.jpg", "val/c.jpg"], shown="photos val")
    assert [set(names) for names in replaced.labels] == [{"n02"}, {"n01", "n03"}, set()]


def test_rows_about_other_images_are_counted_and_most_refused(tmp_path):
    rows = {"a.jpg": "n01", "b.jpg": "n02", "x.jpg": "n01"}
    labels = read_replaced_labels(written(tmp_path, rows, name="labels.json"))
    replaced = labels.of_images(["a.jpg", "b.jpg", "c.jpg"], shown="photos val")
    assert any(
        "1 of the 3 rows" in text and "not in photos val" in text for text in replaced.cautions
    )
    assert any("1 of the 3 images of photos val are not in" in text for text in replaced.cautions)
    with pytest.raises(InputError, match="2 of the 3 rows") as error:
        labels.of_images(["a.jpg", "p.jpg", "q.jpg"], shown="photos val")
    assert "label 1 of 3 images" in error.value.hint
    # A file of all images is right for a few of them.
    assert labels.of_images(["a.jpg"], shown="photos val").labels == [("n01",)]
    with pytest.raises(InputError, match="no column that names images of photos val"):
        labels.of_images(["p.jpg"], shown="photos val")


def test_rows_that_contradict_each_other(tmp_path):
    table = "image,label\na.jpg,n01\na.jpg,n02\nb.jpg,n01\nb.jpg,n01\nc.jpg,n03\n"
    labels = read_replaced_labels(written(tmp_path, table, name="labels.csv"))
    replaced = labels.of_images(["a.jpg", "b.jpg", "c.jpg"], shown="photos val")
    assert replaced.labels == [(), ("n01",), ("n03",)]
    assert any("contradict each other: 1 image" in text and "(a.jpg, for one)" in text
               for text in replaced.cautions)  # fmt: skip
    # Where most images have such, a row is one label of several.
    several = read_replaced_labels(
        written(tmp_path, "image,label\na.jpg,n01\na.jpg,n02\nb.jpg,n01\n", name="l.csv")
    ).of_images(["a.jpg"], shown="photos val")
    assert several.labels == [("n01", "n02")]
    assert any("each row is read as one label of several" in note for note in several.notes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": ["x"], "a": ["y"]}', "names 'a' twice"),
        ('{"a": {"b": 1}}', "'a' of .* is not a list of names or numbers"),
        ("[[0], [true]]", "entry 1 of .* is not a list of names or numbers of classes: True"),
        ("[[0.5]]", "entry 0"),
        ('"text"', "neither a list of lists of labels"),
        ("{", "is not JSON"),
    ],
)
def test_what_is_no_file_of_labels(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read_replaced_labels(written(tmp_path, content))


def test_no_file_of_labels(tmp_path):
    with pytest.raises(NotFoundError, match="does not exist"):
        read_replaced_labels(tmp_path / "none.json")


def test_labels_are_names_of_classes_or_numbers_within():
    names, numbers, remark = class_numbers(
        [("x",), ("n02", "n01")], classes=CLASSES, known={"x"}, label="L"
    )
    assert names == ("n01", "n02", "x")
    assert numbers.tolist() == [[2, -1], [1, 0]]
    assert remark is None
    with pytest.raises(InputError, match="the label 3, and the dataset has 3 classes"):
        class_numbers([("0",), ("3",)], classes=CLASSES, known=(), label="L")
    with pytest.raises(InputError, match=r"1 of the 2 different labels in L .* \('owl'\)"):
        class_numbers([("n01",), ("owl",)], classes=CLASSES, known=(), label="L")
    with pytest.raises(InputError, match="gives no image a label"):
        class_numbers([(), ()], classes=CLASSES, known=(), label="L")
    # Classes that are called by numbers are meant by their names.
    names, numbers, _ = class_numbers([("7",)], classes=("5", "7"), known=(), label="L")
    assert (names, numbers.tolist()) == (("7",), [[0]])
    assert np.asarray(numbers).dtype == np.int32
