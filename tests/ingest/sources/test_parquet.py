"""Parquet as Hugging Face `datasets` writes it: its schema and metadata are written out here."""

from __future__ import annotations

import json

import pytest

from tests.ingest.trees.test_folder import label_file, make
from tests.ingest.trees.test_tar import rows, spooled
from vitctl.errors import InputError, NotFoundError, UsageError
from vitctl.ingest.sources.formats import list_images

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
NAMES = ["tench", "shark", "newt"]


def class_label(names=NAMES):
    return {"names": names, "_type": "ClassLabel"}


def image(i):
    return {"bytes": b"image %d" % i, "path": f"{i}.jpg"}


def write(path, labels, *, label_type=None, features=None, name="label", **columns):
    table = pa.table(
        {
            "image": pa.array([image(i) for i in range(len(labels))], IMAGE),
            name: pa.array(labels, label_type),
            **columns,
        }
    )
    features = {"image": {"_type": "Image"}, name: class_label()} if features is None else features
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pq.write_table(table.replace_schema_metadata(metadata), path, row_group_size=2)
    return str(path)


def test_labels_are_named_by_the_metadata(tmp_path):
    path = write(tmp_path / "x.parquet", [2, 0, 0, 1, -1, None])
    listing = list_images(path)
    assert rows(listing) == [
        (f"{i:08d}", 7, None, (name,)) for i, name in enumerate(["newt", "tench", "tench", "shark"])
    ]
    assert listing.classes == ["newt", "shark", "tench"]
    assert listing.skipped == {"rows without a label, or with -1": 2}
    assert spooled(listing) == {f"{i:08d}": b"image %d" % i for i in range(4)}
    assert "images in image and labels of label" in listing.reading
    assert len(list_images(path, unlabelled=True).entries) == 6
    assert list_images(path, exclude=["tench"]).classes == ["newt", "shark"]
    labels = label_file(tmp_path / "l", [("00000004", ["a"]), ("00000000", ["b"])])
    assert [row[3] for row in rows(list_images(path, labels=labels))] == [("b",), ("a",)]


def test_splits_are_in_the_names_of_files(tmp_path):
    for name, labels in {
        "train-00000-of-00002": [0, 1],
        "train-00001-of-00002": [2],
        "validation-00000-of-00001": [1, 2],
    }.items():
        write(tmp_path / f"{name}.parquet", labels)
    listing = list_images(str(tmp_path / "*.parquet"))
    assert [(row[0], row[2]) for row in rows(listing)] == [
        ("train-00000-of-00002/00000000", "train"),
        ("train-00000-of-00002/00000001", "train"),
        ("train-00001-of-00002/00000000", "train"),
        ("validation-00000-of-00001/00000000", "val"),
        ("validation-00000-of-00001/00000001", "val"),
    ]
    assert spooled(listing)["validation-00000-of-00001/00000001"] == b"image 1"
    with pytest.raises(InputError, match=r"3 \.parquet files") as caught:
        list_images(str(tmp_path))
    assert "/**/*.parquet" in caught.value.hint


@pytest.mark.parametrize(
    ("labels", "type_", "feature", "names"),
    [
        ([[0, 2], []], pa.list_(pa.int64()), [class_label()], [("tench", "newt"), ()]),
        ([[1, 1], [0]], pa.list_(pa.int8()), {"_type": "Sequence", "feature": class_label()},
         [("shark",), ("tench",)]),
        (["b", "a"], pa.string(), {}, [("b",), ("a",)]),
        ([7, 30], pa.int32(), {}, [("7",), ("30",)]),
        ([["b", "a"], ["b"]], pa.list_(pa.string()), {}, [("b", "a"), ("b",)]),
    ],
)  # fmt: skip
def test_labels_of_all_kinds(tmp_path, labels, type_, feature, names):
    features = {"image": {"_type": "Image"}, "label": feature}
    path = write(tmp_path / "x.parquet", labels, label_type=type_, features=features)
    listing = list_images(path)
    assert [row[3] for row in rows(listing)] == names
    assert listing.multi_label == any(len(row) != 1 for row in names)


def test_what_could_be_either_is_asked_for(tmp_path):
    """CIFAR-100 has labels of two kinds."""
    features = {
        "image": {"_type": "Image"},
        "fine_label": class_label(),
        "coarse_label": class_label(["fish", "amphibian"]),
    }
    path = write(
        tmp_path / "x.parquet",
        [0, 2],
        name="fine_label",
        features=features,
        coarse_label=pa.array([0, 1]),
        mask=pa.array([b"m", b"m"]),
    )
    with pytest.raises(InputError, match="2 columns of images: image, mask") as caught:
        list_images(path)
    assert "--image-column image" in caught.value.hint
    with pytest.raises(InputError, match="2 columns of labels"):
        list_images(path, image_column="image")
    listing = list_images(path, image_column="image", label_column="coarse_label")
    assert listing.classes == ["amphibian", "fish"]
    with pytest.raises(UsageError, match="has no column nothing"):
        list_images(path, image_column="nothing")
    with pytest.raises(UsageError, match="are for tables"):
        list_images(str(make(tmp_path / "f", "a/1.jpg", "b/1.jpg")), label_column="label")


def test_tables_that_do_not_fit(tmp_path):
    with pytest.raises(InputError, match="label 3, and there are 3 classes"):
        list_images(write(tmp_path / "x.parquet", [0, 3]))
    pq.write_table(pa.table({"text": ["a"], "label": [1]}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="no column of encoded images"):
        list_images(str(tmp_path / "t.parquet"))
    pq.write_table(pa.table({"image": [b"a"]}), tmp_path / "u.parquet")
    with pytest.raises(InputError, match="no column of labels") as caught:
        list_images(str(tmp_path / "u.parquet"))
    assert "--unlabelled" in caught.value.hint
    pq.write_table(pa.table({"image": [image(0)], "label": [1]}), tmp_path / "train.parquet")
    write(tmp_path / "val.parquet", [0])
    with pytest.raises(InputError, match="other columns or other classes"):
        list_images(str(tmp_path / "{train,val}.parquet"))


def test_rows_without_bytes_are_counted(tmp_path):
    """`datasets` can store the path of an image alone."""
    images = [{"bytes": None, "path": "/elsewhere/1.jpg"}, image(1), None]
    table = pa.table({"image": pa.array(images, IMAGE), "label": ["a", "b", "c"]})
    pq.write_table(table, tmp_path / "x.parquet")
    listing = list_images(str(tmp_path / "x.parquet"))
    assert [row[0] for row in rows(listing)] == ["00000001"]
    assert listing.skipped == {"rows without the bytes of an image": 2}


def test_without_pyarrow_the_hint_names_the_extra(tmp_path, monkeypatch):
    path = write(tmp_path / "x.parquet", [0])
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(NotFoundError) as caught:
        list_images(path)
    assert "vitctl[parquet]" in caught.value.hint


def test_damage_in_a_row_group_keeps_those_before(tmp_path):
    path = tmp_path / "x.parquet"
    names = [f"{i:03d}" for i in range(100)]
    table = pa.table({"image": [b"%03d" % i * 100 for i in range(100)], "label": names})
    pq.write_table(table, path, row_group_size=20, compression="gzip", use_dictionary=False)
    data = bytearray(path.read_bytes())
    group = pq.ParquetFile(path).metadata.row_group(3).column(0)
    page = group.data_page_offset
    data[page + 30 : page + group.total_compressed_size - 5] = b"\xff" * (
        group.total_compressed_size - 35
    )
    path.write_bytes(data)
    listing = list_images(str(path))
    assert "is damaged at row" in listing.cautions[0]
    # Rows come 32 at a time, so a few before the damage may be gone, too.
    assert 32 <= len(listing.entries) <= 60
    assert spooled(listing)["00000005"] == b"005" * 100
