"""What folders mean: every reading is announced, and none is guessed."""

from __future__ import annotations

import json
import os
import unicodedata
from collections import Counter

import pytest

from tests.ingest.trees.test_folder import label_file, make
from vitctl.errors import InputError, UsageError
from vitctl.ingest.litter import file_kind
from vitctl.ingest.trees.folder import list_folder


def tree(root, *folders, n=1):
    return make(root, *(f"{folder}/{i}.jpg" for folder in folders for i in range(n)))


def splits_of(listing):
    return {entry.id.split("/")[0]: entry.split for entry in listing.entries}


@pytest.mark.parametrize(
    ("tops", "splits"),
    [
        (("train", "valid", "test"), ("train", "val", "test")),
        (("Train", "Test"), ("train", "test")),
        (("TRAINING", "Validation", "testing"), ("train", "val", "test")),
        (("training", "holdout"), ("train", "val")),
        (("train", "dev"), ("train", "val")),
        (("train", "eval"), ("train", "val")),
    ],
)
def test_common_names_of_splits(tmp_path, tops, splits):
    tree(tmp_path, *(f"{top}/{c}" for top in tops for c in ("cat", "dog")))
    listing = list_folder(tmp_path)
    assert splits_of(listing) == dict(zip(tops, splits, strict=True))
    assert listing.classes == ["cat", "dog"]
    # The first version took them for classes, so the id has to change.
    assert listing.layout == "splits"
    assert all(top in listing.reading for top in tops)


@pytest.mark.parametrize(
    "extra", ["annotations/labels.csv", "__MACOSX/train/cat/._0.jpg", "docs/a.md"]
)
def test_folders_without_images_do_not_count(tmp_path, extra):
    tree(tmp_path, "train/cat", "train/dog", "val/cat")
    make(tmp_path, extra)
    assert splits_of(list_folder(tmp_path)) == {"train": "train", "val": "val"}


def test_readings_of_the_first_version_keep_their_ids(tmp_path):
    tree(tmp_path / "a", "train/cat", "val/cat")
    tree(tmp_path / "b", "cat", "dog")
    assert list_folder(tmp_path / "a").layout is None
    assert list_folder(tmp_path / "b").layout is None
    assert list_folder(tmp_path / "b", layout="classes").layout is None
    # Read in the other way, the same files make another dataset.
    assert list_folder(tmp_path / "a", layout="classes").layout == "classes"


@pytest.mark.parametrize(
    "tops",
    [
        ("train", "val", "docs"),
        ("train", "extra"),
        ("train2017", "val2017"),
        ("images_train", "images_test", "other"),
    ],
)
def test_what_could_be_either_is_refused_with_both_readings(tmp_path, tops):
    tree(tmp_path, *(f"{top}/{c}" for top in tops for c in ("cat", "dog")))
    with pytest.raises(InputError, match=r"read in two ways.*as splits.*as the classes") as error:
        list_folder(tmp_path)
    assert "--layout splits, or --layout classes" in error.value.hint
    assert list_folder(tmp_path, layout="classes").classes == sorted(tops)
    listing = list_folder(tmp_path, layout="splits")
    assert listing.classes == ["cat", "dog"]
    assert set(splits_of(listing)) == {top for top in tops if top not in ("docs", "extra", "other")}


def test_splits_in_each_class_folder(tmp_path):
    tree(tmp_path, *(f"{c}/{split}" for c in ("cat", "dog") for split in ("train", "Valid")), n=2)
    tree(tmp_path, "eel/train")
    listing = list_folder(tmp_path)
    assert listing.classes == ["cat", "dog", "eel"]
    by_split = Counter((entry.id.split("/")[1], entry.split) for entry in listing.entries)
    assert by_split == {("train", "train"): 5, ("Valid", "val"): 4}
    assert "each as folders of splits: train, Valid (as val)" in listing.reading
    # The first version took all of them to train on.
    assert listing.layout == "inner-splits"
    plain = list_folder(tmp_path, layout="classes")
    assert (plain.layout, {entry.split for entry in plain.entries}) == (None, {None})
    assert "9 images lie deeper (in Valid/)" in plain.reading


@pytest.mark.parametrize("other", ["cat/0.jpg", "cat/more/0.jpg", "eel/0.jpg"])
def test_class_folders_that_hold_splits_and_more_are_refused(tmp_path, other):
    tree(tmp_path, *(f"{c}/{split}" for c in ("cat", "dog") for split in ("train", "test")))
    make(tmp_path, other)
    with pytest.raises(InputError, match=r"read in two ways.*or as classes alone") as error:
        list_folder(tmp_path)
    assert "--layout inner-splits" in error.value.hint
    chosen = list_folder(tmp_path, layout="inner-splits")
    assert (len(chosen.entries), chosen.classes) == (4, ["cat", "dog"])
    assert chosen.skipped["images outside the folders of splits"] == 1


def test_one_class_with_a_folder_of_a_splits_name_stays_a_class(tmp_path):
    tree(tmp_path, "cat/train", "cat/val", "dog", "eel")
    assert list_folder(tmp_path).layout is None


def test_what_lies_deeper_is_said(tmp_path):
    tree(tmp_path, "cat/images", "dog/images")
    assert "2 images lie deeper (in images/)" in list_folder(tmp_path).reading


@pytest.mark.parametrize("val", ["val", "test"])
def test_a_split_in_one_folder_that_is_no_class_is_refused(tmp_path, val):
    """Tiny ImageNet: the labels of val/images/ are in a file."""
    tree(tmp_path, "train/cat/images", "train/dog/images", f"{val}/images", n=2)
    with pytest.raises(InputError, match=rf"{val} lie in one folder, images") as error:
        list_folder(tmp_path)
    assert f"--exclude {val}" in error.value.hint
    assert list_folder(tmp_path, exclude=[val]).classes == ["cat", "dog"]


def test_splits_of_other_classes_are_taken(tmp_path):
    tree(tmp_path, "train/a", "train/b", "val/c", "val/d")
    assert list_folder(tmp_path).classes == ["a", "b", "c", "d"]


@pytest.mark.parametrize("layout", ["images/{}", "data/{}/val"])
def test_one_folder_around_the_classes_is_named(tmp_path, layout):
    tree(tmp_path, *(layout.format(c) for c in ("cat", "dog")))
    listing = list_folder(tmp_path)
    assert listing.classes == [listing.inside] == [layout.split("/")[0]]


def test_excluding_a_folder_settles_it(tmp_path):
    tree(tmp_path, *(f"{top}/{c}" for top in ("train", "val", "docs") for c in ("cat", "dog")))
    assert set(splits_of(list_folder(tmp_path, exclude=["docs"]))) == {"train", "val"}


@pytest.mark.parametrize("folders", [("train/deep", "plane"), ("crash test/a", "protest/b", "x/a")])
def test_classes_may_be_called_like_splits(tmp_path, folders):
    tree(tmp_path, *folders)
    listing = list_folder(tmp_path)
    assert listing.classes == sorted(folder.split("/")[0] for folder in folders)
    assert {entry.split for entry in listing.entries} == {None}


def test_two_folders_of_one_split_are_refused(tmp_path):
    tree(tmp_path, "train/a", "val/a", "dev/a")
    folders = "the folders (val and dev|dev and val), which are one split"
    with pytest.raises(InputError, match=folders) as error:
        list_folder(tmp_path)
    assert "--exclude" in error.value.hint
    assert splits_of(list_folder(tmp_path, exclude=["dev"])) == {"train": "train", "val": "val"}


def test_layouts_that_do_not_fit(tmp_path):
    tree(tmp_path, "cat", "dog")
    with pytest.raises(UsageError, match=r"no folder of .* is called train"):
        list_folder(tmp_path, layout="splits")
    with pytest.raises(UsageError, match="flat has no classes"):
        list_folder(tmp_path, layout="flat")
    labels = label_file(tmp_path / "l", [("cat/0.jpg", ["a"])])
    with pytest.raises(UsageError, match="no folder is a class"):
        list_folder(tmp_path, labels=labels, layout="classes")


def test_label_files_and_folders_of_splits(tmp_path):
    root = make(tmp_path / "src", "train/1.jpg", "Valid/2.jpg", "extra/3.jpg", "notes/readme.txt")
    two = label_file(tmp_path / "l", [(i, ["a"]) for i in ("train/1.jpg", "Valid/2.jpg")])
    assert splits_of(list_folder(root, labels=two)) == {"train": "train", "Valid": "val"}
    rows = [("train/1.jpg", ["a"]), ("Valid/2.jpg", ["a"]), ("extra/3.jpg", ["b"])]
    three = label_file(tmp_path / "l", rows)
    with pytest.raises(InputError, match=r"read in two ways.*extra would be left out"):
        list_folder(root, labels=three)
    assert set(splits_of(list_folder(root, labels=three, layout="flat")).values()) == {None}
    chosen = list_folder(root, labels=three, layout="splits")
    assert splits_of(chosen) == {"train": "train", "Valid": "val"}
    assert chosen.skipped["images outside the folders of splits"] == 1


def test_windows_wrote_the_label_file(tmp_path):
    root = make(tmp_path / "src", "val/1.jpg", "val/2.jpg")
    rows = "".join(
        json.dumps({"id": i, "labels": ["a"]}) + "\r\n" for i in ("val\\1.jpg", ".\\val\\2.jpg")
    )
    (tmp_path / "l").write_bytes(b"\xef\xbb\xbf" + rows.encode())
    from vitctl.ingest.labels.label_file import read_labels

    listing = list_folder(root, labels=read_labels(tmp_path / "l"))
    assert [entry.id for entry in listing.entries] == ["val/1.jpg", "val/2.jpg"]


def test_one_name_in_two_forms_of_unicode_is_one_class(tmp_path):
    nfc, nfd = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")
    tree(tmp_path, f"train/{nfc}", "train/dog", f"val/{nfd}", "val/dog")
    listing = list_folder(tmp_path)
    assert listing.classes == [nfc, "dog"]
    assert listing.united == (nfc,)
    # The files are those of two classes, the dataset is another.
    assert listing.fingerprint != listing.only({"dog"}).fingerprint


def test_a_name_in_one_form_stays_as_it_is(tmp_path):
    nfd = unicodedata.normalize("NFD", "café")
    tree(tmp_path, nfd, "dog")
    listing = list_folder(tmp_path)
    assert listing.classes == sorted([nfd, "dog"])
    assert listing.united == ()
    assert list_folder(tmp_path, exclude=[unicodedata.normalize("NFC", nfd)]).classes == ["dog"]


def test_exclude_takes_classes_folders_and_images(tmp_path):
    tree(tmp_path, "cat", "dog", "eel", n=2)
    listing = list_folder(tmp_path, exclude=["eel", "dog/1.jpg", "none"])
    assert [entry.id for entry in listing.entries] == ["cat/0.jpg", "cat/1.jpg", "dog/0.jpg"]
    assert listing.unmatched == ("none",)
    nested = tree(tmp_path / "s", "train/cat", "train/dog", "val/cat", "val/dog")
    assert list_folder(nested, exclude=["dog"]).classes == ["cat"]


MANIFEST = {"format": 1, "kind": "dataset", "id": "x", "digest": "y", "stage": "shard"}
RUN = {"format": 1, "kind": "run", "id": "x", "stage": "pretrain", "segments": []}


@pytest.mark.parametrize(
    ("name", "content"),
    [("artifact.json", MANIFEST), ("run.json", RUN), ("draft.json", {"vitctl": "draft.json"})],
)
def test_what_vitctl_made_is_no_source(tmp_path, name, content):
    tree(tmp_path, "cat", "dog", "mine/pictures", "mine/deep/er")
    (tmp_path / "mine" / name).write_text(json.dumps(content))
    listing = list_folder(tmp_path)
    assert listing.classes == ["cat", "dog"]
    assert listing.skipped == {"folders that vitctl made": 1}
    assert listing.empty_classes == []
    with pytest.raises(InputError, match="what vitctl made"):
        list_folder(tmp_path / "mine")
    (tmp_path / "mine" / name).write_text('{"format": 1}')  # a stranger's
    assert "mine" in list_folder(tmp_path).classes


def test_a_pipe_with_the_name_of_a_manifest_is_not_waited_for(tmp_path):
    tree(tmp_path, "cat", "dog")
    os.mkfifo(tmp_path / "cat" / "run.json")
    assert list_folder(tmp_path).classes == ["cat", "dog"]


def test_places_that_are_written_to_are_no_source(tmp_path):
    tree(tmp_path, "cat", "dog", "artifacts/shard/half")
    own = [tmp_path / "artifacts", tmp_path / "not there yet"]
    assert list_folder(tmp_path, own=own).classes == ["cat", "dog"]


MISNAMED = "files named as an image with"
SYSTEM = "files that a system left (.DS_Store, ._x, Thumbs.db and the like)"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.jpg", None),
        ("a.JFIF", None),
        ("noending", None),
        ("my.cat.png", None),
        ("a.jpg?w=400", f"{MISNAMED} a web address's tail (photo.jpg?w=400)"),
        ("a.jpg.1", f"{MISNAMED} a number after the ending (photo.jpg.1)"),
        ("a.jpeg (2)", f"{MISNAMED} a number after the ending (photo.jpg.1)"),
        ("a.jpg:large", f"{MISNAMED} something after the ending (photo.jpg:large)"),
        ("a.jpg.part", "downloads that did not finish (photo.jpg.part)"),
        ("a.jpg.txt", ".txt files"),
        ("notes.md", ".md files"),
        ("Thumbs.db", SYSTEM),
        ("._a.jpg", SYSTEM),
        (".DS_Store", SYSTEM),
        ("desktop.ini", SYSTEM),
        (".hidden.jpg", "hidden files"),
    ],
)
def test_kinds_of_files(name, kind):
    assert file_kind(name) == kind


def test_folders_of_systems_are_left_alone(tmp_path):
    make(tmp_path, "cat/1.jpg", "dog/1.jpg", "cat/@eaDir/1.jpg/SYNOPHOTO_THUMB_XL.jpg")
    make(tmp_path, "cat/.ipynb_checkpoints/1-checkpoint.jpg", "__MACOSX/cat/._1.jpg")
    listing = list_folder(tmp_path)
    assert [entry.id for entry in listing.entries] == ["cat/1.jpg", "dog/1.jpg"]
    assert set(listing.skipped) == {
        "@eaDir folders (thumbnails of a Synology)",
        "hidden folders",
        "__MACOSX folders",
    }
