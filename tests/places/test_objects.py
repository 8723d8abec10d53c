"""The face of an object path, held against pathlib's on the same files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vitctl.artifacts.files import remove_tree, write_atomic
from vitctl.errors import UsageError
from vitctl.places import ObjectPath, children, place

FILES = {"a.txt": b"one", "sub/b.bin": b"\x00" * 5, "sub/deep/c": b"", "subway": b"no folder"}


@pytest.fixture(params=["folder", "memory"])
def root(request, tmp_path, memory):
    """The same files in a folder and in a bucket."""
    root = tmp_path / "store" if request.param == "folder" else memory
    for name, content in FILES.items():
        path = root
        for part in name.split("/"):
            path = path / part
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content)
    return root


def test_what_is_there(root):
    there = {
        name: ((root / name).is_file(), (root / name).is_dir(), (root / name).exists())
        for name in ("a.txt", "sub", "sub/deep/c", "nothing", "su", "a.txt/x")
    }
    assert there == {
        "a.txt": (True, False, True),
        "sub": (False, True, True),
        "sub/deep/c": (True, False, True),
        "nothing": (False, False, False),
        "su": (False, False, False),
        "a.txt/x": (False, False, False),
    }


def test_listing_and_sizes(root):
    assert [(c.name, c.is_dir()) for c in children(root)] == [
        ("a.txt", False),
        ("sub", True),
        ("subway", False),
    ]
    assert (root / "sub" / "b.bin").stat().st_size == 5
    with pytest.raises(FileNotFoundError):
        (root / "nothing").stat()


def test_reading_what_is_not_there(root):
    with pytest.raises(FileNotFoundError) as caught:
        (root / "nothing").read_bytes()
    assert str(caught.value.filename) == str(root / "nothing")
    assert caught.value.strerror == "No such file or directory"


def test_replacing_and_removing(root):
    write_atomic(root / "a.txt", b"two")
    assert (root / "a.txt").read_text() == "two"
    (root / "a.txt").unlink()
    (root / "a.txt").unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        (root / "a.txt").unlink()
    remove_tree(root / "sub")
    assert [child.name for child in children(root)] == ["subway"]


def test_parts(memory):
    path = memory / "a" / "b.txt"
    assert str(path) == f"memory://{memory.bucket}/store/a/b.txt"
    assert (path.name, path.suffix, path.parent.parent) == ("b.txt", ".txt", memory)
    assert path.is_relative_to(memory)
    assert not (memory.parent / "store2").is_relative_to(memory)


def test_no_library_takes_it_for_a_local_file(memory):
    with pytest.raises(TypeError):
        os.fspath(memory)
    with pytest.raises(TypeError):
        Path(memory)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("gs://b/x/", ObjectPath("gs", "b/x")),
        ("s3://b//x/./y", ObjectPath("s3", "b/x/y")),
        ("s3:/b", Path("s3:/b")),
        ("a/b", Path("a/b")),
        ("~x://y", Path("~x://y")),
    ],
)
def test_what_a_text_means(text, meant):
    assert place(text) == meant


@pytest.mark.parametrize("text", ["s3://", "gs:///", "http://x/y", "s3://b/../c", "file:///tmp"])
def test_urls_of_no_store(text):
    with pytest.raises(UsageError):
        place(text)
