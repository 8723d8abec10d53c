"""Tars as sources mean what the folder in them means."""

from __future__ import annotations

import io
import os
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ingest.trees.test_folder import contents, label_file, make
from tests.ingest.trees.test_tar_members import written
from vitctl.data.names import text_of
from vitctl.errors import InputError, NotFoundError, UsageError
from vitctl.events import silent
from vitctl.ingest.reading.spool import at_random
from vitctl.ingest.reading.streams import open_stream
from vitctl.ingest.sources import array_files, formats
from vitctl.ingest.sources.formats import list_images
from vitctl.ingest.spelled_paths import expanded
from vitctl.ingest.trees.folder import list_folder

PATHS = (
    *("train/cat/1.jpg", "train/cat/deep/2.png", "train/dog/3.jpg", "val/cat/1.jpg", "val/dog/x"),
    *("train/notes.txt", "train/cat/.hid.jpg", "train/dog/a.jpg?w=1", "café/é.jpg"),
)


zstandard = pytest.importorskip("zstandard")


@pytest.fixture
def photos(tmp_path):
    return make(tmp_path / "photos", *PATHS)


def packed(path, folder, *, mode="w", top="", format_=tarfile.PAX_FORMAT):
    plain = "w" if mode == "w:zst" else mode  # tarfile writes it from Python 3.14 on
    with tarfile.open(path, plain, format=format_) as tar:
        tar.add(folder, arcname=top or ".")
    if mode == "w:zst":
        path.write_bytes(zstandard.compress(path.read_bytes()))
    return path


def rows(listing):
    return [(e.id, e.size, e.split, listing.class_names(e)) for e in listing.entries]


def spooled(listing):
    """id -> bytes, read at random as shards are."""
    with at_random(listing.source, [listing.entries], largest=2**30, emit=silent) as source:
        assert source.access == "random"
        with source.reader() as reader:
            order = np.random.default_rng(0).permutation(len(listing.entries))
            files = {}
            for row in order:
                entry = listing.entries[int(row)]
                with reader.open(entry) as file:
                    files[entry.id] = file.read()
            return files


@pytest.mark.parametrize("inner", ["w", "w:gz"])
@pytest.mark.parametrize("outer", ["w", "w:xz"])
def test_a_tar_of_a_tar_a_class(photos, tmp_path, inner, outer):
    """As ImageNet comes: its tars are never unpacked."""
    with tarfile.open(tmp_path / "all.tar", outer) as tar:
        for name in ("cat", "dog"):
            ending = ".tar" if inner == "w" else ".tgz"
            one = packed(tmp_path / f"{name}{ending}", photos / "train" / name, mode=inner)
            tar.add(one, arcname=f"{name}{ending}")
    listing = list_images(str(tmp_path / "all.tar"))
    folder = list_folder(photos / "train")
    assert rows(listing) == rows(folder)
    assert spooled(listing) == contents(folder)


def test_many_tars_are_one_source(photos, tmp_path):
    for i, name in enumerate(("train", "val")):
        packed(tmp_path / f"{i}.tar", photos / name, top=name)
    listing = list_images(str(tmp_path / "{0..1}.tar"))
    assert {entry.split for entry in listing.entries} == {"train", "val"}
    assert contents(listing) == contents(list_folder(photos, exclude=["café"]))
    packed(tmp_path / "2.tar", photos / "val", top="val")
    with pytest.raises(InputError, match=r"1\.tar and .*2\.tar both hold val/"):
        list_images(str(tmp_path / "?.tar"))


def test_archives_that_are_called_as_splits_get_a_way_on(photos, tmp_path):
    """Of two splits with the same names one is none of WebDataset's shards."""
    for name in ("Train", "val"):
        packed(tmp_path / f"{name}.tar", photos / "val")
    with pytest.raises(InputError, match="both hold") as raised:
        list_images(str(tmp_path / "*.tar"))
    assert raised.value.hint == (
        "they are called as splits: unpack each into a folder of its name (Train/ and val/), and "
        "give the folder of these"
    )


@pytest.mark.parametrize("head", [b"Rar!\x1a\x07\x01\0", b"7z\xbc\xaf\x27\x1c"])
def test_an_archive_of_another_kind_is_to_be_unpacked(tmp_path, head):
    (tmp_path / "photos").write_bytes(head.ljust(99, b"\0"))
    with pytest.raises(InputError, match="archive") as raised:
        list_images(str(tmp_path / "photos"))
    assert raised.value.hint == "unpack it and give its folder"


def sample(name, class_name, image=b"image"):
    return [(f"{name}.jpg", image), *([(f"{name}.cls", class_name)] if class_name else [])]


def shards(tmp_path, *shards_, names=None):
    for i, samples in enumerate(shards_):
        files = [file for name, label in samples for file in sample(name, label, name.encode())]
        (tmp_path / f"{names[i] if names else i}.tar").write_bytes(written(files))
    return str(tmp_path / "*.tar")


def test_webdataset(tmp_path):
    source = shards(
        tmp_path,
        [("0", b"tench\n"), ("1", b"shark"), ("2", b"")],
        [("0", b"tench"), ("deep/x.y", b"shark")],
    )
    listing = list_images(source)
    assert (
        rows(listing)
        == [
            ("0/0.jpg", 1, None, ("tench",)),
            ("0/1.jpg", 1, None, ("shark",)),
            ("1/0.jpg", 1, None, ("tench",)),
            # The key of "x.y.jpg" and "x.y.cls" is "x".
            ("1/deep/x.y.jpg", 8, None, ()),
        ][:3]
    )
    # The file without a class is the only one of its kind that was of no use.
    assert listing.skipped == {"images without a .cls file": 2, ".cls files": 1}
    assert "read as a WebDataset" in listing.reading
    assert contents(listing)["1/0.jpg"] == b"0"
    assert list_images(source, exclude=["tench"]).classes == ["shark"]
    assert len(list_images(source, unlabelled=True).entries) == 5
    labels = label_file(tmp_path / "l", [("0/0.jpg", ["a"]), ("1/0.jpg", ["b", "a"])])
    assert [row[3] for row in rows(list_images(source, labels=labels))] == [("a",), ("b", "a")]


def test_a_key_of_several_classes_is_left_out(tmp_path):
    """Tars that were joined: WebDataset itself refuses files of one name."""
    same = [("x", b"tench"), ("x", b"tench")]
    source = shards(tmp_path, [("0", b"tench"), ("0", b"shark"), ("1", b"shark"), *same])
    listing = list_images(source)
    assert [row[3] for row in rows(listing)] == [("shark",), ("tench",), ("tench",)]
    assert "2 images" in listing.cautions[0]
    assert "several classes" in listing.cautions[0]
    assert not any("without a .cls" in what for what in listing.skipped)


def test_classes_that_do_not_lie_next_to_their_images(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        for name in ("0.cls", "1.cls", "0.jpg", "1.jpg"):
            member = tarfile.TarInfo(name)
            member.size = 1
            tar.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(InputError, match=r"has a \.cls file next to it") as caught:
        list_images(str(path))
    assert "--sort=name" in caught.value.hint


def test_labels_of_a_webdataset_are_in_its_fingerprint(tmp_path):
    """By contents, the files with classes are not those of images."""
    proofs = set()
    for label in (b"a", b"b"):
        source = shards(tmp_path, [("0", label), ("1", b"c")])
        proofs.add(list_images(source).fingerprint_of(contents=True))
    assert len(proofs) == 2


def test_splits_of_a_webdataset_are_in_its_names(tmp_path):
    source = shards(
        tmp_path,
        *([("0", b"a"), ("1", b"b")], [("0", b"a")]),
        names=["in1k-train-0001", "in1k-validation-00"],
    )
    assert [row[2] for row in rows(list_images(source))] == ["train", "train", "val"]
    assert {row[2] for row in rows(list_images(source, layout="flat"))} == {None}
    (tmp_path / "extra.tar").write_bytes(written(sample("0", b"a")))
    with pytest.raises(InputError, match="the name of a split, and extra does not"):
        list_images(source)


def test_a_webdataset_is_a_tar_on_request_and_the_other_way(tmp_path):
    source = shards(tmp_path, [("a/0", b"x"), ("b/0", b"x")])
    assert list_images(source, format="tar").classes == ["a", "b"]
    plain = tmp_path / "plain"
    plain.write_bytes(written([("a/0.jpg", b"x"), ("b/0.jpg", b"x")]))
    with pytest.raises(InputError, match=r"no \.cls file"):
        list_images(str(plain), format="webdataset")


def test_no_path_leads_out(tmp_path):
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    out = io.BytesIO(
        written([("../up.jpg", b"1"), ("a/../../up.jpg", b"2"), ("/abs/b/1.jpg", b"3")])
    )
    with tarfile.open(fileobj=out, mode="a") as tar:
        for kind, target in (
            (tarfile.SYMTYPE, tmp_path / "secret.jpg"),
            (tarfile.LNKTYPE, "/etc/hosts"),
        ):
            link = tarfile.TarInfo(f"abs/c/{kind.decode()}.jpg")
            link.type, link.linkname = kind, str(target)
            tar.addfile(link)
        tar.addfile(tarfile.TarInfo("abs/c/2.jpg"))
        tar.addfile(tarfile.TarInfo("abs/c/."))
        fifo = tarfile.TarInfo("abs/c/3.jpg")
        fifo.type = tarfile.FIFOTYPE
        tar.addfile(fifo)
    (tmp_path / "evil.tar").write_bytes(out.getvalue())
    listing = list_images(str(tmp_path / "evil.tar"))
    assert [entry.id for entry in listing.entries] == ["b/1.jpg", "c/2.jpg"]
    assert listing.skipped == {
        "members whose path leads out of the archive (..)": 2,
        "links in the archive": 2,
        "members without a name": 1,
        "devices, pipes and sparse files": 1,
    }


def test_an_archive_without_images_offers_no_files_in_it(tmp_path):
    (tmp_path / "evil.tar").write_bytes(written([("../a/1.jpg", b"1"), ("../b/1.jpg", b"2")]))
    with pytest.raises(InputError, match="2 members whose path leads out") as caught:
        list_images(str(tmp_path / "evil.tar"))
    assert "evil.tar/" not in caught.value.hint


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_cut_archive_keeps_what_is_before_the_cut(tmp_path, mode):
    random = np.random.default_rng(0)
    files = [(f"{'ab'[i % 2]}/{i}.jpg", random.bytes(3000)) for i in range(20)]
    whole = tmp_path / "whole.tar"
    with tarfile.open(whole, mode) as tar:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    cut = tmp_path / "cut.tar"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    listing = list_images(str(cut))
    (caution,) = listing.cautions
    assert "is damaged at byte" in caution
    assert 8 <= len(listing.entries) <= 11
    assert spooled(listing) == dict(files[: len(listing.entries)])


@pytest.mark.parametrize("name", ["a/1.jpg", "x.npz"])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_an_archive_cut_within_its_first_file_says_so(tmp_path, mode, name):
    """Not only that there is no image in it, as of a tar of other things."""
    path = tmp_path / "cut.tar"
    with tarfile.open(path, mode) as tar:
        info = tarfile.TarInfo(name)
        info.size = 9000
        tar.addfile(info, io.BytesIO(np.random.default_rng(0).bytes(9000)))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"cut\.tar is damaged at byte .*no image") as caught:
        list_images(str(path), format="tar")
    assert "download" in caught.value.hint


def test_the_last_of_two_members_with_a_name_counts(tmp_path):
    (tmp_path / "t").write_bytes(
        written([("a/1.jpg", b"old"), ("b/1.jpg", b"b"), ("a/1.jpg", b"new")])
    )
    listing = list_images(str(tmp_path / "t"))
    assert contents(listing) == {"a/1.jpg": b"new", "b/1.jpg": b"b"}
    assert listing.skipped["members that a later one of the same name replaces"] == 1


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_what_a_tar_is_is_looked_up_once(photos, tmp_path, mode, monkeypatch):
    """Each look opens the file, and decompresses its beginning."""
    source = packed(tmp_path / "a.tar", photos / "train", mode=mode)
    opened = []

    def counted(path):
        opened.append(path)
        return open_stream(path)

    monkeypatch.setattr(formats, "open_stream", counted)
    monkeypatch.setattr(array_files, "open_stream", counted)
    assert len(list_images(str(source)).entries) > 0
    assert opened == [os.fsencode(source)]


def test_a_bomb_ends_at_its_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("vitctl.ingest.reading.streams.SUSPICIOUS_BYTES", 2**20)
    with tarfile.open(tmp_path / "bomb.tgz", "w:gz") as tar:
        for name, size in (("a/1.jpg", 10), ("b/1.jpg", 10), ("a/2.jpg", 2**24)):
            info = tarfile.TarInfo(name)
            info.size = size
            tar.addfile(info, io.BytesIO(bytes(size)))
    listing = list_images(str(tmp_path / "bomb.tgz"))
    assert "expand more than 200 times" in listing.cautions[0]
    assert [entry.id for entry in listing.entries] == ["a/1.jpg", "b/1.jpg"]


def test_an_archive_that_changed_is_not_read(photos, tmp_path):
    tar = packed(tmp_path / "p.tar", photos / "train")
    listing = list_images(str(tar))
    os.utime(tar, ns=(1, 1))
    with pytest.raises(InputError, match=r"p\.tar changed while it was read"):
        contents(listing)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["", "gz", "bz2", "xz"]),
    st.lists(st.tuples(st.integers(0, 3000), st.binary(min_size=1, max_size=6)), max_size=4),
    st.integers(0, 4000),
)
def test_any_damage_is_a_listing_or_a_sentence(tmp_path_factory, compression, changes, cut):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=f"w:{compression}") as tar:
        for i in range(4):
            info = tarfile.TarInfo(f"{'ab'[i % 2]}/{i}.jpg")
            info.size = 600
            tar.addfile(info, io.BytesIO(np.random.default_rng(i).bytes(600)))
    data = bytearray(out.getvalue())
    for at, piece in changes:
        data[at : at + len(piece)] = piece
    path = tmp_path_factory.mktemp("t") / "x.tar"
    path.write_bytes(data[: len(data) - cut] if cut < len(data) else data)
    try:
        listing = list_images(str(path))
    except InputError:
        return
    assert len(listing.entries) <= 4
    assert all(len(data) <= 600 for data in spooled(listing).values())


def test_words_name_files_as_shells_read_them(tmp_path):
    for name in ("a-000.tar", "a-001.tar", "b-000.tar", "odd{x}.tar"):
        (tmp_path / name).touch()

    def names(word):
        return [os.path.basename(text_of(path)) for path in expanded(str(tmp_path / word))]

    assert names("a-{000..001}.tar") == ["a-000.tar", "a-001.tar"]
    assert names("{a,b}-000.tar") == ["a-000.tar", "b-000.tar"]
    assert names("{b,a}-*.tar") == ["b-000.tar", "a-000.tar", "a-001.tar"]
    assert names("odd{x}.tar") == ["odd{x}.tar"]
    with pytest.raises(NotFoundError, match=r"a-002.tar does not exist \(1 of 3"):
        names("a-{000..002}.tar")
    with pytest.raises(NotFoundError):
        names("none-*.tar")
    with pytest.raises(UsageError, match="more than"):
        names("{0..9}{000000..999999}")


def test_what_cannot_be_read_says_what_can(tmp_path):
    (tmp_path / "x.pdf").write_bytes(b"%PDF-1.4")
    with pytest.raises(InputError, match="it is a PDF") as caught:
        list_images(str(tmp_path / "x.pdf"))
    assert "pdfimages" in caught.value.hint
    (tmp_path / "x.what").write_bytes(b"what")
    with pytest.raises(InputError, match="not a source of images") as caught:
        list_images(str(tmp_path / "x.what"))
    assert "WebDataset" in caught.value.hint
    with pytest.raises(InputError, match=r"no image|at byte 0"):
        list_images(str(tmp_path / "x.pdf"), format="tar")
    with pytest.raises(UsageError, match="is for files"):
        list_images(str(tmp_path), format="tar")


def test_zstd_that_was_cut_off_or_needs_too_much_memory(photos, tmp_path):
    whole = packed(tmp_path / "p.tar.zst", photos, mode="w:zst").read_bytes()
    (tmp_path / "cut.tar.zst").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="no image"):
        list_images(str(tmp_path / "cut.tar.zst"), unlabelled=True, format="tar")
    noise = np.random.default_rng(0).bytes(400_000)
    for i in range(3):
        (photos / "train" / f"{i}.jpg").write_bytes(noise)
    whole = packed(tmp_path / "p.tar.zst", photos, mode="w:zst").read_bytes()
    (tmp_path / "cut.tar.zst").write_bytes(whole[:-1000])
    listing = list_images(str(tmp_path / "cut.tar.zst"), unlabelled=True, layout="flat")
    assert "break off" in listing.cautions[0]
    assert listing.entries
    wide = zstandard.ZstdCompressionParameters.from_level(1, window_log=30, enable_ldm=True)
    data = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    content = data.compress((tmp_path / "p.tar.zst").read_bytes()) + data.flush()
    (tmp_path / "wide.tar.zst").write_bytes(content)
    with pytest.raises(InputError):
        list_images(str(tmp_path / "wide.tar.zst"), format="tar")


def test_without_zstd_the_hint_names_the_extra(photos, tmp_path, monkeypatch):
    path = packed(tmp_path / "p.tar.zst", photos, mode="w:zst")
    for name in ("compression", "zstandard"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(InputError) as caught:
        list_images(str(path))
    assert "vitctl[zstd]" in caught.value.hint
