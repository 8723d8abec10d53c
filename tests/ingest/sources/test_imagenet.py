"""ImageNet's archives, in miniature: the classes, splits and bytes of every image."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ingest.sources import miniature_imagenet as mini
from tests.ingest.trees.test_tar import spooled
from vitctl.errors import InputError, NotFoundError, VitctlError
from vitctl.ingest.choices import Choices
from vitctl.ingest.sources.imagenet import list_imagenet
from vitctl.ingest.sources.imagenet_files import ImageNetFiles
from vitctl.ingest.sources.imagenet_truth import read_devkit, read_kaggle


def images(listing):
    data = spooled(listing)
    return {
        (entry.split, entry.id.rpartition("/")[2], *listing.class_names(entry), data[entry.id])
        for entry in listing.entries
    }


def tars(folder):
    return ImageNetFiles(
        train=mini.train_tar(folder / "ILSVRC2012_img_train.tar"),
        val=mini.val_tar(folder / "ILSVRC2012_img_val.tar"),
        devkit=mini.devkit(folder / "ILSVRC2012_devkit_t12.tar.gz"),
    )


def test_tars_of_ilsvrc(tmp_path):
    listing = list_imagenet(tars(tmp_path), Choices())
    assert images(listing) == mini.expected()
    assert listing.classes == sorted(mini.WNIDS)
    assert listing.titles == mini.WORDS
    assert listing.source.access == "random"
    assert "4 classes by their WordNet ids, those of validation images by" in listing.reading


@pytest.mark.parametrize("how", ["zip", "folder", "folder above", "tar"])
def test_kaggles_files(tmp_path, how):
    if how == "zip":
        path = mini.kaggle_zip(tmp_path / "imagenet-object-localization-challenge.zip")
    elif how == "tar":
        path = mini.kaggle_tar(tmp_path)
    else:
        path = mini.kaggle_folder(tmp_path / "kaggle")
        path = path / "ILSVRC" if how == "folder above" else path
    listing = list_imagenet(ImageNetFiles(kaggle=path), Choices())
    assert images(listing) == mini.expected()
    assert listing.titles == mini.WORDS
    assert listing.skipped["test images, whose classes are not published"] == 1


def test_both_makers_say_the_same(tmp_path):
    kit = read_devkit(mini.devkit(tmp_path / "kit.tar.gz"))
    kaggle = read_kaggle(mini.kaggle_folder(tmp_path / "kaggle"))
    assert (kit.classes, kit.titles) == (kaggle.classes, kaggle.titles)
    assert kit.classes == dict(enumerate(mini.VAL, start=1))
    with tarfile.open(tmp_path / "kit.tar.gz") as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    for folder in ("unpacked", "unpacked/ILSVRC2012_devkit_t12"):
        assert read_devkit(tmp_path / folder).classes == kit.classes


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_imagenet_21k_is_a_tar_of_a_tar_a_class(tmp_path, mode):
    tar = mini.train_tar(tmp_path / "winter21_whole.tar.gz", top="winter21_whole/", mode=mode)
    listing = list_imagenet(ImageNetFiles(train=tar), Choices())
    train = {(name, wnid, data) for split, name, wnid, data in mini.expected() if split == "train"}
    assert {row[1:] for row in images(listing)} == train
    assert {entry.split for entry in listing.entries} == {None}


def test_validation_images_in_class_folders_need_no_tables(tmp_path):
    for number, wnid in enumerate(mini.VAL, start=1):
        file = tmp_path / "val" / wnid / mini.val_name(number)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(mini.val_image(number))
    listing = list_imagenet(ImageNetFiles(kaggle=tmp_path), Choices())
    val = {row for row in mini.expected() if row[0] == "val"}
    assert images(listing) == val


def test_what_tables_and_folders_say_must_agree(tmp_path):
    path = mini.kaggle_folder(tmp_path / "kaggle")
    images = path / "ILSVRC/Data/CLS-LOC/val"
    (images / "n01739381").mkdir()
    (images / mini.val_name(1)).rename(images / "n01739381" / mini.val_name(1))
    with pytest.raises(InputError, match="lies in the folder of n01739381, and LOC_val_solution"):
        list_imagenet(ImageNetFiles(kaggle=path), Choices())


def test_classes_can_be_left_out(tmp_path):
    listing = list_imagenet(tars(tmp_path), Choices(exclude=("n01440764",)))
    assert listing.classes == sorted(set(mini.WNIDS) - {"n01440764"})
    assert listing.unmatched == ()


def test_a_validation_image_whose_class_is_not_known_is_refused(tmp_path):
    files = ImageNetFiles(val=mini.val_tar(tmp_path / "val.tar"))
    with pytest.raises(InputError, match=r"classes of 5 validation images are not known") as error:
        list_imagenet(files, Choices())
    assert "--devkit" in error.value.hint
    short = mini.devkit(tmp_path / "kit.tar.gz", truth=b"1\n2\n")
    with pytest.raises(InputError, match="classes of 3 validation images"):
        list_imagenet(ImageNetFiles(val=files.val, devkit=short), Choices())


@pytest.mark.parametrize(
    ("meta", "truth", "message"),
    [
        (b"not MATLAB's", None, "meta.mat of .* is not the list of classes"),
        (b"", None, "meta.mat of .* is not the list of classes"),
        (None, b"1\n9\n", "line 2 of ILSVRC2012_validation_ground_truth.txt .* is '9'"),
        (None, b"n01440764\n", "line 1 of .* is 'n01440764'"),
        (None, b"5\n", "line 1 of .* is '5'"),  # above the classes
        (None, b"\xff\xfe\xff", "ground_truth"),
    ],
)
def test_a_wrong_devkit(tmp_path, meta, truth, message):
    with pytest.raises(InputError, match=message):
        read_devkit(mini.devkit(tmp_path / "kit.tar.gz", meta=meta, truth=truth))


def test_other_files_in_the_place_of_imagenets(tmp_path):
    files = tars(tmp_path)
    with pytest.raises(NotFoundError, match=r"--val none\.tar does not exist"):
        list_imagenet(ImageNetFiles(val=Path("none.tar")), Choices())
    with pytest.raises(InputError, match=r"--devkit .* holds no meta.mat"):
        read_devkit(files.train)
    (tmp_path / "text").write_text("hello")
    with pytest.raises(InputError, match="can't be read as a tar"):
        read_devkit(tmp_path / "text")
    with pytest.raises(InputError, match="holds no image of ImageNet"):
        list_imagenet(ImageNetFiles(train=files.devkit), Choices())


@pytest.mark.parametrize("table", ["LOC_val_solution.csv", "LOC_synset_mapping.txt"])
def test_a_wrong_table_of_kaggle(tmp_path, table):
    path = mini.kaggle_folder(tmp_path / "kaggle")
    (path / table).write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=rf"line 1 of {table}"):
        read_kaggle(path)


def test_a_cut_tar_keeps_what_lies_before_and_is_reported(tmp_path):
    files = tars(tmp_path)
    data = files.train.read_bytes()
    files.train.write_bytes(data[: len(data) * 2 // 3])
    listing = list_imagenet(files, Choices())
    assert any("what lies before is taken" in caution for caution in listing.cautions)
    assert 0 < len(listing.entries) < len(mini.expected())


@pytest.mark.slow
@settings(max_examples=100)
@given(st.data())
def test_garbled_tables_are_refused_in_a_sentence(tmp_path_factory, data):
    """SciPy's reader has crashed and asked for 40 GiB on such files."""
    folder = tmp_path_factory.mktemp("garbled")
    meta, truth = bytearray(mini.meta_mat()), bytearray(mini.ground_truth())
    for target in (meta, truth):
        for _ in range(data.draw(st.integers(0, 3))):
            at = data.draw(st.integers(0, len(target) - 1))
            target[at] = data.draw(st.integers(0, 255))
    try:
        kit = read_devkit(mini.devkit(folder / "kit.tar.gz", meta=bytes(meta), truth=bytes(truth)))
    except VitctlError:
        return
    assert set(kit.classes.values()) <= set(kit.titles)
