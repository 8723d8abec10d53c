"""Folders in the shape that TensorFlow Datasets 4.9.10 prepares, and ArrayRecords of others."""

from __future__ import annotations

import contextlib
import json

import pytest
from array_record.python import array_record_module
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ingest.sources.test_tfrecord import TWO
from tests.ingest.trees.test_folder import contents, label_file
from tests.ingest.trees.test_tar import rows, spooled
from vitctl.errors import InputError, UsageError
from vitctl.ingest.sources.formats import list_images
from vitctl.ingest.sources.tfds_folder import is_prepared
from vitctl.protobuf import length_delimited, varint

NAMES = ["tench", "shark", "newt"]
CLASS = {"classLabel": {"numClasses": "3"}}
IMAGE = {"image": {"dtype": "uint8", "encodingFormat": "png"}}


def record(**features):
    """A tf.train.Example of lists of bytes and of integers."""
    entries = b""
    for name, values in features.items():
        if all(isinstance(value, bytes) for value in values) and values:
            feature = length_delimited(1, b"".join(length_delimited(1, v) for v in values))
        else:
            packed = b"".join(varint(value % 2**64) for value in values)
            feature = length_delimited(3, length_delimited(1, packed))
        key = name.replace("__", "/").encode()
        entries += length_delimited(1, length_delimited(1, key) + length_delimited(2, feature))
    return length_delimited(1, entries)


def array_record(path, records, options="group_size:1"):
    writer = array_record_module.ArrayRecordWriter(str(path), options)
    for data in records:
        writer.write(data)
    writer.close()
    return str(path)


def a_dict(**features):
    return {"featuresDict": {"features": features}}


def sequence(feature):
    return {"sequence": {"feature": feature, "length": "-1"}}


def prepared(folder, splits, features, *, format="array_record", names=("label",), **info):
    """`splits`: name -> lists of records, one a file."""
    folder.mkdir(parents=True, exist_ok=True)
    described = []
    for split, shards in splits.items():
        for i, records in enumerate(shards):
            file = folder / f"x-{split}.{format}-{i:05d}-of-{len(shards):05d}"
            if format == "array_record":
                array_record(file, records)
            else:
                file.write_bytes(records)
        lengths = [str(2 if format == "tfrecord" else len(records)) for records in shards]
        described.append({"name": split, "shardLengths": lengths})
    content = {"name": "x", "version": "1.0.0", "fileFormat": format, "splits": described, **info}
    (folder / "dataset_info.json").write_text(json.dumps(content))
    (folder / "features.json").write_text(json.dumps(features))
    for name in names:
        (folder / f"{name}.labels.txt").write_text("".join(f"{name}\n" for name in NAMES))
    return folder


def images(count, *, first=0):
    return [
        record(image=[b"image %d" % i], label=[i % 3], other=[b"x"])
        for i in range(first, first + count)
    ]


def test_a_prepared_folder(tmp_path):
    splits = {"train": [images(2), images(2, first=2)], "validation": [images(1)]}
    root = prepared(tmp_path / "x" / "1.0.0", splits, a_dict(image=IMAGE, label=CLASS))
    listing = list_images(str(root))
    first = "x-train.array_record-0000%d-of-00002/0000000%d"
    assert rows(listing) == [
        (first % (0, 0), 7, "train", ("tench",)),
        (first % (0, 1), 7, "train", ("shark",)),
        (first % (1, 0), 7, "train", ("newt",)),
        (first % (1, 1), 7, "train", ("tench",)),
        ("x-validation.array_record-00000-of-00001/00000000", 7, "val", ("tench",)),
    ]
    assert sorted(contents(listing).values()) == sorted(
        [b"image 0", b"image 1", b"image 2", b"image 3", b"image 0"]
    )
    assert listing.source.access == "random"
    assert [row[3] for row in rows(list_images(str(tmp_path / "x")))] == [
        row[3] for row in rows(listing)
    ]
    assert {row[2] for row in rows(list_images(str(root), layout="flat"))} == {None}
    labels = label_file(tmp_path / "l", [(first % (0, 0), ["a", "b"])])
    assert [row[3] for row in rows(list_images(str(root), labels=labels))] == [("a", "b")]


def test_several_labels_and_the_classes_of_objects(tmp_path):
    records = [
        record(image=[b"0"], labels=[0, 2], objects__label=[1, 1]),
        record(image=[b"1"], labels=[], objects__label=[]),
    ]
    features = a_dict(
        image=IMAGE, labels=sequence(CLASS), objects=sequence(a_dict(label=CLASS, bbox={}))
    )
    root = prepared(
        tmp_path / "1.0.0", {"train": [records]}, features, names=("labels", "objects-label")
    )
    listing = list_images(str(root))
    assert [row[3] for row in rows(listing)] == [("tench", "newt"), ()]
    assert listing.multi_label
    objects = list_images(str(root), label_column="objects/label")
    assert [row[3] for row in rows(objects)] == [("shark",), ()]


def test_features_that_leave_it_open(tmp_path):
    features = a_dict(image=IMAGE, fine=CLASS, coarse=CLASS)
    records = [record(image=[b"0"], fine=[1], coarse=[2])]
    root = prepared(tmp_path / "a" / "1.0.0", {"train": [records]}, features, names=("fine",))
    with pytest.raises(UsageError, match="2 features of labels: fine, coarse"):
        list_images(str(root))
    assert list_images(str(root), label_column="fine").classes == ["shark"]
    keys = {
        "supervisedKeys": {"tuple": {"items": [{"featureKey": "image"}, {"featureKey": "fine"}]}}
    }
    root = prepared(
        tmp_path / "b" / "1.0.0", {"train": [records]}, features, names=("fine",), **keys
    )
    assert list_images(str(root)).classes == ["shark"]
    bad = [record(image=[b"0"], label=[7])]
    root = prepared(tmp_path / "c", {"train": [bad]}, a_dict(image=IMAGE, label=CLASS))
    with pytest.raises(InputError, match="has the label 7, and there are 3 classes"):
        list_images(str(root))


def test_tfrecords_and_hidden_labels(tmp_path):
    label = a_dict(label=sequence({"classLabel": {"numClasses": "999"}}))
    features = a_dict(image={"featuresDict": {"features": {"encoded": IMAGE, "class": label}}})
    splits = {"train": [TWO], "extra": [TWO]}
    root = prepared(tmp_path / "1.0.0", splits, features, format="tfrecord", names=())
    listing = list_images(str(root), label_column="image/class/label")
    assert rows(listing) == [
        ("00000000", 11, "train", ("3",)),
        ("00000001", 6, "train", ("-7", "300")),
    ]
    assert "the splits extra are not read" in listing.notes[0]
    records = [record(image=[b"0"], label=[-1]), record(image=[b"1"], label=[1])]
    root = prepared(tmp_path / "h", {"test": [records]}, a_dict(image=IMAGE, label=CLASS))
    listing = list_images(str(root))
    assert listing.skipped == {"records without a label in label": 1}
    assert [row[2:] for row in rows(listing)] == [("test", ("shark",))]


def test_folders_that_are_not_whole(tmp_path):
    features = a_dict(image=IMAGE, label=CLASS)
    root = prepared(tmp_path / "d", {"train": [images(2), images(2)]}, features)
    (root / "x-train.array_record-00001-of-00002").unlink()
    with pytest.raises(InputError, match=r"is missing \(1 of 2 files are\)"):
        list_images(str(root))
    array_record(root / "x-train.array_record-00001-of-00002", images(1))
    assert "holds 1 record, and dataset_info.json says 2" in list_images(str(root)).cautions[0]
    info = json.loads((root / "dataset_info.json").read_text())
    for change in (
        {"name": "../x"}, {"name": 1}, {"splits": [{"name": "../a", "shardLengths": [1]}]},
        {"splits": [{"name": "train", "shardLengths": ["x"]}]}, {"splits": []},
        {"fileFormat": "bag"},
        {"splits": [{"name": "a", "shardLengths": [1], "filepathTemplate": "/etc/passwd"}]},
    ):  # fmt: skip
        (root / "dataset_info.json").write_text(json.dumps({**info, **change}))
        with pytest.raises(InputError):
            list_images(str(root))


def test_what_vitctl_made_and_folders_of_classes_are_none(tmp_path):
    features = a_dict(image=IMAGE, label=CLASS)
    prepared(tmp_path / "a" / "b" / "1.0.0", {"train": [images(1)]}, features)
    prepared(tmp_path / "a" / "c" / "2.0.0", {"train": [images(1)]}, features)
    with pytest.raises(InputError, match=r"holds 2 prepared datasets: b/1\.0\.0, c/2\.0\.0"):
        list_images(str(tmp_path / "a"))
    prepared(tmp_path / "d" / "cats", {"train": [images(1)]}, features)
    assert not is_prepared(str(tmp_path / "d"))
    prepared(tmp_path / "e" / "1.0.0", {"train": [images(1)]}, features)
    (tmp_path / "e" / "1.0.0" / "artifact.json").write_text("{}")
    assert not is_prepared(str(tmp_path / "e"))


def test_array_records_of_large_chunks_are_read_in_order(tmp_path):
    path = array_record(tmp_path / "x.array_record", images(5), "group_size:3")
    assert list_images(path).source.access == "random"
    path = array_record(tmp_path / "x.array_record", images(40), "group_size:30,zstd")
    listing = list_images(path)
    assert listing.source.access == "in order"
    assert spooled(listing) == {f"{i:08d}": b"image %d" % i for i in range(40)}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 0.999), st.binary(min_size=1, max_size=4)), max_size=4),
    st.floats(0, 0.2),
)
def test_any_damage_is_a_listing_or_a_sentence(tmp_path_factory, changes, cut):
    path = tmp_path_factory.mktemp("a") / "x.array_record"
    array_record(path, images(4))
    data = bytearray(path.read_bytes())
    for share, piece in changes:
        at = int(share**8 * len(data))  # most of it is padding
        data[at : at + len(piece)] = piece
    path.write_bytes(data[: len(data) - int(cut * len(data))])
    with contextlib.suppress(InputError):
        spooled(list_images(str(path), format="array_record"))


def test_riegeli_is_refused_with_how_to_convert_it(tmp_path):
    """A plain file of it begins as an ArrayRecord does, and has no directory at its end."""
    root = prepared(tmp_path / "x y", {"train": [images(2)]}, a_dict(image=IMAGE, label=CLASS))
    info = json.loads((root / "dataset_info.json").read_text())
    (root / "dataset_info.json").write_text(json.dumps({**info, "fileFormat": "riegeli"}))
    with pytest.raises(InputError, match="is stored as riegeli, which is not read") as error:
        list_images(str(root))
    assert f"--dataset_version_dir='{root}'" in error.value.hint
    whole = next(root.glob("*.array_record-*"))
    plain = tmp_path / "plain.riegeli"
    plain.write_bytes(whole.read_bytes()[: 2**16])
    with pytest.raises(InputError, match=r"plain\.riegeli is no whole ArrayRecord") as error:
        list_images(str(plain))
    assert "a plain Riegeli file has none: write its records to an ArrayRecord" in error.value.hint
