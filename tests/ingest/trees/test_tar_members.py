"""The members of a tar, against the standard library's `tarfile`; and what hostile ones can do."""

from __future__ import annotations

import io
import itertools
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitctl.ingest.parts import DamagedError
from vitctl.ingest.reading.streams import PlainStream
from vitctl.ingest.trees.tar_members import is_tar, members

FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
NAMES = st.lists(
    st.text("abé/ .\\日", min_size=1, max_size=90).map(lambda name: name.strip("/ ") or "x"),
    min_size=1,
    max_size=4,
).map("/".join)


def written(files, *, format_=tarfile.PAX_FORMAT):
    """A tar of (name, content); None is a folder."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format_) as tar:
        for name, content in files:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def read(data):
    """(name, kind, offset, size) of each member, and the damage."""
    entries = []
    try:
        for member in members(PlainStream(io.BytesIO(data), len(data)), size=len(data)):
            entries.append((member.name, member.kind, member.offset, member.size))
    except DamagedError as error:
        return entries, error
    return entries, None


def by_tarfile(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return [
            (
                member.name.encode("utf-8", "surrogateescape"),
                "folder" if member.isdir() else "file" if member.isfile() else "other",
                member.offset_data,
                member.size,
            )
            for member in tar
        ]


@given(st.lists(st.tuples(NAMES, st.none() | st.binary(max_size=600)), max_size=5), st.data())
def test_members_are_those_of_tarfile(files, data):
    format_ = data.draw(st.sampled_from(FORMATS))
    try:
        tar = written(files, format_=format_)
    except ValueError:  # USTAR has no room for the name
        return
    entries, damage = read(tar)
    assert damage is None
    assert [(name.rstrip(b"/"), *rest) for name, *rest in entries] == by_tarfile(tar)
    assert is_tar(tar[:512]) == bool(files)


def test_sizes_beyond_eight_gigabytes_and_old_headers():
    info = tarfile.TarInfo("big.jpg")
    info.size = 9 * 2**30
    header = info.tobuf(tarfile.GNU_FORMAT)
    stream = PlainStream(io.BytesIO(header), len(header) + info.size)
    assert next(members(stream)).size == info.size
    # V7 wrote no mark: the checksum alone tells.
    v7 = bytearray(tarfile.TarInfo("a").tobuf(tarfile.USTAR_FORMAT))
    v7[257:265] = bytes(8)
    v7[148:156] = b"%06o\0 " % (sum(v7[:148]) + sum(v7[156:]) + 256)
    assert is_tar(bytes(v7))
    assert not is_tar(bytes(512))
    assert not is_tar(b"\xff\xd8\xff" + bytes(509))


FILES = [(f"c{i % 2}/{i}.jpg", bytes([i]) * (300 * i)) for i in range(6)]


def test_every_cut_keeps_what_is_before_it():
    tar = written(FILES)
    whole, _ = read(tar)
    for cut in range(0, len(tar), 64):
        entries, damage = read(tar[:cut])
        assert entries == [row for row in whole if row[2] + row[3] <= cut]
        # The end mark is two blocks of zeros, of which one is enough; what follows is padding.
        end = whole[-1][2] + -(-whole[-1][3] // 512) * 512
        assert (damage is None) == (cut >= end + 512)


def test_damage_has_a_place():
    tar = bytearray(written(FILES))
    third = read(bytes(tar))[0][3][2] - 512
    tar[third + 2] ^= 1
    entries, damage = read(bytes(tar))
    assert len(entries) == 3
    assert damage.at == third
    assert "checksum" in damage.reason


def test_tars_that_were_joined_are_read_on():
    one, two = written(FILES[:2]), written(FILES[2:])
    assert len(read(one + two)[0]) == 6


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (slice(124, 136), b"-0000000777\0"),  # a negative size
        (slice(124, 136), b"0x00000777\0\0"),
        (slice(124, 136), b"\xff" + bytes(11)),
        (slice(124, 136), b"\x80" + b"\xff" * 11),
        (slice(124, 136), b"77777777777\0"),  # 8 GiB in a file of 10 kB
    ],
)
def test_headers_that_lie_about_a_size(field, value):
    tar = bytearray(written(FILES))
    tar[field] = value
    tar[148:156] = b"%06o\0 " % (sum(tar[:148]) + sum(tar[156:512]) + 256)
    entries, damage = read(bytes(tar))
    assert entries == []
    assert damage is not None


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(FORMATS),
    st.lists(st.tuples(st.integers(0, 12_000), st.binary(min_size=1, max_size=8))),
)
def test_any_damage_ends_in_members_or_in_damage(format_, changes):
    tar = bytearray(written([("long" * 30 + "/1.jpg", b"x" * 700), *FILES], format_=format_))
    for at, data in changes:
        tar[at : at + len(data)] = data
    entries, _ = read(bytes(tar))
    assert all(offset >= 0 and offset + size <= len(tar) for _, _, offset, size in entries)
    assert len(entries) <= len(tar) // 512


@given(st.binary(max_size=2000))
def test_any_bytes(data):
    read(data)


def test_a_stream_of_zeros_ends():
    """Padding is read up to a limit, not to the end of a disk."""
    stream = PlainStream(io.BytesIO(bytes(2**21)), 2**21)
    assert list(itertools.islice(members(stream), 2)) == []
    assert stream.at < 2**21
