"""A dataset of any source opens in TensorFlow Datasets and in Grain, and its `croissant.json` tells
the files, splits and classes that it has, by Croissant's own library where that is installed."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import socket
import tarfile
import zipfile

import numpy as np
import pytest

from stages import api
from tests.data.encoded_images import encode, rgb
from tests.ingest.pixels.test_convert import seen_in_training
from tests.ingest.sources.test_arrays import cifar, mnist
from tests.ingest.sources.test_mat import svhn
from tests.ingest.sources.test_tfds_folder import CLASS, IMAGE, a_dict, prepared, record
from tests.ingest.sources.test_tfds_folder import array_record as write_array_record
from tests.stages.shard.test_run import everything
from vitctl.artifacts import Store
from vitctl.data.dataset import Dataset
from vitctl.data.tensorflow import load_tensorflow
from vitctl.errors import UsageError
from vitctl.events import Caution, Note

IMAGES = [encode(rgb(8 + i, 9), "PNG") for i in range(6)]
LABELS = ["cat", "dog", "cat", "dog", "cat", "dog"]
FILES = {f"{LABELS[i]}/{i}.png": data for i, data in enumerate(IMAGES)}


def folder(path):
    for name, data in FILES.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def tar(path, files=FILES, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def zipped(path):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in FILES.items():
            archive.writestr(name, data)
    return path


def webdataset(path):
    files = {}
    for i, (label, data) in enumerate(zip(LABELS, IMAGES, strict=True)):
        files |= {f"{i}.png": data, f"{i}.cls": label.encode()}
    return tar(path, files)


def parquet(path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(_table(pa), path)
    return path


def arrow(path):
    pa = pytest.importorskip("pyarrow")
    table = _table(pa)
    with pa.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table)
    return path


def _table(pa):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    images = [{"bytes": data, "path": None} for data in IMAGES]
    return pa.table({"image": pa.array(images, kind), "label": LABELS})


def idx(path):
    path.mkdir()
    mnist(path, train=6, t10k=4)
    return f"{path}/*ubyte*"


def cifar_10(path):
    images = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)
    path.write_bytes(cifar(images, [0, 1, 2, 0, 1, 2]))
    return path


def mat(path):
    svhn(path, [1, 2, 10, 1, 2, 10])
    return path


def npz(path):
    images = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), np.uint8)
    np.savez(path, x_train=images, y_train=np.arange(6) % 2)
    return path


def records():
    return [record(image=[data], label=[i % 2]) for i, data in enumerate(IMAGES)]


def tfrecord(path):
    with load_tensorflow().io.TFRecordWriter(str(path)) as writer:
        for data in records():
            writer.write(data)
    return path


def array_record(path):
    return write_array_record(path, records())


def tfds(path):
    return prepared(path, {"train": [records()]}, a_dict(image=IMAGE, label=CLASS))


def several_labels(path):
    """Folders of no class, and a table of none, one or two labels of each image."""
    (path / "images").mkdir(parents=True)
    rows = ["file,labels"]
    for i, data in enumerate(IMAGES):
        (path / "images" / f"{i}.png").write_bytes(data)
        rows.append(f"{i}.png,{('', 'cat|dog', 'dog')[i % 3]}")
    (path / "labels.csv").write_text("\n".join(rows))
    return path


SOURCES = {
    "folder": (folder, "photos"),
    "tar": (tar, "photos.tar"),
    "tar.gz": (lambda path: tar(path, mode="w:gz"), "photos.tar.gz"),
    "zip": (zipped, "photos.zip"),
    "webdataset": (webdataset, "photos.tar"),
    "parquet": (parquet, "photos.parquet"),
    "arrow": (arrow, "photos.arrow"),
    "idx": (idx, "mnist"),
    "cifar": (cifar_10, "data_batch_1.bin"),
    "mat": (mat, "train_32x32.mat"),
    "npz": (npz, "photos.npz"),
    "tfrecord": (tfrecord, "photos.tfrecord"),
    "array_record": (array_record, "photos.array_record"),
    "tfds": (tfds, "photos"),
    "several labels": (several_labels, "photos"),
    "unlabelled": (folder, "photos"),
}


def sharded(source, store, *, emit=None, about=None, **settings):
    return api.shard(
        source,
        store=Store(store),
        runtime={"workers": 0, "about": about or {}},
        set={"shards": 3, **settings},
        emit=[].append if emit is None else emit.append,
    )


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source(kind, tmp_path):
    readers = pytest.importorskip("tensorflow_datasets")
    make, name = SOURCES[kind]
    settings = {"unlabelled": True} if kind == "unlabelled" else {}
    if kind in ("folder", "several labels"):
        settings["val_fraction"] = 0.4
    artifact = sharded(make(tmp_path / name), tmp_path / "store", **settings)
    dataset = Dataset.load(artifact.path)
    stored = everything(dataset)
    builder = readers.builder_from_directory(str(artifact.path))
    data = builder.as_data_source()
    assert {split: len(part) for split, part in data.items()} == {
        split: part.examples for split, part in dataset.info.splits.items()
    }
    for source in data.values():
        views = [source]
        if importlib.util.find_spec("grain"):
            import grain

            views.append(grain.MapDataset.source(source))
            assert len(views[-1]) == len(source)
        for i in range(0, len(source), max(1, len(source) // 8)):
            for view in views:
                example = view[i]
                expected = stored[example["id"].decode()]
                assert np.array_equal(example["image"], seen_in_training(expected.image))
                if dataset.info.classes:
                    assert np.ravel(example["label"]).tolist() == list(expected.labels)
    _check_description(artifact, dataset)


def _check_description(artifact, dataset):
    text = (artifact.path / "croissant.json").read_bytes().decode()
    for place in (str(artifact.path.parent), socket.gethostname(), "/home"):
        assert place not in text
    document = json.loads(text)
    files = {each["contentUrl"]: each for each in document["distribution"] if "sha256" in each}
    in_manifest = {each.path: each for each in artifact.manifest.files}
    assert files.keys() == in_manifest.keys() - {"croissant.json", "rejects.jsonl"}
    for name, each in files.items():
        content = (artifact.path / name).read_bytes()
        assert each["sha256"] == hashlib.sha256(content).hexdigest()
        assert each["contentSize"] == f"{len(content)} B"
    sets = {each["@id"]: each for each in document["recordSet"]}
    assert {row["splits/name"]: row["splits/records"] for row in sets["splits"]["data"]} == {
        split: part.examples for split, part in dataset.info.splits.items()
    }
    names = [row["classes/name"] for row in sets["classes"]["data"]] if "classes" in sets else []
    assert names == list(dataset.info.classes)
    if importlib.util.find_spec("mlcroissant"):
        import mlcroissant

        read = mlcroissant.Dataset(str(artifact.path / "croissant.json"))
        assert not read.metadata.ctx.issues.errors


def test_what_is_known_of_a_dataset_changes_neither_id_nor_digest(tmp_path):
    source = folder(tmp_path / "photos")
    events = []
    bare = sharded(source, tmp_path / "one", emit=events)
    about = {"license": "CC-BY-4.0", "creator": "Jane"}
    known = sharded(source, tmp_path / "two", about=about)
    assert (known.id, known.digest) == (bare.id, bare.digest)
    document = json.loads((known.path / "croissant.json").read_bytes())
    assert document["license"] == "CC-BY-4.0"
    notes = [event.text for event in events if isinstance(event, Note)]
    assert any("--license, --creator, --homepage, --date-published" in text for text in notes)
    # A finished dataset is not changed, and that is events.
    events.clear()
    assert sharded(source, tmp_path / "one", about=about, emit=events).path == bare.path
    cautions = [event.text for event in events if isinstance(event, Caution)]
    assert any("does not tell license, creator" in text for text in cautions)
    events.clear()
    assert sharded(source, tmp_path / "two", about=about, emit=events).path == known.path
    assert not [event for event in events if isinstance(event, Caution)]


def test_what_describes_stored_images_is_refused_where_none_is_stored(tmp_path):
    with pytest.raises(UsageError, match=r"about.license.* is for croissant\.json"):
        api.shard(
            "formula",
            virtual=True,
            store=Store(tmp_path),
            runtime={"about.license": "MIT"},
        )
