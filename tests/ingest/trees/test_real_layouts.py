"""What people have on their disks, as Kaggle, Roboflow and makers of datasets write it: in few
files of the real names, and read as it is meant, or refused with what to do."""

from __future__ import annotations

import json

import pytest

from tests.ingest.labels.test_label_tables import labelled
from tests.ingest.trees.test_folder import make
from vitctl.errors import InputError
from vitctl.ingest.labels.label_file import read_labels
from vitctl.ingest.sources.formats import list_images


def text(root, **files):
    for name, content in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def csv(*rows):
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def listed(root, **options):
    return list_images(str(root), **options)


def test_plant_pathology_2020(tmp_path):
    """Images to train on and to predict lie in one folder; columns of 0 and 1."""
    make(tmp_path, *(f"images/T{kind}_{i}.jpg" for kind in ("rain", "est") for i in range(4)))
    header = ("image_id", "healthy", "multiple_diseases", "rust", "scab")
    rows = [(f"Train_{i}", *(int(i == j) for j in range(4))) for i in range(4)]
    forms = [(f"Test_{i}", *[0.25] * 4) for i in range(4)]
    (tmp_path / "train.csv").write_text(csv(header, *rows))
    (tmp_path / "test.csv").write_text(csv(["image_id"], *([f"Test_{i}"] for i in range(4))))
    (tmp_path / "sample_submission.csv").write_text(csv(header, *forms))
    assert labelled(listed(tmp_path)) == {
        f"images/Train_{i}.jpg": (header[1 + i],) for i in range(4)
    }


def test_cassava_and_aptos(tmp_path):
    for name, image, ending in (("cassava", "image_id", ".jpg"), ("aptos", "id_code", "")):
        root = tmp_path / name
        make(root, *(f"train_images/{i}77.jpg" for i in range(6)), "test_images/2216849948.jpg")
        make(root, "train_tfrecords/ld_train00-1338.tfrec")
        rows = [(f"{i}77{ending}", i % 3) for i in range(6)]
        (root / "train.csv").write_text(csv((image, "label"), *rows))
        (root / "label_num_to_disease_map.json").write_text('{"0": "Healthy"}')
        assert labelled(listed(root)) == {
            f"train_images/{i}77.jpg": (str(i % 3),) for i in range(6)
        }


def test_ham10000_whose_folders_are_parts(tmp_path):
    names = [f"ISIC_{24306 + i:07d}" for i in range(6)]
    make(tmp_path, *(f"HAM10000_images_part_{1 + i % 2}/{n}.jpg" for i, n in enumerate(names)))
    rows = [("lesion_id", "image_id", "dx", "dx_type", "age")]
    rows += [(f"HAM_{i}", n, ("bkl", "nv")[i // 3], "histo", 80) for i, n in enumerate(names)]
    (tmp_path / "HAM10000_metadata.csv").write_text(csv(*rows))
    pixels = [[f"pixel{i:04d}" for i in range(8)] + ["label"], *[[7] * 8 + [2]] * 6]
    (tmp_path / "hmnist_8_8_L.csv").write_text(csv(*pixels))
    assert listed(tmp_path).classes == ["bkl", "nv"]


def test_nih_chest_x_rays_whose_header_has_commas_without_quotes(tmp_path):
    names = [f"{i:08d}_000.png" for i in range(6)]
    make(tmp_path, *(f"images_{1 + i % 3:03d}/images/{n}" for i, n in enumerate(names)))
    (tmp_path / "Data_Entry_2017.csv").write_text(
        "Image Index,Finding Labels,OriginalImage[Width,Height],"
        "OriginalImagePixelSpacing[x,y],\n"
        + csv(*((n, "Hernia|Mass", 2682, 2749, 0.143, 0.143, "") for n in names))
    )
    assert set(labelled(listed(tmp_path)).values()) == {("Hernia", "Mass")}
    box = "Image Index,Finding Label,Bbox [x,y,w,h],,,\n00000001_000.png,Mass,2,5,8,7,,,\n"
    (tmp_path / "BBox_List_2017.csv").write_text(box)
    with pytest.raises(InputError, match="say different things of") as error:
        listed(tmp_path)
    assert error.value.hint.endswith("Data_Entry_2017.csv")


def test_celeba_whose_columns_are_minus_one_and_one(tmp_path):
    make(tmp_path, *(f"img_align_celeba/img_align_celeba/{i:06d}.jpg" for i in range(1, 5)))
    rows = [("image_id", "Smiling", "Young"), *((f"{i:06d}.jpg", 1, -1) for i in range(1, 5))]
    boxes = [("image_id", "x_1", "y_1", "width"), *((f"{i:06d}.jpg", 1, 2, 3) for i in range(1, 5))]
    (tmp_path / "list_attr_celeba.csv").write_text(csv(*rows))
    (tmp_path / "list_bbox_celeba.csv").write_text(csv(*boxes))
    inside = listed(tmp_path)  # boxes are no labels
    assert any(note.startswith("list_bbox_celeba.csv is not read") for note in inside.notes)
    listing = listed(tmp_path, labels=read_labels(tmp_path / "list_attr_celeba.csv"))
    assert labelled(listing) == labelled(inside)
    assert set(labelled(listing).values()) == {("Smiling",)}
    assert "2 columns of -1 and 1" in str(listing.reading)
    # -1, 0 and 1 are not present, absent and unknown until somebody says so.
    rows[1] = ("000001.jpg", 0, -1)
    (tmp_path / "list_attr_celeba.csv").write_text(csv(*rows))
    with pytest.raises(InputError, match="2 columns that could be labels"):
        listed(tmp_path, labels=read_labels(tmp_path / "list_attr_celeba.csv"))


def test_open_images_whose_rows_say_what_is_not_there(tmp_path):
    ids = [f"{i:016x}" for i in range(4)]
    make(tmp_path, *(f"train/{i}.jpg" for i in ids))
    header = ("ImageID", "Source", "LabelName", "Confidence")
    rows = [(i, "verification", f"/m/{j}", int(j != k % 3)) for k, i in enumerate(ids)
            for j in range(3)]  # fmt: skip
    file = tmp_path / "train-annotations-human-imagelabels.csv"
    file.write_text(csv(header, *rows))
    listing = listed(tmp_path)
    assert labelled(listing)["train/" + ids[1] + ".jpg"] == ("/m/0", "/m/2")
    assert listing.skipped[f"rows of {file.name} whose Confidence is 0"] == 4
    file.write_text(csv(header, *((*row[:3], 0.7) for row in rows)))
    with pytest.raises(InputError, match=r"how sure each is \('0\.7', for one\)"):
        listed(tmp_path)


def test_a_table_whose_row_is_too_long_says_which(tmp_path):
    make(tmp_path, "images/1163.jpg", "images/1164.jpg")
    (tmp_path / "styles.csv").write_text("id,articleType\n1163,Shirts\n1164,Shirts,Navy\n")
    assert any(
        "styles.csv is not read: row 2 of styles.csv has 3 cells" in text
        for text in listed(tmp_path).cautions
    )


def test_gtsrb_whose_pictograms_have_a_table_of_their_own(tmp_path):
    make(tmp_path, *(f"Train/{i}/{i:05d}_00000.png" for i in range(2)))
    make(tmp_path, *(f"Test/{i:05d}.png" for i in range(2)), *(f"Meta/{i}.png" for i in range(2)))
    header = ("Width", "Height", "ClassId", "Path")
    train = [(27, 26, i, f"Train/{i}/{i:05d}_00000.png") for i in range(2)]
    test = [(27, 26, 1 - i, f"Test/{i:05d}.png") for i in range(2)]
    meta = [("Path", "ClassId", "ShapeId"), *((f"Meta/{i}.png", i, 1) for i in range(2))]
    (tmp_path / "Train.csv").write_text(csv(header, *train))
    (tmp_path / "Test.csv").write_text(csv(header, *test))
    (tmp_path / "Meta.csv").write_text(csv(*meta))
    with pytest.raises(InputError, match="in two ways: Test, Train as splits"):
        listed(tmp_path)
    listing = listed(tmp_path, exclude=["Meta"], label_column="ClassId")
    assert {entry.id: entry.split for entry in listing.entries} == {
        **{row[-1]: "train" for row in train},
        **{row[-1]: "test" for row in test},
    }
    # Meta/0.png is not Test/00000.png.
    assert labelled(listing) == {row[-1]: (str(row[2]),) for row in (*train, *test)}


ROBOFLOW = ("README.dataset.txt", "README.roboflow.txt")


def test_roboflows_folders_and_multi_label(tmp_path):
    image = "{}_jpg.rf.0123456789abcdef0123456789abcdef.jpg"
    for split in ("train", "valid", "test"):
        make(tmp_path / "folder", *(f"{split}/{c}/{image.format(c)}" for c in ("daisy", "rose")))
        make(tmp_path / "multi", *(f"{split}/{image.format(i)}" for i in range(2)))
        rows = [(image.format(i), f" {i}", " 1") for i in range(2)]
        header = ("filename", " cat", " dog")
        (tmp_path / "multi" / split / "_classes.csv").write_text(csv(header, *rows))
    for kind in ("folder", "multi"):
        text(tmp_path / kind, **dict.fromkeys(ROBOFLOW, "x"))
        listing = listed(tmp_path / kind)
        assert {entry.split for entry in listing.entries} == {"train", "val", "test"}
    assert listing.classes == ["cat", "dog"]
    assert labelled(listing)[f"train/{image.format(1)}"] == ("cat", "dog")
    assert listed(tmp_path / "folder").classes == ["daisy", "rose"]


def test_roboflows_coco_and_yolo(tmp_path):
    for split in ("train", "valid"):
        make(tmp_path / "coco", f"{split}/0.jpg", f"{split}/1.jpg")
        names = enumerate(["pets", "cat", "dog"])
        objects = [{"id": i, "image_id": i, "category_id": 1 + i} for i in range(2)]
        content = {
            "categories": [{"id": i, "name": name, "supercategory": "x"} for i, name in names],
            "images": [{"id": i, "file_name": f"{i}.jpg"} for i in range(2)],
            "annotations": objects,
        }
        (tmp_path / "coco" / split / "_annotations.coco.json").write_text(json.dumps(content))
        make(tmp_path / "yolo", f"{split}/images/{split}.jpg")
        text(tmp_path / "yolo", **{f"{split}__labels__{split}.txt": "1 0.5 0.5 0.1 0.1\n"})
    text(tmp_path / "yolo", **{"data.yaml": "nc: 2\nnames: ['cat', 'dog']\n"})
    text(tmp_path / "coco", **dict.fromkeys(ROBOFLOW, "x"))
    assert labelled(listed(tmp_path / "coco"))["valid/1.jpg"] == ("dog",)
    assert labelled(listed(tmp_path / "yolo"))["valid/images/valid.jpg"] == ("dog",)


@pytest.mark.parametrize(
    ("paths", "what", "hint"),
    [
        # Intel's scenes: each folder holds one of its own name.
        (
            [f"seg_{s}/seg_{s}/{c}/1.jpg" for s in ("train", "test") for c in ("sea", "forest")]
            + ["seg_pred/seg_pred/1.jpg"],
            "are called as splits",
            "intel/seg_train;",
        ),
        # Dogs vs. cats, unpacked, without its form.
        (["train/cat.0.jpg", "train/dog.0.jpg", "test1/1.jpg"], "are called as splits", "--labels"),
        # Stanford's dogs, whose annotations have no ending.
        (
            ["Images/n1-pug/1.jpg", "Images/n2-collie/2.jpg", "Annotation/n1-pug/1"],
            "are called as what is in them",
            "intel/Images;",
        ),
    ],
)
def test_folders_that_are_no_classes_are_refused(tmp_path, paths, what, hint):
    root = tmp_path / "intel"
    make(root, *paths)
    with pytest.raises(InputError, match=what) as error:
        listed(root)
    assert hint in error.value.hint
    tops = {path.partition("/")[0] for path in paths}
    assert set(listed(root, layout="classes").classes) == tops


@pytest.mark.parametrize("names", [("bullet_train", "test_tube", "cat"), ("photo", "sketch")])
def test_classes_with_such_words_in_their_names_are_classes(tmp_path, names):
    make(tmp_path, *(f"{name}/1.jpg" for name in (*names, "dog", "horse")))
    assert set(listed(tmp_path).classes) == {*names, "dog", "horse"}
