"""Datasets as their makers give them out: the classes and splits that their makers mean."""

from __future__ import annotations

import tarfile
from collections import Counter

import numpy as np
import pytest

from stages.shard.source import list_source
from stages.shard.spec import Inputs, ShardConfig
from tests.ingest.labels.test_label_tables import labelled, splits
from tests.ingest.trees import distributions as makers
from tests.ingest.trees.distributions import lines, mat
from tests.ingest.trees.test_folder import make
from vitctl.errors import InputError, NotFoundError, UsageError
from vitctl.ingest.sources.formats import list_images


def listed(root, **options):
    return list_images(str(root), **options)


def with_labels(root, labels, **options):
    """As `vitctl shard ROOT --labels LABELS` lists it."""
    return list_source(Inputs(str(root), labels=labels, **options), ShardConfig())


def counted(listing):
    return Counter(splits(listing).values())


def test_food_101(tmp_path):
    """Numbers of photos are those of two classes: the folder tells."""
    makers.food101(tmp_path)
    listing = listed(tmp_path)
    assert listing.classes == ["apple_pie", "baby_back_ribs"]
    assert labelled(listing) == {id_: (id_.split("/")[1],) for id_ in labelled(listing)}
    assert {id_ for id_, split in splits(listing).items() if split == "test"} == {
        f"images/{name}/1026328.jpg" for name in listing.classes
    }
    assert counted(listing) == {"train": 4, "test": 2}
    assert "is read by its meta/{train,test}.txt" in listing.reading


def test_cub_200(tmp_path):
    makers.cub200(tmp_path)
    listing = listed(tmp_path)
    assert listing.classes == ["001.Black_footed_Albatross", "002.Laysan_Albatross"]
    assert labelled(listing) == {id_: (id_.split("/")[1],) for id_ in labelled(listing)}
    # Of train_test_split.txt, 1 is to train on; odd numbers, of images.txt.
    assert {id_ for id_, split in splits(listing).items() if split == "train"} == {
        "images/001.Black_footed_Albatross/Black_footed_Albatross_0046_46.jpg",
        "images/001.Black_footed_Albatross/Black_footed_Albatross_0002_2.jpg",
        "images/002.Laysan_Albatross/Laysan_Albatross_0009_9.jpg",
    }


def test_dtd_has_ten_partitions_of_which_one_is_chosen(tmp_path):
    makers.dtd(tmp_path)
    with pytest.raises(InputError, match="say different splits of the same images") as error:
        listed(tmp_path)
    pattern = tmp_path / "labels/{train,val,test}1.txt"
    assert error.value.hint.endswith(f"--labels '{pattern}'")
    listing = with_labels(tmp_path, pattern)
    assert listing.classes == ["banded", "blotchy"]
    assert counted(listing) == {"train": 4, "val": 4, "test": 4}
    names = (tmp_path / "labels/val1.txt").read_text().split()
    assert {id_ for id_, split in splits(listing).items() if split == "val"} == {
        f"images/{name}" for name in names
    }
    assert (
        listing.fingerprint
        != with_labels(tmp_path, tmp_path / "labels/{train,val,test}2.txt").fingerprint
    )
    # Only some of the lists, and the folders alone.
    assert counted(with_labels(tmp_path, tmp_path / "labels/test1.txt*")) == {"test": 4}
    assert counted(listed(tmp_path / "images")) == {None: 12}


def test_one_partition_needs_no_choice(tmp_path):
    makers.dtd(tmp_path, partitions=1)
    assert counted(listed(tmp_path)) == {"train": 4, "val": 4, "test": 4}


def test_sun_397_whose_classes_are_paths(tmp_path):
    images, lists = tmp_path / "SUN397", tmp_path / "Partitions"
    makers.sun397(images)
    classes = ["a/abbey", "a/apartment_building/outdoor", "b/ballroom"]
    listing = listed(images)
    assert listing.classes == classes
    assert "is read by its ClassName.txt (folders that it lists)" in listing.reading
    makers.sun397_partitions(lists)
    listing = with_labels(images, lists / "{Training,Testing}_02.txt")
    assert listing.classes == classes
    assert counted(listing) == {"train": 6, "test": 3}
    makers.sun397_partitions(images)
    with pytest.raises(InputError, match=r"different splits .*: \{Training,Testing\}_01.txt, "):
        listed(images)


@pytest.mark.parametrize(("level", "place"), [("variant", 0), ("family", 1), ("manufacturer", 2)])
def test_aircraft_has_three_levels_of_which_one_is_chosen(level, place, tmp_path):
    makers.aircraft(tmp_path)
    with pytest.raises(InputError, match="say different labels of the same images"):
        listed(tmp_path)
    pattern = tmp_path / f"data/images_{level}_{{train,val,test}}.txt"
    listing = with_labels(tmp_path, pattern)
    assert listing.classes == sorted({row[place] for row in makers.AIRCRAFT})
    assert counted(listing) == {"train": 3, "val": 3, "test": 3}
    both = with_labels(tmp_path, tmp_path / f"data/images_{level}_{{trainval,test}}.txt")
    assert counted(both) == {"train": 6, "test": 3}


def test_pets_whose_masks_have_the_names_of_images(tmp_path):
    makers.pets(tmp_path)
    listing = listed(tmp_path)
    assert listing.classes == sorted(makers.PETS)
    assert labelled(listing) == {
        id_: (id_.removeprefix("images/").rsplit("_", 1)[0],) for id_ in labelled(listing)
    }
    assert all(id_.startswith("images/") for id_ in labelled(listing))
    assert counted(listing) == {"train": 8, "test": 4}


def test_flowers_102_whose_labels_are_of_matlab(tmp_path):
    makers.flowers102(tmp_path)
    listing = listed(tmp_path)
    assert labelled(listing) == {
        f"jpg/image_{i:05d}.jpg": (label,)
        for i, label in enumerate(np.repeat(["1", "77", "102"], 3), 1)
    }
    assert [splits(listing)[f"jpg/image_{i:05d}.jpg"] for i in range(1, 4)] == [
        *("train", "val", "test")
    ]
    # An image less than there are labels: the numbers may mean others.
    (tmp_path / "jpg/image_00009.jpg").unlink()
    assert listed(tmp_path).classes == ["jpg"]


def test_cars_whose_folders_have_the_same_names(tmp_path):
    makers.cars(tmp_path)
    listing = listed(tmp_path)
    one, two = makers.CARS
    assert labelled(listing) == {
        **{f"cars_train/{i:05d}.jpg": ((one, two)[i % 2],) for i in range(1, 7)},
        **{f"cars_test/{i:05d}.jpg": ((one, two)[i > 3],) for i in range(1, 7)},
    }
    assert all(id_.startswith(f"cars_{split}/") for id_, split in splits(listing).items())
    # Without the file that came later, test images have no labels.
    (tmp_path / "cars_test_annos_withlabels.mat").unlink()
    assert set(splits(listed(tmp_path)).values()) == {None}


def test_cars_in_one_folder(tmp_path):
    makers.cars_in_one(tmp_path)
    listing = listed(tmp_path)
    assert listing.classes == list(makers.CARS)
    assert splits(listing)["car_ims/000002.jpg"] == "train"
    assert splits(listing)["car_ims/000003.jpg"] == "test"


def test_stanford_dogs(tmp_path):
    makers.dogs(tmp_path)
    listing = listed(tmp_path)
    assert listing.classes == ["n02085620-Chihuahua", "n02105162-malinois"]
    assert counted(listing) == {"train": 4, "test": 2}


def test_places_365_whose_validation_images_lie_in_no_class(tmp_path):
    makers.places365(tmp_path)
    listing = listed(tmp_path)
    assert labelled(listing)["val_256/Places365_val_00000001.jpg"] == ("b/bazaar/indoor",)
    assert listing.classes == ["a/airfield", "b/bazaar/indoor"]
    assert counted(listing) == {"train": 4, "val": 2}


def test_domain_net_whose_top_folders_are_no_classes(tmp_path):
    makers.domain_net(tmp_path)
    with pytest.raises(InputError, match="can be read in two ways: by its folders") as error:
        listed(tmp_path)
    assert "--layout classes, or --labels " in error.value.hint
    pattern = error.value.hint.split("'")[1]
    listing = with_labels(tmp_path, makers.Path(pattern))
    assert listing.classes == ["bee", "zebra"]
    assert counted(listing) == {"train": 8, "test": 4}
    assert listed(tmp_path, layout="classes").classes == ["clipart", "real"]


def test_caltech_101(tmp_path):
    makers.caltech101(tmp_path)
    assert listed(tmp_path / "101_ObjectCategories").classes[1:] == ["accordion", "airplanes"]


@pytest.mark.parametrize(
    ("name", "mode", "ending"), [("food101", "w:gz", ".tar.gz"), ("cars", "w", ".tar")]
)
def test_the_same_in_an_archive(name, mode, ending, tmp_path):
    root = tmp_path / name
    root.mkdir()
    makers.ALL[name](root)
    with tarfile.open(tmp_path / f"{name}{ending}", mode) as tar:
        tar.add(root, arcname=name)
    folder, archive = listed(root), listed(tmp_path / f"{name}{ending}")
    assert labelled(folder) == labelled(archive)
    assert splits(folder) == splits(archive)


# Neighbours: lists of other shapes, and files that only look like lists


def test_a_list_of_caffe_and_one_beside_class_folders(tmp_path):
    """Where folders and lists say the same classes, the lists add the splits."""
    names = [f"{name}/{i}.jpg" for name in ("cat", "dog") for i in range(6)]
    make(tmp_path, *names)
    rows = [f"{name} {int(name[0] == 'd')}" for name in names]
    lines(tmp_path, train=[r for r in rows if "0.jpg" not in r],
          val=[r for r in rows if "0.jpg" in r])  # fmt: skip
    listing = listed(tmp_path)
    assert labelled(listing) == {name: (name[:3],) for name in names}
    assert counted(listing) == {"train": 10, "val": 2}
    assert counted(listed(tmp_path, layout="classes")) == {None: 12}


def test_folders_of_splits_with_lists_of_the_same_stay_as_they_are(tmp_path):
    names = [f"{split}/{name}/{i}.jpg" for split in ("train", "val") for name in ("cat", "dog")
             for i in range(3)]  # fmt: skip
    make(tmp_path, *names)
    bare = listed(tmp_path)
    lines(tmp_path, train=names[:6], val=names[6:])
    assert listed(tmp_path).fingerprint == bare.fingerprint
    assert not listed(tmp_path).declared
    # Lists that say other splits are another reading.
    lines(tmp_path, train=names[2:8], val=names[:2])
    with pytest.raises(InputError, match="with the classes cat, dog and splits, or by its lists"):
        listed(tmp_path)


def test_lists_of_a_few_images_beside_class_folders_are_refused(tmp_path):
    names = [f"{name}/{i}.jpg" for name in ("cat", "dog") for i in range(6)]
    make(tmp_path, *names)
    lines(tmp_path, few_train=names[:1] + names[6:7], few_test=names[1:2] + names[7:8])
    with pytest.raises(InputError, match="which name 4 of its 12 images"):
        listed(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        ["1", "2", "1"],  # predictions, as in the development kit of Stanford Cars
        ["epoch 1 loss 0.3", "epoch 2 loss 0.2"],  # a log
        ["cat", "dog"],  # classes
        [],
    ],
)
def test_other_text_files_called_as_splits_change_nothing(content, tmp_path):
    make(tmp_path, *(f"{name}/{i:05d}.jpg" for name in ("cat", "dog") for i in range(1, 4)))
    bare = listed(tmp_path)
    lines(tmp_path, train=content, test=content)
    listing = listed(tmp_path)
    assert listing.fingerprint == bare.fingerprint
    assert not listing.cautions


def test_a_caption_for_each_image_is_no_list(tmp_path):
    for i in range(300):
        make(tmp_path, f"{('cat', 'dog')[i % 2]}/train_{i}.jpg")
    lines(tmp_path, **{f"{('cat', 'dog')[i % 2]}__train_{i}": ["a photo"] for i in range(300)})
    assert counted(listed(tmp_path)) == {None: 300}


def test_boxes_behind_names_are_no_labels(tmp_path):
    make(tmp_path, *(f"images/{i:03d}.jpg" for i in range(12)))
    lines(tmp_path, train=[f"{i:03d} {i} {144 + i} {998 - i} 431" for i in range(8)],
          test=[f"{i:03d} {i} 144 998 431" for i in range(8, 12)])  # fmt: skip
    assert listed(tmp_path).classes == ["images"]


def test_an_image_in_two_lists_is_said(tmp_path):
    names = [f"images/{name}/{i}.jpg" for name in ("cat", "dog") for i in range(4)]
    make(tmp_path, *names)
    lines(tmp_path, train=names[:7], test=names[6:])
    listing = listed(tmp_path)
    assert counted(listing) == {"train": 6, "test": 2}
    assert any("in lists of two splits: 1 image (images/dog/2.jpg" in t for t in listing.cautions)


def test_lines_that_name_no_image_are_counted(tmp_path):
    names = [f"images/{name}/{i}.jpg" for name in ("cat", "dog") for i in range(4)]
    make(tmp_path, *names[:-1])
    lines(tmp_path, train=names[:3] + names[4:6], test=[names[3], *names[6:]])
    assert any("1 of the 8 lines of {train,test}.txt name no image" in t
               for t in listed(tmp_path).cautions)  # fmt: skip


def test_splits_of_images_whose_labels_are_in_a_table(tmp_path):
    make(tmp_path, *(f"images/{i}.jpg" for i in range(8)))
    (tmp_path / "labels.csv").write_text(
        "image,label\n" + "".join(f"{i}.jpg,{('cat', 'dog')[i % 2]}\n" for i in range(8))
    )
    lines(tmp_path, train=[f"{i}.jpg" for i in range(6)], test=["6.jpg"])
    listing = listed(tmp_path)
    assert counted(listing) == {"train": 6, "test": 1}
    assert "splits by {train,test}.txt" in listing.reading


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_windows_wrote_the_list(end, tmp_path):
    names = [f"images/{name}/{i}.jpg" for name in ("cat", "dog") for i in range(2)]
    make(tmp_path, *names)
    for split, own in (("train", names[::2]), ("test", names[1::2])):
        text = "".join(name.replace("/", "\\") + end for name in own)
        (tmp_path / f"{split}.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert counted(listed(tmp_path)) == {"train": 2, "test": 2}


def test_names_with_spaces(tmp_path):
    names = [f"big cat/my photo {i}.jpg" for i in range(4)] + [f"dog/x {i}.jpg" for i in range(4)]
    make(tmp_path, *(f"images/{name}" for name in names))
    rows = [f"{name} {7 if name[0] == 'b' else 9}" for name in names]
    lines(tmp_path, train=rows[::2], test=rows[1::2])
    assert labelled(listed(tmp_path)) == {f"images/{n}": (n.split("/")[0],) for n in names}


def test_nabirds_whose_classes_have_numbers_of_their_own(tmp_path):
    keys = [f"{i:08x}-21dc-4d0c" for i in range(4)]
    make(tmp_path, *(f"images/{(817, 1010)[i % 2]:04d}/{k}.jpg" for i, k in enumerate(keys)))
    lines(
        tmp_path,
        images=[f"{k} {(817, 1010)[i % 2]:04d}/{k}.jpg" for i, k in enumerate(keys)],
        image_class_labels=[f"{k} {(817, 1010)[i % 2]}" for i, k in enumerate(keys)],
        train_test_split=[f"{k} {int(i > 1)}" for i, k in enumerate(keys)],
        classes=["0 Birds", "817 Oak Titmouse (Adult)", "1010 Wood Duck"],
    )
    listing = listed(tmp_path)
    assert counted(listing) == {"train": 2, "test": 2}
    assert len(listing.classes) == 2


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["red", "green", "blue"], (0, 1, 2)),
        (["red", "green", "blue"], (1, 2, 3)),
        (["5 red", "7 green", "9 blue"], (5, 7, 9)),
        (["red 5", "green 7", "blue 9"], (5, 7, 9)),
    ],
)
def test_numbers_are_called_as_a_file_of_classes_says(names, numbers, tmp_path):
    make(tmp_path, *(f"images/{i}.jpg" for i in range(9)))
    lines(tmp_path, class_names=names, train=[f"{i}.jpg {numbers[i % 3]}" for i in range(6)],
          test=[f"{i}.jpg {numbers[i % 3]}" for i in range(6, 9)])  # fmt: skip
    listing = listed(tmp_path)
    assert [labelled(listing)[f"images/{i}.jpg"] for i in range(3)] == [
        *(("red",), ("green",), ("blue",))
    ]
    assert "names of classes in class_names.txt" in listing.reading


def test_numbers_whose_first_is_unclear_stay_numbers(tmp_path):
    """Classes 1 and 2 of three: of red, green, blue they may be either two."""
    make(tmp_path, *(f"images/{i}.jpg" for i in range(8)))
    rows = [f"{i}.jpg {1 + i % 2}" for i in range(8)]
    lines(tmp_path, class_names=("red", "green", "blue", "white"), train=rows[:6], test=rows[6:])
    assert listed(tmp_path).classes == ["1", "2"]


# What is refused


def test_a_file_of_matlab_7_3_says_how_to_convert_it(tmp_path):
    makers.flowers102(tmp_path)
    (tmp_path / "imagelabels.mat").write_bytes(b"MATLAB 7.3 MAT-file, Platform" + bytes(600))
    assert any("MATLAB 7.3 (HDF5), which is not read; in MATLAB: save(FILE, '-v7')" in note
               for note in listed(tmp_path).notes + listed(tmp_path).cautions)  # fmt: skip
    with pytest.raises(InputError, match=r"MATLAB 7\.3"):
        with_labels(tmp_path, tmp_path / "imagelabels.mat")


def test_a_file_of_matlab_that_expands_without_end_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("vitctl.ingest.trees.lists_inside.MOST_MAT_BYTES", 2**20)
    makers.flowers102(tmp_path)
    mat(tmp_path / "imagelabels.mat", labels=np.zeros((1, 2**19)))  # 4 MiB in 4 kB
    listing = listed(tmp_path)
    assert any("holds more than 2 MiB" in note for note in listing.notes + listing.cautions)


@pytest.mark.parametrize("data", [b"", b"MATLAB 5.0 MAT-file" + bytes(300), bytes(range(256)) * 4])
def test_a_damaged_file_of_matlab_is_said(data, tmp_path):
    makers.flowers102(tmp_path)
    (tmp_path / "imagelabels.mat").write_bytes(data)
    assert listed(tmp_path).classes == ["jpg"]


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_a_list_that_is_named_and_empty_is_refused(tmp_path, text):
    """Else its split would be missing, without a word."""
    makers.dtd(tmp_path, partitions=1)
    (tmp_path / "labels/train1.txt").write_text(text)
    with pytest.raises(InputError, match=r"train1\.txt is empty"):
        with_labels(tmp_path, tmp_path / "labels/{train,val,test}1.txt")


def test_a_list_beside_a_named_one_that_names_no_image_is_said(tmp_path):
    makers.cub200(tmp_path)
    (tmp_path / "images.txt").write_text("x y\n")
    with pytest.raises(InputError, match=r"images\.txt is no list of images in .*: no line of it"):
        with_labels(tmp_path, tmp_path / "image_class_labels.txt")


def test_lists_that_are_named_and_missing_or_of_other_images(tmp_path):
    makers.dtd(tmp_path, partitions=1)
    with pytest.raises(NotFoundError):
        with_labels(tmp_path, tmp_path / "labels/{train,test}7.txt")
    lines(tmp_path, labels__train9=["x/1.jpg", "y/2.jpg"], labels__test9=["x/3.jpg"])
    with pytest.raises(InputError, match=r"train9\.txt is no list of images in"):
        with_labels(tmp_path, tmp_path / "labels/{train,test}9.txt")
    with pytest.raises(UsageError, match="--label-column is for a table"):
        with_labels(tmp_path, tmp_path / "labels/{train,test}1.txt", label_column="x")
    (tmp_path / "labels/a.csv").write_text("image,label\n")
    with pytest.raises(InputError, match="is no list of images"):
        with_labels(tmp_path, tmp_path / "labels/{a.csv,test1.txt}")
