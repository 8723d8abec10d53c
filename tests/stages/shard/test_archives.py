"""The same images from a folder and from archives of it make the same dataset, byte for byte."""

from __future__ import annotations

import shutil
import tarfile

import pytest

from stages import api
from tests.stages.shard.test_run import everything, photos
from vitctl.artifacts import Store
from vitctl.data.dataset import Dataset
from vitctl.errors import InputError
from vitctl.events import Caution, Note


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return photos(tmp_path_factory.mktemp("images") / "photos")


@pytest.fixture(scope="module")
def of_the_folder(folder, tmp_path_factory):
    return sharded(folder, tmp_path_factory.mktemp("store"))


def sharded(source, store, *, emit=None, **options):
    events = [] if emit is None else emit
    return api.shard(
        source,
        store=Store(store),
        runtime={"workers": 0},
        set={"val_per_class": 1, "shards": 3},
        emit=events.append,
        **options,
    )


def tar_of(path, folder, mode="w"):
    with tarfile.open(path, mode) as tar:
        tar.add(folder, arcname=folder.name)
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar(folder, of_the_folder, tmp_path, mode):
    tar, events = tar_of(tmp_path / "p.tar", folder, mode), []
    dataset = sharded(tar, tmp_path / "store", emit=events)
    assert dataset.digest == of_the_folder.digest
    assert dataset.id != of_the_folder.id
    assert dataset.path.name.startswith("p-")
    assert any("from a tar" in event.text for event in events if isinstance(event, Note))
    assert sharded(tar, tmp_path / "store").path == dataset.path


def test_a_zip(folder, of_the_folder, tmp_path):
    path = shutil.make_archive(tmp_path / "p", "zip", folder.parent, folder.name)
    assert sharded(path, tmp_path / "store").digest == of_the_folder.digest


def test_a_dataset_artifact(of_the_folder, tmp_path):
    """Sharded again in the same way it is the same; in another way, the same images."""
    events = []
    again = api.shard(
        of_the_folder.path,
        store=Store(tmp_path / "store"),
        runtime={"workers": 0},
        set={"shards": 3},
        emit=events.append,
    )
    assert again.digest == of_the_folder.digest
    parents = {parent.role: parent for parent in again.manifest.recipe.parents}
    assert parents["dataset"].id == of_the_folder.id
    assert any("is a dataset that vitctl made" in e.text for e in events if isinstance(e, Note))
    few = api.shard(
        of_the_folder.path,
        store=Store(tmp_path / "store"),
        runtime={"workers": 0},
        set={"layout": "flat", "val_fraction": 0.0, "classes": "bee,cat"},
        exclude=["cat/0.png"],
    )
    assert few.summary["examples"] == {"train": 11}
    dataset, original = Dataset.load(few.path), Dataset.load(of_the_folder.path)
    assert dataset.info.classes == ("bee", "cat")
    images = everything(original)
    for id_, example in everything(dataset).items():
        assert example.image == images[id_].image
        assert dataset.info.classes[example.labels[0]] == id_.split("/")[0]


def test_a_damaged_dataset_is_refused(of_the_folder, tmp_path):
    copy = shutil.copytree(of_the_folder.path, tmp_path / "copy")
    shard = next(copy.glob("*train*00000*"))
    data = bytearray(shard.read_bytes())
    data[data.index(b"\x89PNG") + 20] ^= 1
    shard.write_bytes(data)
    with pytest.raises(InputError, match=shard.name):
        api.shard(copy, store=Store(tmp_path / "store"), runtime={"workers": 0})
    (copy / "artifact.json").write_text("{}")
    with pytest.raises(InputError):
        sharded(copy, tmp_path / "store")


def test_several_labels_of_a_table(folder, tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    files = sorted(folder.rglob("*.png"))
    labels = [["a", "b"][: i % 3] for i in range(len(files))]
    table = pa.table({"image": [file.read_bytes() for file in files], "label": labels})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=5)
    artifact = api.shard(
        tmp_path / "x.parquet",
        store=Store(tmp_path / "store"),
        runtime={"workers": 0},
        set={"val_fraction": 0.3},
    )
    dataset = Dataset.load(artifact.path)
    assert dataset.info.multi_label
    assert dataset.info.classes == ("a", "b")
    for id_, example in everything(dataset).items():
        assert example.image == files[int(id_)].read_bytes()
        assert example.labels == ((), (0,), (0, 1))[int(id_) % 3]


def test_a_damaged_tar_says_where(folder, tmp_path):
    tar, events = tar_of(tmp_path / "p.tar", folder), []
    data = tar.read_bytes().rstrip(b"\0")
    tar.write_bytes(data[: len(data) * 3 // 4])
    dataset = sharded(tar, tmp_path / "store", emit=events)
    assert 0 < sum(dataset.summary["examples"].values()) < 18
    assert any("damaged at byte" in e.text for e in events if isinstance(e, Caution))


def test_a_tar_that_changes_meanwhile(folder, tmp_path, monkeypatch):
    tar = tar_of(tmp_path / "p.tar", folder)
    monkeypatch.setattr("stages.shard.run.raise_if_asked", lambda: tar.touch())
    with pytest.raises(InputError, match=r"p\.tar changed while it was read"):
        sharded(tar, tmp_path / "store")
