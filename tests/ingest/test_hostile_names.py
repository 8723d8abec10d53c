"""Whatever names a file holds, the outcome is a listing whose own names are clean, or an error of
one printable line: line breaks, escape sequences, direction marks, bytes that are not UTF-8."""

from __future__ import annotations

import csv
import io
import json
import tarfile
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.ingest.labels.test_annotations import voc
from tests.ingest.sources.test_tfds_folder import CLASS, IMAGE, a_dict, images, prepared, record
from tests.ingest.trees.test_folder import make
from vitctl.errors import VitctlError
from vitctl.events import Note
from vitctl.ingest.labels.label_file import read_labels
from vitctl.ingest.sources.feature_files import read_features
from vitctl.ingest.sources.formats import list_images
from vitctl.train.telemetry.tensorboard import _masked_crc

NASTY = ["\n", "\r", "\t", "\x1b[31m", "\x00", "\x85", "\u2028", "\u202e", "\ufeff", "\ud800", "\\"]
HOSTILE = st.lists(
    st.sampled_from([*NASTY, "a", "é", "label", "image", ",", "/", " ", '"', "<"]),
    min_size=1,
    max_size=5,
).map("".join)


def as_bytes(name):
    return name.encode("utf-8", "surrogatepass")


def as_utf8(name):
    return name.encode("utf-8", "replace").decode()


def on_disk(name, *, otherwise="x"):
    return as_bytes(name.replace("\0", "").replace("/", "")) or otherwise.encode()


def tfrecords(root, *records):
    path = root / "x.tfrecord"
    with open(path, "wb") as out:
        for content in records:
            length = len(content).to_bytes(8, "little")
            out.write(length + _masked_crc(length) + content + _masked_crc(content))
    return path


def tfrecord(root, name):
    key = "a" + as_utf8(name)
    records = [record(**{key: [b"1"]}), record(image=[b"1"], **{key: [as_bytes(name)]})]
    return tfrecords(root, *records)


def tfrecord_labels(root, name):
    return tfrecords(root, record(image=[b"1"], label=[as_bytes(name)]))


def tfds_features(root, name):
    return prepared(
        root / "d",
        {"train": [images(2)]},
        a_dict(**{name: IMAGE, name + "2": IMAGE, "label": CLASS}),
    )


def tfds_classes(root, name):
    folder = prepared(root / "d", {"train": [images(2)]}, a_dict(image=IMAGE, label=CLASS))
    (folder / "label.labels.txt").write_bytes(as_bytes(name) + b"\nb\nc\n")
    return folder


def tfds_splits(root, name):
    folder = prepared(root / "d", {"train": [images(2)]}, a_dict(image=IMAGE, label=CLASS))
    info = json.loads((folder / "dataset_info.json").read_text())
    info["splits"][0]["name"] = name
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return folder


def parquet(root, name):
    from tests.ingest.sources.test_parquet import write

    text = as_utf8(name)
    feature = {"names": [text, text + "2"], "_type": "ClassLabel"}
    return write(
        root / "x.parquet",
        [0, 1],
        name=text if text not in ("image",) else "y",
        features={"image": {"_type": "Image"}, text: feature},
    )


def parquet_columns(root, name):
    import pyarrow as pa

    from tests.ingest.sources.test_parquet import write

    return write(
        root / "x.parquet", [as_utf8(name)] * 2, name="a" + as_utf8(name), label_type=pa.string()
    )


def arrow(root, name):
    from tests.ingest.sources.test_arrow import saved

    folder = saved(root / "d", [0, 1], metadata=False)
    features = {"image": {"_type": "Image"}, "label": {"names": [name, "b"], "_type": "ClassLabel"}}
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))
    return folder


def arrow_files(root, name):
    from tests.ingest.sources.test_arrow import saved

    folder = saved(root / "d", [0, 1])
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    return folder


def npz(root, name):
    path = root / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for member in ("x_" + as_utf8(name), as_utf8(name)):
            content = io.BytesIO()
            np.save(content, np.zeros((2, 4, 4), np.uint8))
            archive.writestr(member.replace("\0", "") + ".npy", content.getvalue())
    return path


def packed_tar(root, name):
    path = root / "x.tar"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, errors="surrogatepass") as archive:
        for member in (name + "/1.jpg", "b/1.jpg", f"{name}/{name}.jpg", name + ".csv"):
            info = tarfile.TarInfo(member)
            info.size = 3
            archive.addfile(info, io.BytesIO(b"a,b"))
    return path


def packed_zip(root, name):
    path = root / "x.zip"
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two members of one name
        for member in (name + "/1.jpg", "b/1.jpg", f"{name}/{name}.jpg", name + ".csv"):
            archive.writestr("a" + as_utf8(member), b"a,b")
    return path


def folder(root, name):
    top = on_disk(name)
    for path in (top + b"/1.jpg", b"b/1.jpg", b"train/" + top + b"/2.jpg", top + b".csv"):
        make(root / "src", path)
    return root / "src"


def folder_of_one(root, name):
    make(root / "src", on_disk(name) + b"/1.txt")
    return root / "src"


def beside(root, table, content):
    make(root / "src", "images/1.jpg", "images/2.jpg")
    (root / "src" / table).write_bytes(content)
    return root / "src"


def csv_columns(root, name):
    out = io.StringIO()
    csv.writer(out).writerows([["id", name, name + "2"], ["1", "a", "c"], ["2", "b", "d"]])
    return beside(root, "l.csv", as_bytes(out.getvalue()))


def csv_cells(root, name):
    out = io.StringIO()
    csv.writer(out).writerows([["id", "label", "split"], ["1", name, name], [name, "b", "val"]])
    return beside(root, "l.csv", as_bytes(out.getvalue()))


def json_lines(root, name):
    rows = [{"file_name": "images/1.jpg", name: name}, {"file_name": name, name: [name]}]
    return beside(root, "m.jsonl", "\n".join(map(json.dumps, rows)).encode())


def annotations(root, name):
    content = {
        "images": [{"id": 1, "file_name": "1.jpg"}, {"id": 2, "file_name": name}],
        "annotations": [{"image_id": i, "category_id": 1} for i in (1, 2, 3)],
        "categories": [{"id": 1, "name": name}],
    }
    return beside(root, "c.json", json.dumps(content).encode())


def xml(root, name):
    return beside(root, "images/1.xml", as_bytes(voc((name, 0), ("cat", 1), filename=name)))


def yolo(root, name):
    source = beside(root, "data.yaml", as_bytes(f"names:\n  0: {name}\n  1: b\n"))
    (source / "labels").mkdir()
    (source / "labels" / "1.txt").write_bytes(b"0 .5 .5 1 1\n" + as_bytes(name))
    return source


def lists(root, name):
    return beside(root, "train.txt", as_bytes(f"images/1.jpg {name}\n{name} b\n"))


MAKERS = [
    tfrecord, tfrecord_labels, tfds_features, tfds_classes, tfds_splits, parquet, parquet_columns,
    arrow, arrow_files, npz, packed_tar, packed_zip, folder, folder_of_one, csv_columns, csv_cells,
    json_lines, annotations, xml, yolo, lists,
]  # fmt: skip


def is_one_line(text):
    """Its characters can all be seen; the space of Unicode is the space alone."""
    text.encode()
    return text.isprintable()


def checked(error):
    assert is_one_line(str(error)), str(error)
    assert is_one_line(error.message)
    assert error.hint is None or is_one_line(error.hint), error.hint


@pytest.mark.parametrize("make_source", MAKERS, ids=lambda maker: maker.__name__)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(name=HOSTILE, unlabelled=st.booleans())
def test_hostile_names_make_a_clean_listing_or_a_line(
    tmp_path_factory, make_source, name, unlabelled
):
    if make_source in (parquet, parquet_columns, arrow, arrow_files):
        pytest.importorskip("pyarrow")
    source = make_source(tmp_path_factory.mktemp("h"), name)
    for options in ({}, {"image_column": name}, {"label_column": name}, {"exclude": [name]}):
        try:
            listing = list_images(str(source), unlabelled=unlabelled, **options)
        except VitctlError as error:
            checked(error)
            continue
        for own in (*listing.classes, *(entry.id for entry in listing.entries)):
            assert is_one_line(own), own
        for text in (listing.reading, *listing.cautions, *listing.notes):
            assert is_one_line(Note(text).text), text


LABEL_FILES = [csv_columns, csv_cells, json_lines, annotations, xml, lists]


@pytest.mark.parametrize("make_source", LABEL_FILES, ids=lambda maker: maker.__name__)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(name=HOSTILE)
def test_hostile_names_in_a_file_of_labels(tmp_path_factory, make_source, name):
    root = tmp_path_factory.mktemp("h")
    source = make_source(root, name)
    tables = [path for path in source.iterdir() if path.is_file()] or [source / "images" / "1.xml"]
    for options in ({}, {"image_column": name}, {"label_column": name}):
        try:
            list_images(str(source / "images"), labels=read_labels(tables[0], **options))
        except VitctlError as error:
            checked(error)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(name=HOSTILE)
def test_hostile_names_of_arrays_of_features(tmp_path_factory, name):
    root = tmp_path_factory.mktemp("h")
    path = npz(root, name)
    try:
        read_features(path)
    except VitctlError as error:
        checked(error)
