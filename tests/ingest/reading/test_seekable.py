"""Files in archives that are read at random: where they lie, or from a copy that goes away."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import tempfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitctl.errors import DoesNotFitError
from vitctl.ingest.parts import DamagedError, Part
from vitctl.ingest.reading import seekable
from vitctl.ingest.sources.array_files import Archived, opened_at_random_in
from vitctl.places import disk

CONTENT = random.Random(0).randbytes(3000)
TARS = {"a.tar": "w", "a.tar.gz": "w:gz", "a.tar.xz": "w:xz"}
COPIED = ["a.tar.gz", "a.tar.xz", "a.zip", "gzip.tar"]


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """TMPDIR, an empty folder."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def packed(folder, name):
    """(an archive, the second file in it, whose content is `CONTENT`)."""
    path = folder / name
    if name == "a.zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("first", b"other")
            archive.writestr("second", CONTENT)
    else:
        content = gzip.compress(CONTENT) if name == "gzip.tar" else CONTENT
        with tarfile.open(path, TARS.get(name, "w")) as archive:
            for member, data in (("first", b"other"), ("second", content), ("third", b"last")):
                info = tarfile.TarInfo(member)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return Part.of(bytes(path)), Archived(1)


@pytest.mark.parametrize("name", ["a.tar", *COPIED])
def test_it_reads_as_a_file_of_its_own(tmp_path, temporary, name):
    with opened_at_random_in(*packed(tmp_path, name)) as file:
        assert any(temporary.iterdir()) == (name in COPIED)
        assert file.read() == CONTENT
        assert file.seek(-5, io.SEEK_END) == len(CONTENT) - 5
        assert file.read(99) == CONTENT[-5:]
        file.seek(10)
        file.seek(2, io.SEEK_CUR)
        assert file.read(4) == CONTENT[12:16]
        file.seek(len(CONTENT) + 1)
        assert file.read(1) == b""
        with pytest.raises((ValueError, OSError)):
            file.seek(-1)
    assert not list(temporary.iterdir())


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3100), st.integers(0, 3100)), max_size=8))
def test_any_order_of_reads_is_that_of_the_content(tmp_path_factory, reads):
    reference = io.BytesIO(CONTENT)
    with opened_at_random_in(*packed(tmp_path_factory.mktemp("s"), "a.tar")) as file:
        for at, size in reads:
            file.seek(at)
            reference.seek(at)
            assert file.read(size) == reference.read(size)


@pytest.mark.parametrize("name", COPIED)
def test_a_copy_goes_away_when_the_work_fails(tmp_path, temporary, name):
    with (
        pytest.raises(KeyError),
        opened_at_random_in(*packed(tmp_path, name)),
    ):
        raise KeyError
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("name", ["a.tar", "a.zip"])
def test_room_is_asked_for_before_it_is_taken(tmp_path, temporary, monkeypatch, name):
    part, inside = packed(tmp_path, name)
    monkeypatch.setattr(disk, "free_bytes", lambda _: len(CONTENT) - 1)
    if name == "a.tar":  # it needs none
        with opened_at_random_in(part, inside) as file:
            assert file.read() == CONTENT
        return
    with (
        pytest.raises(DoesNotFitError, match=r"GiB free.*a file in .*a\.zip") as caught,
        opened_at_random_in(part, inside),
    ):
        pass
    assert "TMPDIR" in caught.value.hint
    assert not list(temporary.iterdir())


def test_a_disk_that_is_full_meanwhile_is_a_sentence(tmp_path, temporary):
    """`/dev/full` takes no byte, as a disk that another program filled."""
    part, inside = packed(tmp_path, "a.zip")
    with pytest.MonkeyPatch.context() as patch, open("/dev/full", "r+b", buffering=0) as full:
        patch.setattr(seekable.nofollow, "opened", lambda path, mode: full)
        with (
            pytest.raises(DoesNotFitError, match="No space left") as caught,
            opened_at_random_in(part, inside),
        ):
            pass
    assert "TMPDIR" in caught.value.hint


@pytest.mark.parametrize("name", ["a.tar.gz", "a.zip"])
def test_damage_is_said_and_leaves_no_copy(tmp_path, temporary, name):
    part, inside = packed(tmp_path, name)
    path = tmp_path / name
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    if name == "a.zip":  # of a tar.gz, the checksum lies behind all of its files
        data[middle] ^= 255
    else:
        del data[middle:]
    path.write_bytes(data)
    with pytest.raises(DamagedError), opened_at_random_in(part, inside) as file:
        file.read()
    assert not list(temporary.iterdir())
