"""`vitctl shard imagenet` from archives to a dataset; other sets with ImageNet's classes."""

from __future__ import annotations

import pytest

from stages import api
from stages.shard.imagenet import imagenet_files
from tests.ingest.sources import miniature_imagenet as mini
from vitctl.artifacts import Store
from vitctl.data.dataset import Dataset
from vitctl.errors import InputError, UsageError
from vitctl.events import Note
from vitctl.ingest.sources.imagenet_files import ImageNetFiles


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("downloads")
    return ImageNetFiles(
        train=mini.train_tar(folder / "ILSVRC2012_img_train.tar"),
        val=mini.val_tar(folder / "ILSVRC2012_img_val.tar"),
        devkit=mini.devkit(folder / "ILSVRC2012_devkit_t12.tar.gz"),
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def imagenet(files, store):
    return sharded("imagenet", store, **vars(files))


def sharded(source, store, *, events=None, **options):
    return api.shard(
        source,
        store=store,
        runtime={"workers": 0},
        emit=[].append if events is None else events.append,
        **options,
    )


def test_its_dataset(imagenet):
    dataset = Dataset.load(imagenet.path)
    assert imagenet.path.name.startswith("imagenet-")
    assert list(dataset.info.classes) == sorted(mini.WNIDS)
    assert list(dataset.info.class_titles) == [mini.WORDS[name] for name in sorted(mini.WNIDS)]
    assert {name: split.examples for name, split in dataset.info.splits.items()} == {
        "train": 8,
        "val": 5,
    }
    assert dataset.info.multi_label is False


def test_kaggles_files_make_the_same_images(imagenet, store, tmp_path):
    path = mini.kaggle_zip(tmp_path / "imagenet-object-localization-challenge.zip")
    kaggle = sharded("imagenet", store, kaggle=path)
    assert (
        Dataset.load(kaggle.path).info.splits.keys()
        == Dataset.load(imagenet.path).info.splits.keys()
    )
    assert kaggle.id != imagenet.id


@pytest.fixture
def v2(tmp_path):
    """As ImageNet-V2: folders with the numbers of the classes, from 0 on."""
    for number in range(4):
        folder = tmp_path / "imagenetv2-matched-frequency-format-val" / str(number)
        folder.mkdir(parents=True)
        for i in range(2):
            (folder / f"{i}.jpeg").write_bytes(mini.image(100 * number + i))
    return tmp_path / "imagenetv2-matched-frequency-format-val"


def test_folders_called_by_numbers_of_classes(imagenet, store, v2):
    events = []
    dataset = sharded(
        v2, store, events=events, classes_from=imagenet.path, set={"val_fraction": 0.0}
    )
    assert list(Dataset.load(dataset.path).info.classes) == sorted(mini.WNIDS)
    labels = Dataset.load(dataset.path).labels("train")[:, 0]
    assert sorted(labels.tolist()) == [0, 0, 1, 1, 2, 2, 3, 3]
    notes = [event.text for event in events if isinstance(event, Note)]
    assert any(
        "are read as numbers, from 0 on" in text and "0 is n01440764" in text for text in notes
    )


def test_a_number_beyond_the_classes_is_refused(imagenet, store, v2):
    (v2 / "3").rename(v2 / "4")
    with pytest.raises(InputError, match=r"4 of the 4 classes .* are not among the 4"):
        sharded(v2, store, classes_from=imagenet.path)


@pytest.mark.parametrize(
    ("source", "files", "message"),
    [
        ("photos", {"train": "t.tar"}, "--train is about ImageNet's files"),
        ("imagenet", {}, "imagenet needs its files"),
        ("imagenet", {"devkit": "d.tar"}, "--devkit holds the classes"),
        ("imagenet", {"kaggle": "k.zip", "val": "v.tar"}, "--kaggle gives all images"),
    ],
)
def test_files_that_do_not_go_together(source, files, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        imagenet_files(source, ImageNetFiles(**files))


def test_a_folder_of_that_name_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "imagenet").mkdir()
    assert imagenet_files("imagenet", ImageNetFiles()) is None


def test_options_that_its_files_settle(files, store):
    with pytest.raises(UsageError, match="label_separator is of no use"):
        sharded("imagenet", store, **vars(files), label_separator=";")
    with pytest.raises(UsageError, match='"unlabelled": True} is of no use'):
        sharded("imagenet", store, **vars(files), set={"unlabelled": True})
    with pytest.raises(UsageError, match="train is about ImageNet's files"):
        sharded("photos", store, **vars(files))
