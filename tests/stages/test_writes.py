"""The recorder of writes (see conftest.py) sees what it is there for."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from threading import Thread

import pytest

from tests.stages import writes
from tests.stages.writes import recording
from vitctl.places import local, nofollow, place


def run_as(module: str, code: str, **names: object) -> None:
    """As if the module had these lines."""
    file = writes.ROOT / Path(*module.split(".")).with_suffix(".py")
    exec(compile(code, str(file), "exec"), {"os": os, "shutil": shutil, **names})


@pytest.mark.parametrize(
    ("code", "event"),
    [
        ("open(path, 'w').close()", "open"),
        ("open(path, 'r+b').close()", "open"),
        ("os.close(os.open(path, os.O_RDWR))", "open"),
        ("path.write_bytes(b'')", "open"),
        ("path.unlink()", "os.remove"),
        ("os.rename(path, outside)", "os.rename"),
        ("os.replace(outside, path)", "os.rename"),
        ("path.parent.joinpath('new').mkdir()", "os.mkdir"),
        ("os.link(outside, f'{path}.link')", "os.link"),
        ("os.symlink(outside, f'{path}.link')", "os.symlink"),
        ("os.truncate(path, 0)", "os.truncate"),
        ("os.utime(path)", "os.utime"),
        ("os.chmod(path, 0o600)", "os.chmod"),
        ("shutil.copyfile(outside, path)", "shutil.copyfile"),
        ("shutil.rmtree(path.parent)", "shutil.rmtree"),
        ("folder = os.open(path.parent, os.O_RDONLY); os.remove('file', dir_fd=folder)",
         "os.remove"),
        ("folder = os.open(path.parent, os.O_RDONLY); os.rename('file', 'new', src_dir_fd=folder, "
         "dst_dir_fd=folder)", "os.rename"),
    ],
)  # fmt: skip
def test_a_planted_write_is_reported(tmp_path, code, event):
    (tmp_path / "store" / "folder").mkdir(parents=True)
    path, outside = tmp_path / "store" / "folder" / "file", tmp_path / "outside"
    path.touch()
    outside.touch()
    with recording(tmp_path / "store") as recorded:
        run_as("stages.shard.run", code, path=path, outside=outside)
    assert event in {write.event for write in recorded}
    for write in recorded:
        assert not write.allowed
        assert write.module == "stages.shard.run"
        assert write.path.startswith(f"{tmp_path / 'store'}/")


def test_real_code_that_goes_another_way_is_reported(tmp_path, monkeypatch):
    folder = local.based(tmp_path / "store") / "pretrain" / "run"
    with recording(tmp_path) as recorded:
        folder.make_folder()
        place(folder / "file").write_atomic(b"content")
    assert recorded == []

    monkeypatch.setattr(nofollow, "make_folder", os.makedirs)
    with recording(tmp_path) as recorded:
        (folder / "one").make_folder()
    [write] = recorded
    assert write == ("os.mkdir", str(folder / "one"), "vitctl.places.local", "")
    assert not write.allowed


def test_threads_are_heard_and_what_a_library_writes_is_allowed_in_its_place_only(tmp_path):
    library = Path(writes._PACKAGES[0]) / "etils" / "epath" / "gpath.py"
    folder = tmp_path / "run" / "checkpoints" / "12"
    folder.mkdir(parents=True)
    code = compile("os.mkdir(path)", str(library), "exec")
    inside = folder / "params.orbax-checkpoint-tmp"
    with recording(tmp_path) as recorded:
        for path in (inside, folder / "other"):
            thread = Thread(target=exec, args=(code, {"os": os, "path": path}))
            thread.start()
            thread.join()
        exec(code, {"os": os, "path": inside / "called_from_a_test"})
    assert [(write.path, write.allowed) for write in recorded] == [
        (str(inside), True),
        (str(folder / "other"), False),
    ]


def test_what_is_read_or_lies_elsewhere_is_not_recorded(tmp_path):
    (tmp_path / "store").mkdir()
    path, outside = tmp_path / "store" / "file", tmp_path / "outside"
    path.touch()
    with recording(tmp_path / "store") as recorded:
        run_as("vitctl.artifacts.store", "open(path).close()", path=path)
        run_as("vitctl.artifacts.store", "open(outside, 'w').close()", outside=outside)
        path.write_text("by the test itself")
    assert recorded == []
