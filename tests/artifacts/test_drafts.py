"""A directory on its way: continued after a crash, never taken from someone else."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from tests.artifacts.making import made, recipe
from vitctl.artifacts import Store
from vitctl.artifacts.files import strangers
from vitctl.artifacts.newest import newest_whole
from vitctl.errors import DoesNotFitError, InputError, OverwriteError, UsageError
from vitctl.places import nofollow, place
from vitctl.places.based_path import becomes, temporary_name
from vitctl.places.local import based
from vitctl.places.nofollow import sync


class Crash(Exception):
    pass


def begun(store, wanted, **places):
    """Start an artifact and die in the middle."""
    with suppress(Crash), store.open(wanted, name="thing", **places) as draft:
        (draft.path / "half.bin").write_bytes(b"half")
        raise Crash
    return draft.path


@pytest.mark.parametrize("error", [DoesNotFitError, InputError, UsageError, KeyboardInterrupt])
def test_what_is_refused_before_any_work_leaves_no_draft(store, error):
    """Folders that were made beforehand are no work; nothing unfinished is listed."""

    def refused():
        with store.open(recipe(), name="thing") as draft:
            (draft.path / "reports" / "inner").make_folder()
            raise error("no")

    with pytest.raises(error):
        refused()
    assert list(store.root.glob("*/*")) == []


def test_a_folder_that_is_a_link_is_no_empty_folder(store, tmp_path):
    with suppress(Crash), store.open(recipe(), name="thing") as draft:
        (draft.path / "reports").symlink_to(tmp_path)
        raise Crash
    assert (draft.path / "reports").is_symlink()


def test_a_crash_leaves_a_draft_that_is_continued(store):
    path = begun(store, recipe(a=1))
    assert not (path / "artifact.json").exists()
    assert not (path / ".lock").exists()
    with store.open(recipe(a=1), name="thing") as draft:
        assert draft.finished is None
        assert draft.path == path
        assert (path / "half.bin").read_bytes() == b"half"
        artifact = draft.publish(summary={})
    assert sorted(p.name for p in path.iterdir()) == ["artifact.json", "half.bin"]
    assert [entry.path for entry in artifact.manifest.files] == ["half.bin"]


def test_finished_work_is_found_under_any_name(store):
    first = made(store, recipe(a=1), name="one")
    second = made(store, recipe(a=1), name="two", content=b"never written")
    assert second == first
    assert first.path.name == f"one-{first.id[:8]}"


def test_other_settings_go_elsewhere(store):
    assert made(store, recipe(a=1)).path != made(store, recipe(a=2)).path


def test_force_makes_it_again(store):
    first = made(store, recipe(), content=b"old")
    again = made(store, recipe(), content=b"new", force=True)
    assert (again.path, again.id) == (first.path, first.id)
    assert again.digest != first.digest


def test_force_replaces_a_damaged_manifest(store):
    artifact = made(store, recipe())
    (artifact.path / "artifact.json").write_text("{")
    with pytest.raises(InputError) as error:
        made(store, recipe())
    assert "--force" in error.value.hint
    assert made(store, recipe(), force=True).digest == artifact.digest


def test_an_out_folder_of_another_configuration_is_kept(store, tmp_path):
    out = tmp_path / "out"
    first = made(store, recipe(a=1), out=out)
    with pytest.raises(OverwriteError, match="already holds another artifact") as error:
        made(store, recipe(a=2), out=out)
    assert error.value.exit_code == 5
    assert made(store, recipe(a=1), out=out) == first
    assert made(store, recipe(a=2), out=out, force=True).config == {"a": 2}


def test_unfinished_work_of_another_configuration_is_kept(store, tmp_path):
    out = tmp_path / "out"
    begun(store, recipe(a=1), out=out)
    with pytest.raises(OverwriteError, match="unfinished work of another configuration"):
        made(store, recipe(a=2), out=out)
    assert (out / "half.bin").exists()
    assert made(store, recipe(a=2), out=out, force=True).manifest.files[0].path == "data.bin"
    assert not (out / "half.bin").exists()


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    "theirs",
    ["notes.txt", "draft.json", "run.json", "artifact.json", "checkpoints/1/x"],
)
def test_a_folder_of_someone_else_is_never_touched(store, tmp_path, theirs, force):
    """Other programs have files of these names, too; --force is no licence to delete them."""
    out = tmp_path / "out"
    file = out / theirs
    file.parent.mkdir(parents=True)
    file.write_text('{"mine": 1}')
    with pytest.raises((OverwriteError, InputError)):
        made(store, recipe(), out=out, force=force)
    assert file.read_text() == '{"mine": 1}'


@pytest.mark.parametrize("name", ["draft.json", "run.json", "artifact.json"])
def test_a_kill_while_the_first_file_is_written_blocks_nothing(store, tmp_path, name):
    out = tmp_path / "out"
    out.mkdir()
    (out / f".tmp-{name}.4711").write_text("hal")
    made(store, recipe(), out=out)
    assert sorted(p.name for p in out.iterdir()) == ["artifact.json", "data.bin"]


@pytest.mark.parametrize("name", [".tmp-notes.txt.1", ".tmp-draft.json.x", ".tmp-draft.json"])
def test_temporary_files_of_someone_else_are_no_leftovers(store, tmp_path, name):
    out = tmp_path / "out"
    out.mkdir()
    (out / name).touch()
    with pytest.raises(OverwriteError, match="not this command's work"):
        made(store, recipe(), out=out)
    assert (out / name).exists()


def test_an_interrupted_force_is_finished_by_the_next_command(store, tmp_path, monkeypatch):
    out = tmp_path / "out"
    made(store, recipe(a=1), out=out)
    (out / "sub").mkdir()

    def die(*_, **__):
        raise Crash

    monkeypatch.setattr("shutil.rmtree", die)
    with pytest.raises(Crash):
        made(store, recipe(a=1), out=out, force=True)
    monkeypatch.undo()
    assert not (out / "artifact.json").exists()
    assert made(store, recipe(a=2), out=out).config == {"a": 2}
    assert not (out / "sub").exists()


@pytest.mark.parametrize("option", ["--out", "--store"])
def test_a_file_in_the_way_is_named(tmp_path, option):
    (tmp_path / "file").write_text("")
    places = {"out": tmp_path / "file" / "below"} if option == "--out" else {}
    store = Store(tmp_path / "file" if option == "--store" else tmp_path / "s")
    with pytest.raises(UsageError, match=rf"{option} .*: .*file is not a folder"):
        made(store, recipe(), **places)


def test_finished_work_is_found_where_nothing_may_be_written(store, monkeypatch):
    artifact = made(store, recipe())

    opening = os.open

    def refused(path, flags, *more, **options):
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise PermissionError(13, "Permission denied")
        return opening(path, flags, *more, **options)

    monkeypatch.setattr("os.open", refused)
    with store.open(recipe(), name="thing") as draft:
        assert draft.finished == artifact


def test_atomic_writes_leave_the_old_or_the_new(tmp_path, monkeypatch):
    file = tmp_path / "f"
    place(file).write_atomic(b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space") as error:
        place(file).write_atomic(b"new")
    assert error.value.filename == str(file)
    assert file.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_two_writers_of_one_name_and_one_process_id_do_not_meet(tmp_path, monkeypatch):
    """Threads have one, and two hosts of a shared disk can. The one who renames first would take
    the other's half of the content."""
    folder = based(tmp_path)
    contents = [bytes([65 + i]) * 4096 for i in range(4)]
    barrier, at_rename = threading.Barrier(len(contents)), nofollow.rename

    def rename(source, target):
        barrier.wait(timeout=60)
        at_rename(source, target)

    monkeypatch.setattr(nofollow, "rename", rename)
    with ThreadPoolExecutor(len(contents)) as threads:
        list(threads.map((folder / "index.json").write_atomic, contents))
    assert (folder / "index.json").read_bytes() in contents
    assert [path.name for path in tmp_path.iterdir()] == ["index.json"]


def test_a_temporary_name_says_what_it_becomes():
    assert temporary_name("run.json") != temporary_name("run.json")
    for name in (temporary_name("run.json"), ".tmp-run.json.4711"):  # as earlier versions did
        assert becomes(name) == "run.json"
    for name in ("run.json.4711", ".tmp-run.json", ".tmp-run.json.x", ".tmp-run.json."):
        assert becomes(name) is None


def test_file_systems_without_fsync_of_folders_are_forgiven(tmp_path, monkeypatch):
    def unknown(*_):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr("os.fsync", unknown)
    sync(tmp_path)


def test_the_draft_says_what_it_will_be(store):
    path = begun(store, recipe(a=1))
    note = json.loads((path / "draft.json").read_text())
    assert (note["stage"], note["kind"], note["id"]) == ("shard", "dataset", recipe(a=1).id)


def test_what_failed_before_it_wrote_anything_leaves_no_draft(store):
    with suppress(Crash), store.open(recipe(a=1), name="thing") as draft:
        raise Crash
    assert not draft.path.exists()
    assert list(store.directories()) == []
    assert made(store, recipe(a=1)).path == draft.path


def test_of_what_cannot_be_continued_nothing_stays(store):
    path = begun(store, recipe(a=1), resumable=False)
    assert not path.exists()


def test_a_folder_that_was_there_stays(store, tmp_path):
    out = tmp_path / "mine"
    out.mkdir()
    with suppress(Crash), store.open(recipe(a=1), name="thing", out=out):
        raise Crash
    assert list(out.iterdir()) == []


def test_a_finished_artifact_outlives_an_error_after_it(store):
    with suppress(Crash), store.open(recipe(a=1), name="thing", resumable=False) as draft:
        (draft.path / "data.bin").write_bytes(b"whole")
        draft.publish(summary={})
        raise Crash
    assert (draft.path / "data.bin").read_bytes() == b"whole"
    assert newest_whole(store, "dataset").path == draft.path


def test_what_a_killed_writer_left_is_not_published(store):
    with store.open(recipe(), name="thing") as draft:
        draft.write("data.bin", b"content")
        (draft.path / ".tmp-images.array_record-00001.77").write_bytes(b"half a shard")
        (draft.path / ".tmp-.lock.held.77").write_bytes(b"of one that waits")
        draft.publish(summary={})
    left = sorted(p.name for p in draft.path.iterdir() if p.name != ".lock")
    assert left == [".tmp-.lock.held.77", "artifact.json", "data.bin"]


def test_strangers_are_what_is_neither_published_nor_bookkeeping(store):
    artifact = made(store, recipe())
    for name in (".tmp-shard.77", "notes", ".lock", ".lock.held", ".tmp-.lock.held.1"):
        (artifact.path / name).write_bytes(b"")
    (artifact.path / "deep").mkdir()
    (artifact.path / "deep" / ".tmp-x").write_bytes(b"")
    own = {entry.path for entry in artifact.manifest.files}
    assert strangers(artifact.path, own=own) == [".tmp-shard.77", "deep/.tmp-x", "notes"]
