"""Folders as `save_to_disk` of Hugging Face `datasets` 5.2 writes them: streams of Arrow and JSON,
written out here."""

from __future__ import annotations

import json

import pytest

from tests.ingest.sources.test_parquet import IMAGE, NAMES, class_label, image
from tests.ingest.trees.test_folder import contents, label_file
from tests.ingest.trees.test_tar import rows
from vitctl.errors import InputError, NotFoundError
from vitctl.ingest.sources.formats import list_images

pa = pytest.importorskip("pyarrow")

FEATURES = {"image": {"_type": "Image"}, "label": class_label()}


def stream(
    path, labels, *, first_image=0, batch_rows=2, metadata=True, compression=None, label_type=None
):
    images = pa.array([image(first_image + i) for i in range(len(labels))], IMAGE)
    table = pa.table({"image": images, "label": pa.array(labels, label_type)})
    if metadata:
        info = json.dumps({"info": {"features": FEATURES}})
        table = table.replace_schema_metadata({"huggingface": info})
    options = pa.ipc.IpcWriteOptions(compression=compression)
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.ipc.new_stream(str(path), table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=batch_rows)
    return str(path)


def saved(folder, *shards, features=FEATURES, **options):
    first_image = 0
    names = [f"data-{i:05d}-of-{len(shards):05d}.arrow" for i in range(len(shards))]
    for name, labels in zip(names, shards, strict=True):
        stream(folder / name, labels, first_image=first_image, **options)
        first_image += len(labels)
    state = {"_data_files": [{"filename": name} for name in names], "_split": None}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))
    return folder


def test_a_saved_dataset(tmp_path):
    root = saved(tmp_path / "d", [2, 0, 0], [1, -1, None])
    listing = list_images(str(root))
    ids = ["data-00000-of-00002/00000000", "data-00000-of-00002/00000001"]
    ids += ["data-00000-of-00002/00000002", "data-00001-of-00002/00000000"]
    names = ["newt", "tench", "tench", "shark"]
    assert rows(listing) == [(i, 7, None, (n,)) for i, n in zip(ids, names, strict=True)]
    assert listing.skipped == {"rows without a label, or with -1": 2}
    assert contents(listing) == {id_: b"image %d" % i for i, id_ in enumerate(ids)}
    assert listing.source.access == "random"
    assert len(list_images(str(root), unlabelled=True).entries) == 6
    labels = label_file(tmp_path / "l", [(ids[3], ["a"])])
    assert [row[3] for row in rows(list_images(str(root), labels=labels))] == [("a",)]


def test_a_dict_of_splits(tmp_path):
    for name, labels in {"train": [0, 1, 2], "validation": [1]}.items():
        saved(tmp_path / "d" / name, labels)
    (tmp_path / "d" / "dataset_dict.json").write_text('{"splits": ["train", "validation"]}')
    listing = list_images(str(tmp_path / "d"))
    assert [(row[2], row[3]) for row in rows(listing)] == [
        *(("train", (name,)) for name in NAMES),
        ("val", ("shark",)),
    ]
    assert list_images(str(tmp_path / "d" / "train")).classes == sorted(NAMES)


def test_names_of_classes_from_the_folder_where_the_stream_has_none(tmp_path):
    root = saved(tmp_path / "d", [2, 0], metadata=False)
    assert [row[3] for row in rows(list_images(str(root)))] == [("newt",), ("tench",)]


def test_lists_of_labels_and_rows_without_images(tmp_path):
    path = stream(tmp_path / "x.arrow", [["a", "b"], [], ["b"]], label_type=pa.list_(pa.string()))
    listing = list_images(path)
    assert [row[3] for row in rows(listing)] == [("a", "b"), (), ("b",)]
    assert listing.multi_label
    images = pa.array([{"bytes": None, "path": "/x.jpg"}, image(1), None], IMAGE)
    table = pa.table({"image": images, "label": ["a", "b", "c"]})
    with pa.ipc.new_file(str(tmp_path / "y.arrow"), table.schema) as writer:  # Feather
        writer.write_table(table)
    listing = list_images(str(tmp_path / "y.arrow"))
    assert contents(listing) == {"00000001": b"image 1"}
    assert listing.skipped == {"rows without the bytes of an image": 2}


def test_folders_that_are_not_whole(tmp_path):
    root = saved(tmp_path / "d", [0, 1], [2])
    (root / "data-00001-of-00002.arrow").unlink()
    with pytest.raises(InputError, match=r"is missing \(1 of 2 files are\)"):
        list_images(str(root))
    for names in (["../x.arrow"], ["/etc/passwd"], [1], "x"):
        files = [{"filename": name} for name in names] if isinstance(names, list) else names
        (root / "state.json").write_text(json.dumps({"_data_files": files}))
        with pytest.raises(InputError):
            list_images(str(root))
    (root / "dataset_dict.json").write_text('{"splits": ["../d"]}')
    with pytest.raises(InputError):
        list_images(str(root))


def test_compressed_columns_are_refused_with_a_way_on(tmp_path):
    path = stream(tmp_path / "x.arrow", [0, 1], compression="zstd")
    with pytest.raises(InputError, match="are compressed") as caught:
        list_images(path)
    assert "to_parquet" in caught.value.hint


def test_without_pyarrow_the_hint_names_the_extra(tmp_path, monkeypatch):
    path = stream(tmp_path / "x.arrow", [0])
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(NotFoundError) as caught:
        list_images(path)
    assert "vitctl[parquet]" in caught.value.hint


def test_a_stream_that_was_cut_off_keeps_what_lies_before(tmp_path):
    path = tmp_path / "x.arrow"
    stream(path, [0, 1, 2, 0, 1, 2])
    path.write_bytes(path.read_bytes()[:-200])
    listing = list_images(str(path))
    assert len(listing.entries) == 4
    assert "is damaged at row 4" in listing.cautions[0]
    assert contents(listing)["00000003"] == b"image 3"
