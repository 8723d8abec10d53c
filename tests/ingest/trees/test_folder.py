from __future__ import annotations

import json
import os

import pytest

from vitctl.data.names import text_of
from vitctl.errors import InputError, NotFoundError
from vitctl.ingest.labels.label_file import read_labels
from vitctl.ingest.listing import pieces, read
from vitctl.ingest.sources.digits import list_digits
from vitctl.ingest.trees.folder import list_folder


def make(root, *paths):
    """Files whose content is their own name; only listing is tested here."""
    for path in paths:
        file = os.path.join(os.fsencode(root), os.fsencode(path))
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with open(file, "wb") as out:
            out.write(os.fsencode(path))
    return root


def listed(root):
    listing = list_folder(root)
    return [(entry.id, *listing.class_names(entry), entry.split) for entry in listing.entries]


def contents(listing):
    """id -> bytes."""
    with listing.source.reader() as reader:
        return {entry.id: read(reader, entry) for entry in listing.entries}


def test_class_folders(tmp_path):
    make(tmp_path, "cat/b.jpg", "cat/deep/er/a.PNG", "ant/noending", "10/x.webp")
    assert listed(tmp_path) == [
        ("10/x.webp", "10", None),
        ("ant/noending", "ant", None),
        ("cat/b.jpg", "cat", None),
        ("cat/deep/er/a.PNG", "cat", None),
    ]
    assert list_folder(tmp_path).classes == ["10", "ant", "cat"]


def test_split_folders(tmp_path):
    make(tmp_path, "train/cat/1.jpg", "validation/cat/1.jpg", "test/ant/1.jpg")
    assert listed(tmp_path) == [
        ("test/ant/1.jpg", "ant", "test"),
        ("train/cat/1.jpg", "cat", "train"),
        ("validation/cat/1.jpg", "cat", "val"),
    ]


def test_split_folders_without_train(tmp_path):
    make(tmp_path, "val/cat/1.jpg", "val/ant/1.jpg")
    assert {entry.split for entry in list_folder(tmp_path).entries} == {"val"}


@pytest.mark.parametrize(
    "paths",
    [
        ["train/1.jpg", "test/1.jpg"],  # vehicles and exams
        ["train/deep/1.jpg", "plane/1.jpg"],  # vehicles
    ],
)
def test_classes_may_have_the_names_of_splits(tmp_path, paths):
    make(tmp_path, *paths)
    assert {entry.split for entry in list_folder(tmp_path).entries} == {None}


def test_two_validation_folders_are_refused(tmp_path):
    make(tmp_path, "train/a/1.jpg", "val/a/1.jpg", "validation/a/1.jpg")
    with pytest.raises(InputError, match="the folders val and validation, which are one split"):
        list_folder(tmp_path)


def test_what_is_not_an_image_is_counted_and_left_alone(tmp_path):
    make(tmp_path, "a/1.jpg", "a/note.txt", "a/x.csv", "a/.hidden.jpg", ".git/x.jpg", "loose.jpg")
    os.mkfifo(tmp_path / "a" / "pipe.jpg")
    os.symlink("nowhere", tmp_path / "a" / "broken.jpg")
    os.mkdir(tmp_path / "empty")
    listing = list_folder(tmp_path)
    assert [entry.id for entry in listing.entries] == ["a/1.jpg"]
    assert listing.skipped == {
        ".txt files": 1,
        ".csv files": 1,
        "pipes, sockets and devices": 1,
        "broken links": 1,
        "images outside a class folder": 1,
        "hidden files": 1,
        "hidden folders": 1,
    }
    assert listing.empty_classes == ["empty"]


def test_links_are_followed_but_not_in_circles(tmp_path):
    make(tmp_path, "src/a/1.jpg", "elsewhere/2.jpg")
    root = tmp_path / "src"
    os.symlink(tmp_path / "elsewhere", root / "b")
    os.symlink(root, root / "a" / "up")
    os.symlink(".", root / "a" / "self")
    listing = list_folder(root)
    assert [entry.id for entry in listing.entries] == ["a/1.jpg", "b/2.jpg"]
    assert listing.skipped["links that lead back up"] == 2


def test_a_link_out_of_the_source_to_what_is_around_it_is_a_circle_too(tmp_path):
    """Around the source lie other images, and around a folder that a link leads to."""
    make(tmp_path, "all/src/a/1.jpg", "all/others/2.jpg", "far/b/3.jpg", "far/others/4.jpg")
    root = tmp_path / "all" / "src"
    os.symlink("../..", root / "a" / "up")
    os.symlink(tmp_path / "far" / "b", root / "b")
    os.symlink("..", tmp_path / "far" / "b" / "up")
    listing = list_folder(root)
    assert [entry.id for entry in listing.entries] == ["a/1.jpg", "b/3.jpg"]
    assert listing.skipped["links that lead back up"] == 2


def test_any_bytes_make_good_names(tmp_path):
    make(tmp_path, b"caf\xc3\xa9 au lait/a b.jpg", b"new\nline/\xff\xfe.jpg", b"plain/\\xff.jpg")
    assert listed(tmp_path) == [
        ("café au lait/a b.jpg", "café au lait", None),
        ("new\\x0aline/\\xff\\xfe.jpg", "new\\x0aline", None),
        ("plain/\\x5cxff.jpg", "plain", None),
    ]
    listing = list_folder(tmp_path)
    assert {text_of(data): id_ for id_, data in contents(listing).items()} == {
        id_: id_ for id_, *_ in listed(tmp_path)
    }


def test_the_fingerprint_sees_names_sizes_and_times(tmp_path):
    make(tmp_path, "a/1.jpg", "b/2.jpg")
    before = list_folder(tmp_path).fingerprint
    assert list_folder(tmp_path).fingerprint == before
    os.utime(tmp_path / "a/1.jpg", ns=(1, 1))
    touched = list_folder(tmp_path).fingerprint
    assert touched != before
    os.rename(tmp_path / "a/1.jpg", tmp_path / "a/3.jpg")
    assert list_folder(tmp_path).fingerprint != touched


def test_rehash_sees_contents_only(tmp_path):
    make(tmp_path, "a/1.jpg", "b/2.jpg")
    before = list_folder(tmp_path).fingerprint_of(contents=True)
    os.utime(tmp_path / "a/1.jpg", ns=(1, 1))
    assert list_folder(tmp_path).fingerprint_of(contents=True) == before
    info = (tmp_path / "a/1.jpg").stat()
    (tmp_path / "a/1.jpg").write_bytes(b"A/1.jpg")
    os.utime(tmp_path / "a/1.jpg", ns=(info.st_atime_ns, info.st_mtime_ns))
    assert list_folder(tmp_path).fingerprint_of(contents=True) != before


def test_a_file_that_changed_since_is_not_read(tmp_path):
    make(tmp_path, "a/1.jpg")
    listing = list_folder(tmp_path)
    (tmp_path / "a/1.jpg").write_bytes(b"longer than before")
    with pytest.raises(InputError, match="changed while it was read"):
        contents(listing)
    with listing.source.reader() as reader, pytest.raises(InputError, match="changed"):
        list(pieces(reader, listing.entries[0]))


def test_sources_without_images_say_what_to_do(tmp_path):
    with pytest.raises(NotFoundError, match="does not exist"):
        list_folder(tmp_path / "none")
    with pytest.raises(InputError, match="no image"):
        list_folder(tmp_path)
    make(tmp_path, "1.jpg")
    with pytest.raises(InputError, match="files but no class folders"):
        list_folder(tmp_path)
    with pytest.raises(InputError, match="not a folder"):
        list_folder(tmp_path / "1.jpg")
    make(tmp_path, "a/read me.txt")
    with pytest.raises(InputError, match=r"1 \.txt file\b"):
        list_folder(tmp_path)


def test_digits_are_scikit_learns():
    import io

    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    listing = list_digits()
    assert listing.classes == [str(i) for i in range(10)]
    assert len({entry.id for entry in listing.entries}) == 1797
    digits = load_digits()
    for id_, data in list(contents(listing).items())[::100]:
        number = int(id_.split("/")[1].removesuffix(".png"))
        pixels = np.asarray(Image.open(io.BytesIO(data))).astype(int)
        assert np.array_equal(np.round(pixels * 16 / 255), digits.images[number])
        assert pixels.max() == 255 or digits.images[number].max() < 16
        assert id_.split("/")[0] == str(digits.target[number])
    for entry in listing.entries:
        assert listing.class_names(entry) == (entry.id.split("/")[0],)


def test_without_scikit_learn_the_hint_names_the_extra(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(NotFoundError) as error:
        list_digits()
    assert "vitctl[demo]" in error.value.hint


def label_file(path, rows):
    path.write_text("".join(json.dumps({"id": id, "labels": names}) + "\n" for id, names in rows))
    return read_labels(path)


def test_a_label_file_gives_any_number_of_labels(tmp_path):
    root = make(tmp_path / "src", "val/1.jpg", "val/deep/2.jpg", "val/3.jpg", "val/4.jpg")
    rows = [("val/1.jpg", ["cat", "sofa", "cat"]), ("val/deep/2.jpg", []), ("val/3.jpg", ["sofa"])]
    listing = list_folder(root, labels=label_file(tmp_path / "labels.jsonl", rows))
    assert [(e.id, listing.class_names(e), e.split) for e in listing.entries] == [
        ("val/1.jpg", ("cat", "sofa"), "val"),
        ("val/3.jpg", ("sofa",), "val"),
        ("val/deep/2.jpg", (), "val"),
    ]
    assert listing.classes == ["cat", "sofa"]
    assert listing.skipped == {"images without a line in the label file": 1}


def test_label_names_are_cleaned_as_folder_names_are(tmp_path):
    labels = label_file(tmp_path / "l", [("1.jpg", ["new\nline", "\ud800"])])
    fitted = labels.fit(["1.jpg"], shown="x")
    assert fitted.labels == {"1.jpg": ("new\\x0aline", "\\xed\\xa0\\x80")}


def test_label_files_may_name_images_in_flat_folders(tmp_path):
    root = make(tmp_path / "src", "1.jpg", "train/2.jpg", "other/3.jpg")
    labels = label_file(tmp_path / "l", [(i, ["a"]) for i in ("1.jpg", "train/2.jpg")])
    assert {entry.split for entry in list_folder(root, labels=labels).entries} == {None}


def test_label_files_that_do_not_fit(tmp_path):
    root = make(tmp_path / "src", "1.jpg")
    labels = label_file(tmp_path / "l", [("1.jpg", ["a"]), ("2.jpg", ["b"])])
    with pytest.raises(InputError, match=r"1 of the 2 rows .* are not in"):
        list_folder(root, labels=labels)
    for line in ("x", "[]", "1", '{"id": "a"'):
        (tmp_path / "l").write_text(f'{{"id": "1.jpg", "labels": []}}\n\n{line}\n')
        with pytest.raises(InputError, match="line 3"):
            read_labels(tmp_path / "l")
    twice = label_file(tmp_path / "l", [("1.jpg", ["a"]), ("1.jpg", ["b"])])
    assert list_folder(root, labels=twice).classes == ["a", "b"]
