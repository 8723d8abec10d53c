"""Annotations of objects in the shapes of COCO 2017, VOC 2012, ultralytics and Roboflow."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ingest.labels.test_label_tables import labelled, splits
from tests.ingest.trees.test_folder import make
from vitctl.errors import InputError
from vitctl.ingest.labels.annotations import NoAnnotationsError, coco_cells, voc_cells
from vitctl.ingest.labels.label_file import read_labels
from vitctl.ingest.sources.formats import list_images
from vitctl.ingest.trees.folder import list_folder
from vitctl.text import strict_json

NAMES = {1: "person", 18: "dog", 90: "toothbrush"}


def coco(path, images, *, first=1):
    """`images`: name -> numbers of categories."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = {name: first + i for i, name in enumerate(images)}
    annotations = [
        {"id": 7, "image_id": ids[name], "category_id": c, "bbox": [0, 1.5, 2, 3], "iscrowd": 0,
         "segmentation": [[0.5, 1, 2, 3]]}
        for name, numbers in images.items() for c in numbers
    ]  # fmt: skip
    content = {
        "info": {"year": 2017, "url": "http://x/[{"},
        "licenses": [{"id": 1}],
        "images": [{"id": i, "file_name": name, "height": 9} for name, i in ids.items()],
        "annotations": annotations,
        "categories": [{"id": i, "name": n, "supercategory": "x"} for i, n in NAMES.items()],
    }
    path.write_text(json.dumps(content))
    return path


def test_coco(tmp_path):
    names = {"train": ["000009.jpg", "000025.jpg"], "val": ["000139.jpg", "000285.jpg"]}
    for split, files in names.items():
        make(tmp_path, *(f"{split}2017/{name}" for name in files))
        coco(
            tmp_path / "annotations" / f"instances_{split}2017.json",
            {files[0]: [18, 1, 18], files[1]: []},
        )
        other = tmp_path / "annotations" / f"person_keypoints_{split}2017.json"
        coco(other, {files[0]: [1], files[1]: []})
    listing = list_folder(tmp_path)
    assert labelled(listing) == {
        "train2017/000009.jpg": ("dog", "person"),
        "train2017/000025.jpg": (),
        "val2017/000139.jpg": ("dog", "person"),
        "val2017/000285.jpg": (),
    }
    assert set(splits(listing).values()) == {"train", "val"}
    assert listing.multi_label
    assert "COCO annotations" in listing.reading
    file = tmp_path / "annotations" / "instances_val2017.json"
    assert len(list_folder(tmp_path / "val2017", labels=read_labels(file)).entries) == 2


def test_coco_in_the_zips_that_it_is_given_out_in(tmp_path):
    """A zip of each folder; nothing is unpacked, and annotations are read as a stream."""
    for split in ("train", "val"):
        with zipfile.ZipFile(tmp_path / f"{split}2017.zip", "w") as archive:
            archive.writestr(f"{split}2017/{split}.jpg", "x")
    annotations = tmp_path / "annotations_trainval2017.zip"
    with zipfile.ZipFile(annotations, "w", zipfile.ZIP_DEFLATED) as archive:
        for split in ("train", "val"):
            path = coco(tmp_path / "x.json", {f"{split}.jpg": [18]})
            archive.write(path, f"annotations/instances_{split}2017.json")
    listing = list_images(str(tmp_path / "{train2017,val2017,annotations_trainval2017}.zip"))
    assert splits(listing) == {"train2017/train.jpg": "train", "val2017/val.jpg": "val"}
    assert set(labelled(listing).values()) == {("dog",)}
    data = bytearray(annotations.read_bytes())
    data[80:120] = bytes(40)
    annotations.write_bytes(data)
    damaged = list_images(str(tmp_path / "{train2017,val2017,annotations_trainval2017}.zip"))
    assert set(labelled(damaged)) == {"val2017/val.jpg"}
    assert "instances_train2017.json is not read: it is damaged in the archive" in damaged.notes[0]


def test_roboflows_coco(tmp_path):
    for split in ("train", "valid"):
        make(tmp_path, f"{split}/a.jpg", f"{split}/b.jpg")
        coco(tmp_path / split / "_annotations.coco.json", {"a.jpg": [1], "b.jpg": [90, 1]})
    listing = list_folder(tmp_path)
    assert labelled(listing)["valid/b.jpg"] == ("toothbrush", "person")
    assert set(splits(listing).values()) == {"train", "val"}


def test_what_is_wrong_in_coco_is_counted(tmp_path):
    path = coco(tmp_path / "x.json", {"a.jpg": [1, 5], "b.jpg": []})
    with path.open("rb") as file:
        cells = coco_cells(file, label="x")
    assert cells.columns["labels"] == [("person",), ()]
    assert cells.remarks == ("1 annotation of no category left out",)
    for text in ("", "[]", "{}", '{"images": [1]}', '{"images": [{"id": 1}]}', '{"images": [{"id"'):
        with pytest.raises(NoAnnotationsError):
            coco_cells(io.BytesIO(text.encode()), label="x")
    path.write_text('{"captions": []}')
    with pytest.raises(InputError, match="holds no images, annotations and categories"):
        read_labels(path)


def voc(*objects, filename="1.jpg"):
    """`objects`: (name, whether it is difficult)."""
    parts = "".join(
        f"<object><name>{name}</name><part><name>head</name></part><difficult>{hard:d}</difficult>"
        "<bndbox><xmin>1</xmin></bndbox></object>"
        for name, hard in objects
    )
    head = f"<folder>VOC2012</folder><filename>{filename}</filename>"
    return f"<annotation>\n {head}{parts}</annotation>"


@pytest.fixture
def voc2012(tmp_path):
    root = tmp_path / "VOCdevkit" / "VOC2012"
    objects = {"1": [("dog", 0), ("cat", 0), ("dog", 0)], "2": [("cat", 1)], "3": [("cat", 0)],
               "4": [("dog", 0)]}  # fmt: skip
    make(root, *(f"JPEGImages/{i}.jpg" for i in objects), "SegmentationClass/1.png")
    (root / "Annotations").mkdir()
    for i, own in objects.items():
        (root / "Annotations" / f"{i}.xml").write_text(voc(*own, filename=f"{i}.jpg"))
    (root / "ImageSets" / "Main").mkdir(parents=True)
    lists = {"train": "1\n2\n", "val": "3\n", "trainval": "1\n2\n3\n", "cat_train": "1  1\n2  0\n"}
    for name, text in lists.items():
        (root / "ImageSets" / "Main" / f"{name}.txt").write_text(text)
    return root


def test_voc(voc2012, tmp_path):
    listing = list_folder(voc2012)
    expected = {"1": ("dog", "cat"), "2": (), "3": ("cat",)}
    assert labelled(listing) == {f"JPEGImages/{i}.jpg": own for i, own in expected.items()}
    assert list(splits(listing).values()) == ["train", "train", "val"]
    assert listing.multi_label
    notes = " ".join(listing.notes)
    assert "left out, as marked as difficult: 1 object" in notes
    assert "left out, as in no list of ImageSets/Main: 1 image" in notes
    with tarfile.open(tmp_path / "voc.tar", "w") as archive:
        archive.add(voc2012.parent, "VOCdevkit")
    packed = list_images(str(tmp_path / "voc.tar"))
    assert sorted(labelled(packed).values()) == sorted(labelled(listing).values())
    table = read_labels(voc2012 / "Annotations")
    assert len(list_folder(voc2012 / "JPEGImages", labels=table).entries) == 4


def test_xml_is_read_without_entities(tmp_path):
    bomb = '<!DOCTYPE a [<!ENTITY b "cccc"><!ENTITY d "&b;&b;">]>' + voc(("&d;", 0))
    deep = "<annotation>" + "<object>" * 1000
    good = voc(("dog", 0))
    pages = {"a.xml": bomb, "b.xml": deep, "c.xml": "<x/>"}
    pages |= dict.fromkeys(("1.xml", "2.xml", "3.xml", "4.xml"), good)
    cells = voc_cells(list(pages), (), lambda path: io.BytesIO(pages[path].encode()))
    assert cells.columns["labels"] == [("dog",)] * 4
    assert cells.remarks == ("left out, as no annotations: 3 XML files",)
    with pytest.raises(NoAnnotationsError):
        voc_cells(["a.xml"], (), lambda path: io.BytesIO(pages[path].encode()))


@pytest.mark.parametrize(
    ("yaml", "names"),
    [
        ("train: x\nnc: 3\nnames: ['a', \"b c\", d]\n", ("a", "d")),
        ("names:\n  0: a\n  1: b c\n  2: d\nnc: 3\n", ("a", "d")),
        ("names:\n- a\n- 'b c'\n- d\nnc: 3\n", ("a", "d")),
        (None, ("0", "2")),
    ],
)
def test_yolo(tmp_path, yaml, names):
    """ultralytics' images/train/ and labels/train/; Roboflow's train/images/ and train/labels/."""
    for name in ("images/train/1.jpg", "images/val/1.jpg", "images/val/2.jpg"):
        make(tmp_path, name)
        label = (tmp_path / name.replace("images", "labels")).with_suffix(".txt")
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text(
            "" if name.endswith("2.jpg") else "0 .5 .5 1 1\n2 .5 .5 1 1\n0 .1 .1 1 1\n"
        )
    if yaml is not None:
        (tmp_path / "data.yaml").write_text(yaml)
    listing = list_folder(tmp_path)
    assert labelled(listing) == {
        "images/train/1.jpg": names,
        "images/val/1.jpg": names,
        "images/val/2.jpg": (),
    }
    assert listing.multi_label


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcd"), st.lists(_VALUES, max_size=3) | _VALUES), st.booleans()
)
def test_a_stream_of_elements_is_what_the_whole_text_holds(value, indented):
    text = json.dumps(value, indent=1 if indented else None).encode()
    expected = [
        (name, item) for name in value if name in "ab" and isinstance(value[name], list)
        for item in value[name]
    ]  # fmt: skip

    class Slow(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 3))

    assert list(strict_json.elements(Slow(text), lists=("a", "b"))) == expected


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 0.999), st.binary(min_size=1, max_size=3)), max_size=4),
    st.floats(0, 0.3), st.sampled_from(["json", "xml"]),
)  # fmt: skip
def test_any_damage_is_cells_or_a_clause(tmp_path_factory, changes, cut, kind):
    if kind == "json":
        path = coco(tmp_path_factory.mktemp("c") / "x.json", {"a.jpg": [1, 18], "b.jpg": [90]})
        data = bytearray(path.read_bytes())
    else:
        data = bytearray(voc(("dog", 0), ("cat", 1)).encode())
    for share, piece in changes:
        at = int(share * len(data))
        data[at : at + len(piece)] = piece
    data = data[: len(data) - int(cut * len(data))]
    try:
        if kind == "json":
            coco_cells(io.BytesIO(data), label="x")
        else:
            voc_cells(["x.xml"], (), lambda path: io.BytesIO(data))
    except NoAnnotationsError as error:
        assert "\n" not in str(error)  # noqa: PT017 - any outcome is right but a traceback
