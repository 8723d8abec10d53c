"""Zips: members against the standard library's `zipfile`, meaning against the folder in them."""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ingest.trees.test_folder import contents, make
from tests.ingest.trees.test_tar import PATHS
from vitctl.errors import InputError
from vitctl.ingest.parts import DamagedError
from vitctl.ingest.sources.formats import list_images
from vitctl.ingest.trees.zip_members import is_zip, members
from vitctl.pixels.header import BadImageError

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Unseekable(io.RawIOBase):
    """A pipe: sizes are written behind the bytes then."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self):
        return True

    def write(self, data):
        self.data += data
        return len(data)


def written(files, *, piped=False, method=zipfile.ZIP_DEFLATED, prefix=b""):
    out = Unseekable() if piped else io.BytesIO(prefix)
    if not piped:
        out.seek(len(prefix))
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return bytes(out.data) if piped else out.getvalue()


def read(data):
    """(name, kind, size) of each member, and the damage."""
    entries = []

    def pread(size, offset):
        assert size >= 0
        assert offset >= 0
        return data[offset : offset + size]

    try:
        for member in members(pread, len(data)):
            entries.append((member.name.decode(), member.kind, member.size))
    except DamagedError as error:
        return entries, error
    return entries, None


NAMES = st.text("abé. 日_", min_size=1, max_size=30)
FILES = st.lists(
    st.tuples(NAMES, st.binary(max_size=400)), max_size=5, unique_by=lambda file: file[0]
)


@settings(max_examples=50)
@given(FILES, st.sampled_from(METHODS), st.booleans(), st.binary(max_size=9))
def test_members_are_those_of_zipfile(files, method, piped, prefix):
    data = written(files, method=method, piped=piped, prefix=prefix)
    entries, damage = read(data)
    assert damage is None
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert entries == [(info.filename, "file", info.file_size) for info in archive.infolist()]
    assert prefix or is_zip(data)


@pytest.fixture
def photos(tmp_path):
    return make(tmp_path / "photos", *PATHS)


def pack(path, folder, *, method=zipfile.ZIP_DEFLATED, top=""):
    with zipfile.ZipFile(path, "w", method) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, os.path.join(top, file.relative_to(folder)))
    return path


@pytest.mark.parametrize("piped", [False, True])
def test_a_zip_that_was_cut_off_keeps_what_is_before_the_cut(tmp_path, piped):
    random = np.random.default_rng(0)
    files = [(f"{'ab'[i % 2]}/{i}.jpg", random.bytes(2000)) for i in range(10)]
    data = written(files, piped=piped)
    (tmp_path / "cut.zip").write_bytes(data[: len(data) // 2])
    listing = list_images(str(tmp_path / "cut.zip"))
    assert "the directory at the end is missing" in listing.cautions[0]
    assert contents(listing) == dict(files[:4]) or contents(listing) == dict(files[:5])


def test_what_is_no_file_is_counted(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in ("a/1.jpg", "b/1.jpg", "../out.jpg", "a/notes.txt"):
            archive.writestr(name, b"x")
        link = zipfile.ZipInfo("a/link.jpg")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/hosts")
        archive.writestr("a/lz.jpg", b"x", compress_type=zipfile.ZIP_LZMA)
    listing = list_images(str(tmp_path / "x.zip"))
    assert [entry.id for entry in listing.entries] == ["a/1.jpg", "b/1.jpg"]
    assert listing.skipped == {
        "members whose path leads out of the archive (..)": 1,
        ".txt files": 1,
        "links in the archive": 1,
        "members compressed in another way than deflate": 1,
    }


def test_names_of_other_systems(tmp_path):
    data = written([("aXx.jpg", b"1"), ("bYc.jpg", b"2")])
    data = data.replace(b"aXx.jpg", b"a\\x.jpg").replace(b"bYc.jpg", b"b/\x82.jpg")
    (tmp_path / "x.zip").write_bytes(data)
    # Code page 437 has an acute e at 0x82.
    assert [e.id for e in list_images(str(tmp_path / "x.zip")).entries] == ["a/x.jpg", "b/é.jpg"]


def test_a_wrong_checksum_is_a_bad_image(tmp_path):
    for method in METHODS:
        data = bytearray(
            written([("a/1.jpg", bytes(range(256)) * 9), ("b/1.jpg", b"b")], method=method)
        )
        data[60] ^= 1
        (tmp_path / "x.zip").write_bytes(data)
        listing = list_images(str(tmp_path / "x.zip"))
        with pytest.raises(BadImageError, match="archive"):
            contents(listing)


def test_a_size_that_lies_is_not_believed(tmp_path):
    """A bomb says a small size and holds much; only what it says is decompressed."""
    data = bytearray(written([("a/1.jpg", bytes(2**22)), ("b/1.jpg", b"b")]))
    directory = data.index(b"PK\1\2")
    struct.pack_into("<I", data, directory + 24, 10)
    (tmp_path / "x.zip").write_bytes(data)
    listing = list_images(str(tmp_path / "x.zip"))
    assert listing.entries[0].size == 10
    with pytest.raises(BadImageError, match="checksum"):
        contents(listing)


def test_encrypted_zips_say_so(tmp_path):
    data = bytearray(written([("a/1.jpg", b"x")]))
    data[data.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(InputError, match="encrypted"):
        list_images(str(tmp_path / "x.zip"))


@settings(max_examples=300)
@given(
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 1200), st.binary(min_size=1, max_size=5)), max_size=4),
    st.integers(0, 1500),
)
def test_any_damage_is_members_or_damage(piped, changes, cut):
    files = [(f"{'ab'[i % 2]}/{i}.jpg", bytes([i]) * 150) for i in range(5)]
    data = bytearray(written(files, piped=piped))
    for at, piece in changes:
        data[at : at + len(piece)] = piece
    entries, _ = read(bytes(data[: max(0, len(data) - cut)]))
    assert len(entries) <= len(data) // 30


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 1200), st.binary(min_size=1, max_size=5)), max_size=4))
def test_any_damage_is_a_listing_or_a_sentence(tmp_path_factory, changes):
    files = [(f"{'ab'[i % 2]}/{i}.jpg", np.random.default_rng(i).bytes(150)) for i in range(5)]
    data = bytearray(written(files))
    for at, piece in changes:
        data[at : at + len(piece)] = piece
    path = tmp_path_factory.mktemp("z") / "x.zip"
    path.write_bytes(data)
    try:
        listing = list_images(str(path), format="zip")
    except InputError:
        return
    with listing.source.reader() as reader:
        for entry in listing.entries:
            try:
                with reader.open(entry) as file:
                    file.read()
            except BadImageError:
                continue


@given(st.binary(max_size=600), st.booleans())
def test_any_bytes(data, signed):
    read(b"PK\3\4" + data + b"PK\5\6" + data if signed else data)
