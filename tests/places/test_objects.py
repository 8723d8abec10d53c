"""The face of an object path, held against pathlib's on the same files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vitctl.errors import UsageError
from vitctl.places import ObjectPath, place

FILES = {"a.txt": b"one", "sub/b.bin": b"\x00" * 5, "sub/deep/c": b"", "subway": b"no folder"}


@pytest.fixture(params=["folder", "memory"])
def root(request, tmp_path, memory):
    """The same files in a folder and in a bucket."""
    root = place(tmp_path / "store") if request.param == "folder" else memory
    for name, content in FILES.items():
        path = root
        for part in name.split("/"):
            path = path / part
        path.parent.make_folder()
        path.write_atomic(content)
    return root


def test_what_is_there(root):
    names = {
        name: ((root / name).is_file(), (root / name).is_dir(), (root / name).exists())
        for name in ("a.txt", "sub", "sub/deep/c", "nothing", "su", "a.txt/x")
    }
    assert names == {
        "a.txt": (True, False, True),
        "sub": (False, True, True),
        "sub/deep/c": (True, False, True),
        "nothing": (False, False, False),
        "su": (False, False, False),
        "a.txt/x": (False, False, False),
    }


def test_listing_and_sizes(root):
    assert [(c.name, c.is_dir()) for c in root.children()] == [
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
    (root / "a.txt").write_atomic(b"two")
    assert (root / "a.txt").read_text() == "two"
    (root / "a.txt").remove()
    (root / "a.txt").remove(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        (root / "a.txt").remove()
    (root / "sub").remove_tree()
    assert [child.name for child in root.children()] == ["subway"]


def test_what_places_answer_alike(root):
    below = ["a.txt", "sub/b.bin", "sub/deep/c", "subway"]
    assert sorted(root.files_below()) == below
    sizes = list(root.sizes([*below, "nothing"]))
    assert sizes[:-1] == [3, 5, 0, 9]
    assert isinstance(sizes[-1], FileNotFoundError)
    assert b"".join((root / "a.txt").blocks()) == (root / "a.txt").read_itself() == b"one"
    with (root / "a.txt").open("rb") as file:
        assert file.read(2) == b"on"
    assert root.each(len, ["a", "bc"]) == root.each(len, ["a", "bc"], reads=True) == [1, 2]
    assert root.links() == []
    root.refuse_link()
    assert sorted(root.files_below(refuse_links=True)) == below
    assert not root.is_read_only
    root.sync()


def test_what_places_do_alike(root):
    (root / "new").write_new(b"1")
    (root / "new").write_behind(b"2")
    (root / "new").write_atomic(b"3")
    assert (root / "new").read_bytes() == b"3"
    (root / "sub").remove_if_empty()
    assert (root / "sub" / "b.bin").is_file()
    (root / "made" / "inside").make_folder()
    (root / "made" / "inside" / "x").write_atomic(b"")
    assert (root / "made" / "inside" / "x").is_file()


def test_where_one_place_lies_in_another(root, memory, tmp_path):
    assert (root / "sub" / "b.bin").inside(root) == "sub/b.bin"
    assert root.inside(root / "sub") is None
    assert (root / "subway").inside(root / "sub") is None
    for other in (place(tmp_path / "other"), place("memory://other/store")):
        assert (root / "a.txt").inside(other) is None
    assert (root.absolute(), root.based()) == (root, root)


def test_a_place_is_in_one_place(root):
    assert [root.local, root.remote].count(None) == 1
    assert (root.local or root.remote) is root


def test_in_a_bucket_what_is_there_already_is_not_written_anew(memory):
    (memory / "artifact.json").write_new(b"mine")
    (memory / "artifact.json").write_new(b"mine")  # a request whose answer was lost
    with pytest.raises(FileExistsError):
        (memory / "artifact.json").write_new(b"another's")
    assert (memory / "artifact.json").read_bytes() == b"mine"


def test_what_stands_in_the_way_of_a_folder(root):
    assert (root / "sub" / "new").stands_in_the_way() is None
    expected = None if root.local is None else root / "a.txt"
    assert (root / "a.txt" / "x" / "y").stands_in_the_way() == expected


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
