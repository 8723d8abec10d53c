"""Tables of labels among images or beside them, in the shapes that Kaggle, Roboflow and Hugging
Face `datasets` give them."""

from __future__ import annotations

import csv
import io
import json
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ingest.trees.test_folder import make
from vitctl.errors import InputError, UsageError, VitctlError
from vitctl.ingest.labels.label_file import read_labels
from vitctl.ingest.sources.formats import list_images
from vitctl.ingest.trees.folder import list_folder


def table(path, header, *rows, encoding="utf-8", separator=",", end="\n"):
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, lineterminator=end)
    writer.writerows([header, *rows])
    path.write_bytes(out.getvalue().encode(encoding))
    return path


def json_lines(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def labelled(listing):
    return {entry.id: listing.class_names(entry) for entry in listing.entries}


def splits(listing):
    return {entry.id: entry.split for entry in listing.entries}


def test_kaggles_dog_breeds(tmp_path):
    """labels.csv of ids without endings; images to predict; a form for predictions."""
    make(tmp_path, *(f"train/{i:03x}.jpg" for i in range(20)), *(f"test/{i}.jpg" for i in range(9)))
    ids = [f"{i:03x}" for i in range(20)]
    table(tmp_path / "labels.csv", ["id", "breed"], *zip(ids, ["beagle", "pug"] * 10, strict=True))
    table(
        tmp_path / "sample_submission.csv", ["id", "beagle", "pug"], *([i, 0.5, 0.5] for i in "123")
    )
    listing = list_folder(tmp_path)
    assert labelled(listing) == {
        f"train/{i}.jpg": (("beagle", "pug")[n % 2],) for n, i in enumerate(ids)
    }
    assert set(splits(listing).values()) == {None}
    assert not listing.several_labels
    assert "labels.csv (images in id (names of files without endings), labels in breed)" in (
        listing.reading
    )
    assert any("sample_submission.csv is not read" in note for note in listing.notes)
    assert listing.skipped["images without a row in the table"] == 9
    assert listing.skipped[".csv files"] == 1
    (tmp_path / "labels.csv").unlink()
    (tmp_path / "sample_submission.csv").unlink()
    with pytest.raises(UsageError, match="flat has no classes"):
        list_folder(tmp_path, layout="flat")


def test_label_studios_export(tmp_path):
    """Columns about the annotation around `choice`; images as the server stored them."""
    images = [f"{i:08x}-photo {i}.jpg" for i in range(4)]
    make(tmp_path, *(f"upload/{name}" for name in images))
    rows = [
        [i, 1, ("dog", "cat")[i % 2], "2026-11-01T10:00:00Z", i, f"/data/upload/1/{name}", 3.2]
        for i, name in enumerate(images)
    ]
    header = ["annotation_id", "annotator", "choice", "created_at", "id", "image", "lead_time"]
    labels = read_labels(table(tmp_path / "export.csv", header, *rows))
    listing = list_folder(tmp_path / "upload", labels=labels)
    assert labelled(listing) == {name: (("dog", "cat")[i % 2],) for i, name in enumerate(images)}


def test_a_name_in_train_and_in_test_is_the_one_of_the_table(tmp_path):
    """Kaggle's train.csv and test.csv where images of both are numbered from 1."""
    make(tmp_path, *(f"{split}_images/{i}.png" for split in ("train", "test") for i in range(1, 5)))
    table(tmp_path / "train.csv", ["image_id", "label"], *([i, i % 2] for i in range(1, 5)))
    table(tmp_path / "test.csv", ["image_id"], *([i] for i in range(1, 5)))
    listing = list_folder(tmp_path)
    assert labelled(listing) == {f"train_images/{i}.png": (str(i % 2),) for i in range(1, 5)}
    assert any(note.startswith("test.csv is not read") for note in listing.notes)


def test_several_labels_in_a_cell_as_planets_tags(tmp_path):
    make(tmp_path, *(f"train-jpg/train_{i}.jpg" for i in range(6)), "test-jpg/test_0.jpg")
    tags = ["clear", "clear water", "haze", "haze water", "clear road water", "haze road"]
    table(
        tmp_path / "train_v2.csv",
        ["image_name", "tags"],
        *((f"train_{i}", t) for i, t in enumerate(tags)),
    )
    listing = list_folder(tmp_path)
    assert labelled(listing)["train-jpg/train_4.jpg"] == ("clear", "road", "water")
    assert listing.multi_label
    assert "several separated by spaces" in listing.reading
    one = list_images(str(tmp_path), label_separator="|")
    assert labelled(one)["train-jpg/train_4.jpg"] == ("clear road water",)


def test_several_labels_need_a_flag_where_the_column_names_one(tmp_path):
    """The Human Protein Atlas has `Target` of `5 0`; a space in a name of a dog is none."""
    make(tmp_path, *(f"images/{i}.png" for i in range(4)))
    targets = ["0", "5 0", "5", "0 5"]
    table(tmp_path / "train.csv", ["Id", "Target"], *enumerate(targets))
    assert labelled(list_folder(tmp_path))["images/1.png"] == ("5 0",)
    assert any("--label-separator ' '" in note for note in list_folder(tmp_path).notes)
    listing = list_images(str(tmp_path), label_separator=" ")
    assert labelled(listing)["images/1.png"] == ("5", "0")
    table(tmp_path / "train.csv", ["Id", "labels"], *enumerate(["golden dog", "black cat"] * 2))
    assert labelled(list_folder(tmp_path))["images/1.png"] == ("black cat",)


def test_roboflows_columns_of_classes(tmp_path):
    """Each split has a `_classes.csv` with a space behind its commas."""
    for split in ("train", "valid", "test"):
        make(tmp_path, f"{split}/a_jpg.rf.0.jpg", f"{split}/b_jpg.rf.1.jpg")
        text = "filename, Cat, Dog\na_jpg.rf.0.jpg, 1, 1\nb_jpg.rf.1.jpg, 0, 0\n"
        (tmp_path / split / "_classes.csv").write_text(text)
    (tmp_path / "README.roboflow.txt").write_text("x")
    listing = list_folder(tmp_path)
    assert labelled(listing) == {
        f"{split}/{name}": labels
        for split in ("train", "valid", "test")
        for name, labels in (("a_jpg.rf.0.jpg", ("Cat", "Dog")), ("b_jpg.rf.1.jpg", ()))
    }
    assert set(splits(listing).values()) == {"train", "val", "test"}
    assert listing.multi_label
    assert ".csv files" not in listing.skipped


def test_boxes_are_labels_of_their_image(tmp_path):
    make(tmp_path, "train/a.jpg", "train/b.jpg")
    header = ["filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax"]
    rows = [["a.jpg", 9, 9, "cat", 0, 0, 1, 1], ["a.jpg", 9, 9, "dog", 0, 0, 1, 1]]
    rows += [["b.jpg", 9, 9, "dog", 0, 0, 1, 1]]
    table(tmp_path / "train" / "_annotations.csv", header, *rows)
    assert labelled(list_folder(tmp_path)) == {
        "train/a.jpg": ("cat", "dog"),
        "train/b.jpg": ("dog",),
    }


@pytest.mark.parametrize("several", [False, True])
def test_hugging_faces_imagefolder(tmp_path, several):
    for split in ("train", "test"):
        make(tmp_path, f"{split}/0001.png", f"{split}/0002.png")
        rows = [{"file_name": f"000{i}.png", "label": i, "boxes": [{"x": 1}]} for i in (1, 2)]
        if several:
            rows = [{"file_name": f"000{i}.png", "labels": ["a", "b"][:i]} for i in (1, 2)]
        json_lines(tmp_path / split / "metadata.jsonl", *rows)
    listing = list_folder(tmp_path)
    assert labelled(listing)["test/0002.png"] == (("a", "b") if several else ("2",))
    assert set(splits(listing).values()) == {"train", "test"}
    assert listing.multi_label == several


def test_splits_in_a_column_or_in_names_of_tables(tmp_path):
    root = make(tmp_path / "a", *(f"images/{i}.jpg" for i in range(3)))
    rows = [(f"images/{i}.jpg", "xy"[i % 2], s) for i, s in enumerate(["train", "valid", "test"])]
    table(root / "labels.csv", ["path", "label", "split"], *rows)
    listing = list_folder(root)
    assert list(splits(listing).values()) == ["train", "val", "test"]
    assert "splits in split" in listing.reading
    assert set(splits(list_folder(root, layout="flat")).values()) == {None}
    root = make(tmp_path / "b", *(f"images/{i}.jpg" for i in range(4)))
    for i, name in enumerate(["train.csv", "val.csv"]):
        table(root / name, ["image", "label"], (f"{i}.jpg", "a"), (f"{i + 2}.jpg", "b"))
    assert list(splits(list_folder(root)).values()) == ["train", "val", "train", "val"]


@pytest.mark.parametrize(
    ("options", "remark"),
    [
        ({"encoding": "utf-8-sig", "end": "\r\n"}, "a byte-order mark was left out"),
        ({"encoding": "utf-16"}, "UTF-16"),
        ({"separator": ";"}, "semicolons"),
        ({"separator": "\t"}, "tabs"),
    ],
)
def test_what_spreadsheets_write(tmp_path, options, remark):
    make(tmp_path, "images/0001.jpg", "images/0002.jpg")
    table(tmp_path / "l.csv", ["id", "name"], ("0001", "1,5"), ("0002", "2,25"), **options)
    listing = list_folder(tmp_path)
    assert labelled(listing) == {"images/0001.jpg": ("1,5",), "images/0002.jpg": ("2,25",)}
    assert any(remark in note for note in listing.notes)


def test_leading_zeros_that_a_spreadsheet_lost(tmp_path):
    make(tmp_path, *(f"images/{i:05d}.jpg" for i in (1, 2, 10)))
    table(tmp_path / "l.csv", ["id", "label"], (1, "a"), (2, "b"), (10, "a"))
    listing = list_folder(tmp_path)
    assert labelled(listing)["images/00010.jpg"] == ("a",)
    assert "whose leading zeros the table has lost" in listing.reading


def test_numbers_to_which_pandas_added_decimals(tmp_path):
    make(tmp_path, *(f"images/{i:03d}.jpg" for i in (1, 2, 10)))
    table(tmp_path / "l.csv", ["id", "label"], ("1.0", "a"), ("2.0", "b"), ("10.0", "a"))
    listing = list_folder(tmp_path)
    assert labelled(listing) == {
        f"images/{i}.jpg": (c,) for i, c in zip(("001", "002", "010"), "aba", strict=True)
    }
    assert "added decimals" in listing.reading


def test_names_in_another_case_are_found_where_nothing_else_is(tmp_path):
    make(tmp_path, "images/IMG_1.JPG", "images/img_2.jpg", "images/Img_2.JPG", "images/b.jpg")
    rows = [("img_1.jpg", "a"), ("IMG_2.jpg", "b"), ("B.JPG", "b")]
    table(tmp_path / "l.csv", ["file", "label"], *rows)
    listing = list_folder(tmp_path)
    assert labelled(listing) == {"images/IMG_1.JPG": ("a",), "images/b.jpg": ("b",)}
    assert "names of files in another case" in listing.reading
    exact = [("img_1.jpg", "a"), ("img_2.jpg", "b"), ("b.jpg", "a")]
    table(tmp_path / "l.csv", ["file", "label"], *exact)
    assert labelled(list_folder(tmp_path)) == {"images/img_2.jpg": ("b",), "images/b.jpg": ("a",)}


@pytest.mark.parametrize(
    "root",
    [
        r"C:\Users\me\photos",
        r"\\nas\share\photos",
        "/home/me/my photos",
        "file:///C:/photos",
        "data/photos",
        "..",
    ],
)
@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".txt"])
def test_paths_of_another_machine(tmp_path, root, ending):
    """The table was made where the images lay elsewhere: the end of each path is what counts, also
    where the names of files alone are not unique."""
    slash = "\\" if "\\" in root else "/"
    images = [f"{c}/{i}.jpg" for c in ("x", "y") for i in range(4)]
    make(tmp_path / "photos", *images)
    rows = [(f"{root}/{path}".replace("/", slash), "ab"[i % 2]) for i, path in enumerate(images)]
    file = tmp_path / f"labels{ending}"
    if ending == ".csv":
        table(file, ["path", "label"], *rows)
    elif ending == ".jsonl":
        json_lines(file, *({"path": path, "label": label} for path, label in rows))
    else:
        file.write_text("".join(f"{path} {label}\r\n" for path, label in rows))
    listing = list_folder(tmp_path / "photos", labels=read_labels(file))
    assert labelled(listing) == {path: ("ab"[i % 2],) for i, path in enumerate(images)}
    assert "the ends of longer paths" in listing.reading


def test_lists_of_a_path_and_labels(tmp_path):
    make(tmp_path / "photos", "a/1.jpg", "a/my cat.JPEG", "2.png")
    file = tmp_path / "train.txt"
    file.write_text("a/1.jpg 0\na/my cat.JPEG 10\n\n2.png   0 \n")
    listing = list_folder(tmp_path / "photos", labels=read_labels(file))
    assert labelled(listing) == {"a/1.jpg": ("0",), "a/my cat.JPEG": ("10",), "2.png": ("0",)}
    assert not listing.several_labels
    file.write_text("a/1.jpg 0 3\na/my cat.JPEG 10\n2.png 3 0\n")
    listing = list_folder(tmp_path / "photos", labels=read_labels(file))
    assert set(labelled(listing)["2.png"]) == {"0", "3"}
    assert listing.several_labels
    file.write_text("a/1.jpg golden retriever\na/my cat.JPEG pug\n2.png pug\n")
    listing = list_folder(tmp_path / "photos", labels=read_labels(file))
    assert labelled(listing)["a/1.jpg"] == ("golden retriever",)
    assert not listing.several_labels
    file.write_text("a/1.jpg 0 1\na/my cat.JPEG 1 0\n2.png 1 1\n")
    with pytest.raises(InputError, match="2 columns of 0 and 1, but no names") as refused:
        read_labels(file)
    assert "image,cat,dog" in refused.value.hint


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("1.png 10 20 30 40\n2.png 11 21 31 41\n", "has 4 numbers after each path"),
        ("1.png 1 -1\n2.png -1 1\n", "has 2 columns of -1 and 1, but no names"),
        ("1.png 0.5 7\n2.png 3\n", "numbers that are no classes after each path"),
        ("1.png 2.png 1\n2.png 1.png 0\n", "names several images on a line"),
    ],
)
def test_lists_of_boxes_scores_and_pairs_are_no_labels(tmp_path, lines, sentence):
    file = tmp_path / "list.txt"
    file.write_text(lines)
    with pytest.raises(InputError, match=sentence):
        read_labels(file)


@pytest.mark.parametrize("own", [True, False])
def test_a_table_of_two_folders_of_the_same_names_means_the_one_of_the_source_s_name(tmp_path, own):
    """Rows of `test/` are no second labels of the images in `train/`."""
    images = [f"{name}/{i}.png" for name in ("cat", "dog") for i in range(3)]
    folder = tmp_path / ("train" if own else "photos")
    make(folder, *images)
    rows = [
        (f"d/{split}/{path}", path[:3], split) for split in ("train", "test") for path in images
    ]
    rows = rows[:-2]  # fewer for testing
    file = table(tmp_path / "meta.csv", ["path", "label", "split"], *rows)
    if not own:
        with pytest.raises(InputError):
            list_folder(folder, labels=read_labels(file))
        return
    listing = list_folder(folder, labels=read_labels(file))
    assert labelled(listing) == {path: (path[:3],) for path in images}
    assert not any("repeat another" in kind for kind in listing.skipped)


def test_rows_that_do_not_fit_are_counted(tmp_path):
    make(tmp_path, *(f"images/{i}.jpg" for i in range(8)))
    rows = [(f"{i}.jpg", "ab"[i % 2]) for i in range(5)]
    rows += [("gone.jpg", "a"), ("0.jpg", "a"), ("1.jpg", "a"), ("5.jpg", "")]
    file = table(tmp_path / "l.csv", ["file", "label"], *rows)
    listing = list_folder(tmp_path)
    assert labelled(listing) == {f"images/{i}.jpg": ("ab"[i % 2],) for i in (0, 2, 3, 4)}
    assert listing.skipped["rows in l.csv that repeat another"] == 1
    assert listing.skipped["rows without a label in l.csv"] == 1
    assert listing.skipped["images without a row in the table"] == 4
    cautions = " ".join(listing.cautions)
    assert "1 of the 9 rows in l.csv name images that are not in" in cautions
    assert "left out, as rows in l.csv contradict each other: 1 image (images/1.jpg" in cautions
    assert labelled(list_folder(tmp_path, labels=read_labels(file))) == labelled(listing)


@pytest.mark.parametrize("name", ["labels.csv", "labels.tsv", "labels.jsonl"])
@pytest.mark.parametrize("inside", [True, False])
def test_a_row_for_each_label(tmp_path, name, inside):
    """As datasets of attributes and of retrieval have them: 1.jpg,red and 1.jpg,round."""
    folder = tmp_path / "photos"
    make(folder, *(f"images/{i}.jpg" for i in range(5)))
    rows = [(f"{i}.jpg", label) for i in range(4) for label in ("red", "round")[: 1 + (i > 0)]]
    rows += [("1.jpg", "red"), ("4.jpg", "blue")]
    place = (folder if inside else tmp_path) / name
    if name.endswith("jsonl"):
        lines = (json.dumps({"file": file, "label": label}) for file, label in rows)
        place.write_text("\n".join(lines))
    else:
        table(place, ["file", "label"], *rows, separator="\t" if name.endswith("tsv") else ",")
    listing = list_folder(folder, **({} if inside else {"labels": read_labels(place)}))
    expected = {f"images/{i}.jpg": ("red", "round")[: 1 + (i > 0)] for i in range(4)}
    assert {key: tuple(sorted(value)) for key, value in labelled(listing).items()} == {
        **expected,
        "images/4.jpg": ("blue",),
    }
    assert listing.multi_label
    assert "a row for each label" in listing.reading
    assert any("3 of 5 images have several rows with different labels" in n for n in listing.notes)
    assert any("repeat another" in kind for kind in listing.skipped)


def test_a_few_images_of_several_rows_are_contradictions_unless_a_user_says_otherwise(tmp_path):
    make(tmp_path, *(f"images/{i}.jpg" for i in range(6)))
    rows = [(f"{i}.jpg", "ab"[i % 2]) for i in range(6)]
    file = table(tmp_path / "l.csv", ["file", "label"], *rows, ("0.jpg", "b"))
    listing = list_folder(tmp_path)
    assert not listing.multi_label
    assert "images/0.jpg" not in labelled(listing)
    assert any("--multi-label" in text for text in listing.cautions)
    several = list_images(str(tmp_path), multi_label=True)
    assert labelled(several)["images/0.jpg"] == ("a", "b")
    assert len(several.entries) == 6
    assert several.multi_label
    assert several.fingerprint != listing.fingerprint
    again = list_folder(tmp_path, labels=read_labels(file, rows_are_labels=True))
    assert labelled(again) == labelled(several)
    table(tmp_path / "l.csv", ["file", "label"], *rows)
    with pytest.raises(UsageError, match="--multi-label: no image has several rows"):
        list_images(str(tmp_path), multi_label=True)


def test_without_a_header(tmp_path):
    make(tmp_path, "images/a.jpg", "images/b.jpg")
    table(tmp_path / "l.csv", ["images/a.jpg", "x"], ("images/b.jpg", "y"))
    assert labelled(list_folder(tmp_path)) == {"images/a.jpg": ("x",), "images/b.jpg": ("y",)}


def test_columns_that_leave_it_open(tmp_path):
    make(tmp_path, *(f"images/{i}.jpg" for i in range(4)))
    file = tmp_path / "l.csv"
    table(file, ["id", "colour", "size"], *((i, "rb"[i % 2], i % 3) for i in range(4)))
    with pytest.raises(InputError, match="2 columns that could be labels: colour, size"):
        list_folder(tmp_path)
    assert list_images(str(tmp_path), label_column="colour").classes == ["b", "r"]
    with pytest.raises(UsageError, match="has no column x"):
        list_folder(tmp_path, labels=read_labels(file, label_column="x"))
    for option in ("image_column", "label_column"):
        with pytest.raises(UsageError, match=r"no table in .* has a column nope") as caught:
            list_images(str(tmp_path), **{option: "nope"})
        assert "colour" in caught.value.hint
    table(file, ["id", "text"], *((i, f"caption {i}") for i in range(4)))
    with pytest.raises(InputError, match="4 different values in 4 rows"):
        list_folder(tmp_path)
    table(file, ["id", "age", "x", "y"], *((i, 7, i % 2, 1) for i in range(4)))
    listing = list_images(str(tmp_path), label_column="x,y")
    assert labelled(listing)["images/1.jpg"] == ("x", "y")
    with pytest.raises(UsageError, match="are not columns of 0 and 1"):
        list_images(str(tmp_path), label_column="x,age")


def test_folders_of_classes_stay_what_they_are(tmp_path):
    """A table beside them changes no dataset; what it says otherwise is said."""
    make(tmp_path, *(f"{name}/{i}.jpg" for name in ("cat", "dog") for i in range(3)))
    before = list_folder(tmp_path)
    rows = [(f"{name}/{i}.jpg", name) for name in ("cat", "dog") for i in range(3)]
    table(tmp_path / "l.csv", ["path", "label"], *rows)
    same = list_folder(tmp_path)
    assert (same.fingerprint, same.cautions) == (before.fingerprint, ())
    table(tmp_path / "l.csv", ["path", "label"], *((path, "x" + name) for path, name in rows))
    other = list_folder(tmp_path)
    assert other.fingerprint == before.fingerprint
    assert "names other labels for 6 of these images" in other.cautions[0]
    assert list_images(str(tmp_path), label_column="label").classes == ["xcat", "xdog"]
    assert list_folder(tmp_path, layout="classes").cautions == ()


def test_a_table_alone_is_no_source(tmp_path):
    file = table(tmp_path / "l.csv", ["id", "label"], (1, "a"))
    with pytest.raises(InputError, match="is a table, and holds no images") as caught:
        list_images(str(file))
    assert f"--labels {file}" in caught.value.hint


def test_a_changed_label_is_another_dataset(tmp_path):
    make(tmp_path, "images/1.jpg", "images/2.jpg")
    table(tmp_path / "l.csv", ["id", "label"], (1, "a"), (2, "b"))
    before = list_folder(tmp_path).fingerprint
    table(tmp_path / "l.csv", ["id", "label"], (1, "b"), (2, "a"))
    assert list_folder(tmp_path).fingerprint != before


def test_tables_that_name_one_image_twice(tmp_path):
    make(tmp_path, "images/1.jpg", "images/2.jpg")
    table(tmp_path / "a.csv", ["id", "label"], (1, "a"), (2, "b"))
    table(tmp_path / "b.csv", ["id", "label"], (1, "b"), (2, "b"))
    with pytest.raises(InputError, match=r"say different things of images/1\.jpg") as caught:
        list_folder(tmp_path)
    assert "--labels" in caught.value.hint
    make(tmp_path / "c", "jpg/1.jpg", "png/1.png")
    table(tmp_path / "c" / "l.csv", ["id", "label"], (1, "a"))
    with pytest.raises(InputError, match="name several images of"):
        list_folder(tmp_path / "c", labels=read_labels(tmp_path / "c" / "l.csv"))


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "top.zip"])
def test_tables_in_archives(tmp_path, kind):
    root = make(tmp_path / "src", "train/1.jpg", "train/2.jpg", "test/9.jpg")
    table(root / "labels.csv", ["id", "breed"], ("1", "a"), ("2", "b"))
    top = "dogs/" if kind == "top.zip" else ""
    path = tmp_path / f"dogs.{kind}"
    names = ["train/1.jpg", "train/2.jpg", "test/9.jpg", "labels.csv"]
    if kind.endswith("zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names:
                archive.write(root / name, top + name)
    else:
        with tarfile.open(path, f"w:{kind[4:]}") as archive:
            for name in names:
                archive.add(root / name, name)
    listing = list_images(str(path))
    assert labelled(listing) == {"train/1.jpg": ("a",), "train/2.jpg": ("b",)}


_CELLS = st.text(st.sampled_from('ab01.,;|"\n\r\t \ufeff\0[]{}é\\/'), max_size=8)


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.lists(st.lists(_CELLS, max_size=4), max_size=6).map(
            lambda rows: "\n".join(",".join(row) for row in [["id", "label"], *rows]).encode()
        ),
        st.lists(
            st.dictionaries(st.sampled_from(["id", "labels", "x"]), st.one_of(
                _CELLS, st.none(), st.floats(), st.lists(_CELLS | st.integers(), max_size=3)
            )), max_size=5
        ).map(lambda rows: "\n".join(json.dumps(row) for row in rows).encode()),
    ),
    st.sampled_from(["l.csv", "l.tsv", "l.jsonl"]),
)  # fmt: skip
def test_any_table_is_a_listing_or_a_sentence(tmp_path_factory, data, name):
    root = tmp_path_factory.mktemp("t")
    make(root, "images/a.jpg", "images/0.jpg", "images/01.jpg")
    (root / name).write_bytes(data)
    for options in ({}, {"labels": root / name}):
        try:
            if "labels" in options:
                options = {"labels": read_labels(options["labels"])}
            list_folder(root, **options)
        except VitctlError as error:
            lines = str(error).splitlines()
            assert len(lines) == 1, lines
