"""Zips in archives and tars in zips mean what the folder means that they would be unpacked to."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ingest.trees.test_folder import contents, make
from tests.ingest.trees.test_tar import rows, spooled
from vitctl.errors import InputError
from vitctl.events import silent
from vitctl.ingest.listing import pieces
from vitctl.ingest.reading.spool import at_random
from vitctl.ingest.sources.formats import list_images
from vitctl.ingest.trees import archive_walk
from vitctl.ingest.trees.folder import list_folder
from vitctl.pixels.header import BadImageError

FILES = {
    "train/cat/1.jpg": b"first " * 50,
    "train/dog/2.jpg": b"second",
    "train/dog/3.png": os.urandom(3000),
    "val/cat/4.jpg": b"fourth",
    "val/dog/5.jpg": b"fifth",
}
FLAT = {f"{name}/{i}.jpg": b"x" for name in ("cat", "dog") for i in range(2)}


def zip_of(files, *, method=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def tar_of(files, *, mode="w"):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


INNER = {
    "zip": zip_of,
    "stored.zip": lambda files: zip_of(files, method=zipfile.ZIP_STORED),
    "tar": tar_of,
    "tar.gz": lambda files: tar_of(files, mode="w:gz"),
}
OUTER = {**INNER, "tar.xz": lambda files: tar_of(files, mode="w:xz")}


def parts(pack, ending):
    """An archive for each split, as Kaggle's train.zip and test.zip."""
    return {
        f"{split}.{ending}": pack(
            {
                name.partition("/")[2]: data
                for name, data in FILES.items()
                if name.startswith(f"{split}/")
            }
        )
        for split in ("train", "val")
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = make(tmp_path_factory.mktemp("photos"), *FILES)
    for name, data in FILES.items():
        (root / name).write_bytes(data)
    return root


@pytest.mark.parametrize("outer", OUTER)
@pytest.mark.parametrize("inner", INNER)
def test_what_lies_in_them_is_the_folder(folder, tmp_path, inner, outer):
    path = tmp_path / f"all.{outer}"
    path.write_bytes(OUTER[outer](parts(INNER[inner], inner.removeprefix("stored."))))
    listing, expected = list_images(str(path)), list_folder(folder)
    assert rows(listing) == rows(expected)
    assert spooled(listing) == FILES == contents(expected)


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_a_folder_of_the_archives_own_name_is_no_second_one(folder, tmp_path, pack):
    """Kaggle's train.zip holds train/."""
    inner = {
        f"{split}.zip": zip_of({n: d for n, d in FILES.items() if n.startswith(f"{split}/")})
        for split in ("train", "val")
    }
    path = tmp_path / "all"
    path.write_bytes(pack(inner))
    assert rows(list_images(str(path))) == rows(list_folder(folder))
    doubled = make(tmp_path / "unpacked", *(f"{n.partition('/')[0]}/{n}" for n in FILES))
    with pytest.raises(InputError, match="holds a folder of its own name alone") as error:
        list_folder(doubled)
    assert "up into train/" in error.value.hint
    assert list_folder(doubled, layout="splits").classes == ["train", "val"]


def test_three_levels_and_no_more(tmp_path):
    data = zip_of(FLAT)
    for depth in range(1, 5):
        path = tmp_path / f"{depth}.zip"
        path.write_bytes(data := zip_of({"in.zip": data}))
        if depth <= 3:
            assert len(list_images(str(path)).entries) == 4
        else:
            with pytest.raises(InputError, match="there is no image"):
                list_images(str(path))


@pytest.mark.parametrize("outer", ["zip", "tar"])
def test_beside_images_they_are_left_alone_and_counted(tmp_path, outer):
    """They may hold copies of the same, as a download and what was unpacked of it."""
    path = tmp_path / f"all.{outer}"
    path.write_bytes(OUTER[outer]({**FLAT, "copies.zip": zip_of(FLAT)}))
    listing = list_images(str(path))
    assert [row[0] for row in rows(listing)] == sorted(FLAT)
    assert listing.skipped == {".zip files": 1}


def test_a_bomb_ends_where_it_expands(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_walk, "SUSPICIOUS_BYTES", 2**20)
    bomb = zip_of({"cat/1.jpg": b"x", "dog/2.jpg": b"x", "dog/bomb.jpg": bytes(2**24)})
    path = tmp_path / "all.zip"
    path.write_bytes(zip_of({"train.zip": bomb}, method=zipfile.ZIP_STORED))
    assert path.stat().st_size < 2**24 / archive_walk.MOST_EXPANSION
    listing = list_images(str(path))
    assert [row[0].removeprefix("train/") for row in rows(listing)] == ["cat/1.jpg", "dog/2.jpg"]
    assert any("expands more than 200 times" in text for text in listing.cautions)


def test_paths_that_lead_out_and_a_damaged_image(tmp_path):
    files = {"cat/1.jpg": b"first", "dog/2.jpg": b"second", "../../evil.jpg": b"x"}
    data = bytearray(zip_of(files, method=zipfile.ZIP_STORED))
    data[data.index(b"second")] ^= 1
    path = tmp_path / "all.tar"
    path.write_bytes(tar_of({"photos.zip": bytes(data)}))
    listing = list_images(str(path))
    assert [row[0] for row in rows(listing)] == ["cat/1.jpg", "dog/2.jpg"]
    assert sum(listing.skipped.values()) == 1
    with (
        at_random(listing.source, [listing.entries], largest=10**6, emit=silent) as source,
        source.reader() as reader,
    ):
        assert list(pieces(reader, listing.entries[0])) == [b"first"]
        with pytest.raises(BadImageError, match="its checksum in the archive is wrong"):
            list(pieces(reader, listing.entries[1]))


@settings(max_examples=60, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, 400),
)
def test_any_damage_is_a_listing_or_a_sentence(tmp_path_factory, changes, cut):
    data = bytearray(zip_of({**parts(INNER["tar.gz"], "tar.gz"), **parts(zip_of, "zip")}))
    for place, byte in changes:
        data[place % len(data)] = byte
    path = tmp_path_factory.mktemp("damaged") / "all.zip"
    path.write_bytes(bytes(data[: len(data) - cut]))
    with contextlib.suppress(InputError):
        listing = list_images(str(path), format="zip", unlabelled=True)
        with contextlib.suppress(BadImageError):
            spooled(listing)
