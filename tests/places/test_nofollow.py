"""What lies outside a base stays as it is, whatever links lie below it."""

from __future__ import annotations

import os
import pickle
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vitctl.places import nofollow, place
from vitctl.places.local import LocalPath, based
from vitctl.places.nofollow import LinkError

NAMES = ("one", "two", "three")
PATH = "/".join(NAMES)


class Outside(NamedTuple):
    """A folder with a file and a folder in it, which must not change."""

    root: Path

    @classmethod
    def make(cls, root: Path) -> Outside:
        (root / "folder" / "two").mkdir(parents=True)
        for name in ("file", "folder/file", "folder/three", "folder/two/three"):
            (root / name).write_text(f"content of {name}")
        for path in (root, *root.rglob("*")):
            os.utime(path, ns=(10**18, 10**18))
        return cls(root)

    def state(self) -> list[tuple[object, ...]]:
        rows = []
        for path in (self.root, *sorted(self.root.rglob("*"))):
            status = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(status.st_mode) else None
            rows.append(
                (
                    str(path),
                    status.st_mode,
                    status.st_ino,
                    status.st_nlink,
                    status.st_mtime_ns,
                    content,
                )
            )
        return rows


def _write(path: LocalPath) -> None:
    with nofollow.opened(path, "w") as file:
        file.write("other")


def _append(path: LocalPath) -> None:
    with nofollow.opened(path, "ab") as file:
        file.write(b"other")


def _renamed_to(path: LocalPath) -> None:
    source = place(path.base or "") / "source"
    _write(source)
    nofollow.rename(source, path)


def _locked(path: LocalPath) -> None:
    os.close(nofollow.descriptor(path, os.O_RDWR | os.O_CREAT))


def _listed(path: LocalPath) -> None:
    for entry in nofollow.listing(path):
        nofollow.remove(path / entry.name)


def _size(path: LocalPath) -> None:
    [size] = nofollow.sizes(place(path.base or ""), [PATH])
    if isinstance(size, Exception):
        raise size


REFUSED: dict[str, Callable[[LocalPath], object]] = {
    "write": _write,
    "append": _append,
    "write_atomic": lambda path: place(path).write_atomic(b"other"),
    "rename": _renamed_to,
    "make_folder": nofollow.make_folder,
    "make_below": lambda path: nofollow.make_folder(path / "more"),
    "lock": _locked,
    "truncate": lambda path: nofollow.truncate(path, 0),
    "remove_tree": nofollow.remove_tree,
    "remove_tree_ignoring": lambda path: nofollow.remove_tree(path, ignore_errors=True),
    "remove_listed": _listed,
    "read": nofollow.read,
    "sync": nofollow.sync,
    "sizes": _size,
    "checked": nofollow.checked,
}
ALL = {
    **REFUSED,
    "remove": lambda path: nofollow.remove(path, missing_ok=True),
    "remove_folder": nofollow.remove_folder,
}


def plant(base: Path, *, level: int, target: Path) -> Path:
    """A link in the place of the name at that level of PATH."""
    link = base.joinpath(*NAMES[: level + 1])
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)
    return link


@pytest.mark.parametrize("to", ["folder", "file", "nothing", "missing/below"])
@pytest.mark.parametrize("level", range(len(NAMES)))
@pytest.mark.parametrize("action", ALL)
def test_a_link_at_any_level_is_refused_and_what_it_points_to_stays(tmp_path, action, level, to):
    outside = Outside.make(tmp_path / "outside")
    base = tmp_path / "store"
    link = plant(base, level=level, target=outside.root / to)
    before = outside.state()
    last = level == len(NAMES) - 1
    if action == "remove" and last:
        nofollow.remove(place(base) / PATH)
        assert not link.is_symlink()
    elif action == "remove_folder" and last:
        with pytest.raises(NotADirectoryError):
            nofollow.remove_folder(place(base) / PATH)
    else:
        with pytest.raises(LinkError, match="is a symbolic link") as error:
            ALL[action](place(base) / PATH)
        assert str(link) in error.value.message
        assert str(link) in (error.value.hint or "")
        assert error.value.exit_code == 3
        assert link.is_symlink()
    assert outside.state() == before


@pytest.mark.parametrize("action", REFUSED)
def test_links_to_the_base_and_above_it_are_followed(tmp_path, action):
    (tmp_path / "real" / "store" / "one" / "two").mkdir(parents=True)
    (tmp_path / "above").symlink_to(tmp_path / "real")
    (tmp_path / "store").symlink_to(tmp_path / "above" / "store")
    folder = action in ("make_folder", "make_below", "remove_listed") or "tree" in action
    for base in (tmp_path / "store", tmp_path / "above" / "store"):
        path = place(base) / PATH
        path.mkdir() if folder else path.write_text("old")
        ALL[action](path)
        with suppress(FileNotFoundError):
            nofollow.remove_tree(path) if folder else nofollow.remove(path)


def test_of_links_in_a_tree_that_is_removed_only_the_links_go(tmp_path):
    outside = Outside.make(tmp_path / "outside")
    before = outside.state()
    tree = tmp_path / "store" / "tree"
    tree.mkdir(parents=True)
    (tree / "folder").symlink_to(outside.root / "folder")
    (tree / "file").symlink_to(outside.root / "file")
    nofollow.remove_tree(place(tmp_path / "store") / "tree")
    assert not tree.exists()
    assert outside.state() == before


def test_a_folder_exchanged_for_a_link_between_look_and_write_is_not_followed(
    tmp_path, monkeypatch
):
    """The folder is open by then: what is written goes where it was, not where the link points."""
    outside = Outside.make(tmp_path / "outside")
    before = outside.state()
    base = tmp_path / "store"
    (base / "one" / "two").mkdir(parents=True)
    opening, moved = os.open, []

    def exchanging(name, flags, *more, **options):
        if name == "three" and not moved:
            (base / "one" / "two").rename(base / "moved")
            (base / "one" / "two").symlink_to(outside.root / "folder")
            moved.append(name)
        return opening(name, flags, *more, **options)

    monkeypatch.setattr("os.open", exchanging)
    _write(place(base) / PATH)
    assert moved
    assert (base / "moved" / "three").read_text() == "other"
    assert outside.state() == before


# Hard links, as `cp -al STORE COPY` makes them


@pytest.mark.parametrize("action", ["write", "append", "truncate", "write_atomic"])
def test_what_changes_a_file_changes_it_under_one_name(tmp_path, action):
    original, copy = tmp_path / "original", place(tmp_path) / "copy"
    original.write_text("rows")
    original.chmod(0o640)
    os.link(original, copy)
    ALL[action](copy)
    assert original.read_text() == "rows"
    assert (original.stat().st_nlink, copy.stat().st_nlink) == (1, 1)
    expected = {"append": "rowsother", "truncate": ""}
    assert copy.read_text() == expected.get(action, "other")
    if action in ("append", "truncate"):
        assert stat.S_IMODE(copy.stat().st_mode) == 0o640
    assert {path.name for path in tmp_path.iterdir()} == {"original", "copy"}


def test_a_file_with_one_name_stays_the_same_file(tmp_path):
    path = place(tmp_path) / "file"
    path.write_text("rows")
    inode = path.stat().st_ino
    _append(path)
    nofollow.truncate(path, 4)
    _write(path)
    assert path.stat().st_ino == inode


# Paths


def test_paths_made_from_one_keep_its_base(tmp_path):
    base = place(tmp_path / "store")
    path = base / "a" / "b.txt"
    same = [
        path,
        base.joinpath("a", "b.txt"),
        path.parent / "b.txt",
        path.with_name("b.txt"),
        path.with_suffix(".png").with_suffix(".txt"),
        pickle.loads(pickle.dumps(path)),
    ]
    assert {(str(p), p.base) for p in same} == {(str(path), str(base))}
    path.parent.mkdir(parents=True)
    path.touch()
    for child in (*base.iterdir(), *base.glob("*"), *base.rglob("*.txt")):
        assert child.base == str(base)
    assert path == Path(str(path))
    assert hash(path) == hash(Path(str(path)))


def test_above_its_base_a_path_is_a_base_itself(tmp_path):
    base = place(tmp_path / "store" / "run" / "checkpoints" / "5")
    run = base.parent.parent
    assert run.base == str(run)
    assert (run / "pins").base == str(run)
    assert (based("a") / "b").parent.parent.base == "."


def test_a_path_that_leaves_its_base_or_has_none_changes_nothing(tmp_path):
    with pytest.raises(ValueError, match="leaves its base"):
        nofollow.remove(place(tmp_path) / "a" / ".." / ".." / "b")
    with pytest.raises(ValueError, match="has no base"):
        nofollow.remove(LocalPath(tmp_path / "a"))
    assert (place(tmp_path) / "/etc").base == "/etc"


def test_a_relative_base_is_one_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outside").mkdir()
    (tmp_path / "link").symlink_to("outside")
    for base in (".", "store"):
        place(place(base) / "file").write_atomic(b"") if base == "." else nofollow.make_folder(
            place(base) / "a"
        )
    with pytest.raises(LinkError):
        place(place(".") / "link" / "file").write_atomic(b"")
    assert not list((tmp_path / "outside").iterdir())


# Properties


@st.composite
def trees(draw):
    """Names below a base, each a file, a folder or a link to one outside."""
    names = st.sampled_from(["a", "b", "c"])
    paths = draw(st.lists(st.lists(names, min_size=1, max_size=4).map("/".join), max_size=8))
    return [(path, draw(st.sampled_from(["file", "folder", "link"]))) for path in paths]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    tree=trees(),
    actions=st.lists(
        st.tuples(
            st.sampled_from(sorted(ALL)),
            st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4).map("/".join),
        ),
        max_size=12,
    ),
    targets=st.lists(
        st.sampled_from(["file", "folder", "nothing", "folder/two", "."]), min_size=8, max_size=8
    ),
)
def test_whatever_is_done_below_a_base_nothing_outside_changes(
    tmp_path_factory, tree, actions, targets
):
    tmp_path = tmp_path_factory.mktemp("tree")
    outside = Outside.make(tmp_path / "outside")
    before = outside.state()
    base = tmp_path / "store"
    base.mkdir()
    for (path, kind), target in zip(tree, targets, strict=False):
        where = base / path
        with suppress(OSError):
            real = where.parent.resolve()
            if not real.is_relative_to(base) or os.path.lexists(where):
                continue
            where.parent.mkdir(parents=True, exist_ok=True)
            if kind == "link":
                where.symlink_to(outside.root / target)
            elif kind == "folder":
                where.mkdir()
            else:
                where.write_text("own")
    for action, path in actions:
        with suppress(OSError, LinkError):
            ALL[action](place(base) / path)
    assert outside.state() == before
