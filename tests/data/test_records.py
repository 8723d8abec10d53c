from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitctl.data import records as records_module
from vitctl.data.records import Shard, ShardedRecords, open_writer
from vitctl.errors import DoesNotFitError, InputError


def write(path, contents):
    with open_writer(path) as writer:
        for content in contents:
            writer.write(content)
    return Shard(path, len(contents))


@pytest.fixture(scope="module")
def sharded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    contents = [b"%d" % i * 40 for i in range(30)]
    cuts = [(0, 11), (11, 11), (11, 29), (29, 30)]  # one of them empty
    shards = [write(folder / f"{i}", contents[a:b]) for i, (a, b) in enumerate(cuts)]
    return shards, contents


@settings(max_examples=50)
@given(st.lists(st.integers(0, 29), max_size=40))
def test_records_come_in_the_order_asked_for(sharded, wanted):
    shards, contents = sharded
    result = ShardedRecords(shards).read(np.array(wanted, np.int64))
    assert result == [contents[i] for i in wanted]


@pytest.mark.parametrize("limit", [1, 2])
def test_few_shards_are_open_at_a_time(sharded, monkeypatch, limit):
    monkeypatch.setattr(records_module, "_MAX_OPEN_SHARDS", limit)
    shards, contents = sharded
    reader = ShardedRecords(shards)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        assert reader.read(np.arange(30)) == contents
        assert len(os.listdir("/proc/self/fd")) <= before + limit
    reader.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_shard_that_is_slow_is_read_by_several_readers(sharded, monkeypatch):
    """The same records, by more readers from read to read, of which each is used by one thread."""
    shards, contents = sharded
    monkeypatch.setattr(records_module, "_SLOW_S", 0.0)
    monkeypatch.setattr(records_module, "_THREADS", 12)
    reader = ShardedRecords(shards)
    rng = np.random.default_rng(0)
    before = len(os.listdir("/proc/self/fd"))
    for readers in (1, 2, 4, 4):  # three shards have records
        wanted = np.concatenate([rng.permutation(30), rng.integers(0, 30, 30)])
        assert reader.read(wanted) == [contents[i] for i in wanted]
        # The last shard has one record, so at most as many readers as it occurs in the read.
        opened = len(os.listdir("/proc/self/fd")) - before
        assert 2 * readers < opened <= 3 * readers
    reader.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_shard_in_memory_has_one_reader(sharded, monkeypatch):
    monkeypatch.setattr(records_module, "_SLOW_S", float("inf"))
    shards, contents = sharded
    reader = ShardedRecords(shards)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        assert reader.read(np.arange(30)) == contents
    assert len(os.listdir("/proc/self/fd")) == before + 3
    reader.close()


def test_no_reader_is_in_use_after_an_error(sharded, monkeypatch):
    """Whoever caught it may read again, by the same readers, or close them."""
    shards, _ = sharded
    ended, failed = [], threading.Event()

    def read(path, reader, within):
        if path == shards[0].path:
            failed.set()
            raise InputError("damaged")
        assert failed.wait(10)
        time.sleep(0.05)
        ended.append(path)
        return reader.read(within), 0.0

    monkeypatch.setattr(records_module, "_read", read)
    reader = ShardedRecords(shards)
    with pytest.raises(InputError, match="damaged"):
        reader.read(np.arange(30))
    assert sorted(ended) == [shards[2].path, shards[3].path]
    reader.close()


def test_locate(sharded):
    shards, _ = sharded
    reader = ShardedRecords(shards)
    assert reader.locate(10) == (shards[0].path, 10)
    assert reader.locate(11) == (shards[2].path, 0)
    assert reader.locate(29) == (shards[3].path, 0)


def test_same_records_same_bytes(tmp_path):
    contents = [b"x" * n for n in range(200)]
    write(tmp_path / "a", contents)
    write(tmp_path / "b", contents)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "short", "not one"])
def test_a_shard_that_is_not_whole_is_refused(tmp_path, damage):
    path = tmp_path / "shard"
    shard = write(path, [bytes([i]) * 1000 for i in range(250)])
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "short":
        write(path, [b"x"])
    else:
        path.write_bytes(b"not an array record" * 10000)
    with pytest.raises(InputError) as error:
        ShardedRecords([shard]).read(np.array([0]))
    assert str(path) in error.value.message
    assert error.value.hint


def test_a_flipped_byte_is_found_and_located(tmp_path):
    path = tmp_path / "shard"
    shard = write(path, [bytes([i]) * 1000 for i in range(200)])
    content = bytearray(path.read_bytes())
    at = content.index(bytes([77]) * 1000) + 500
    content[at] ^= 1
    path.write_bytes(content)
    reader = ShardedRecords([shard])
    assert reader.read(np.array([76, 78])) == [bytes([76]) * 1000, bytes([78]) * 1000]
    with pytest.raises(InputError, match=f"record 77 of {path}"):
        reader.read(np.array([3, 77, 5]))


def test_a_full_disk_is_told_as_such():
    """/dev/full takes no byte; the library reports that late, as a text."""
    with pytest.raises(DoesNotFitError, match="disk is full"):
        write(Path("/dev/full"), [b"x" * 100_000] * 100)


def test_a_limit_of_the_shell_is_no_full_disk(tmp_path):
    """Of the process that writes; Python ignores the signal that would end it."""
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "from tests.data.test_records import write\n"
        "from vitctl.errors import DoesNotFitError\n"
        "from pathlib import Path\n"
        "try: write(Path('shard'), [b'x' * 100_000] * 100)\n"
        "except DoesNotFitError as error: print(error.message)\n"
    )
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        # Compiled modules would be cut off at the limit, too, and stay so.
        env={**os.environ, "PYTHONPATH": root, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert "ulimit -f" in done.stdout, done.stderr


def test_a_missing_folder_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write(tmp_path / "none" / "shard", [])


def test_an_aborted_write_leaves_no_handle(tmp_path):
    def interrupted():
        with open_writer(tmp_path / "shard") as writer:
            writer.write(b"x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with pytest.raises(InputError):
        ShardedRecords([Shard(tmp_path / "shard", 2)]).read(np.array([0]))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no other name for an open file")
def test_shards_below_a_path_that_is_not_utf8_are_read(sharded, tmp_path):
    """The library takes text only; what names the open file is gone when it is used."""
    shards, contents = sharded
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    copies = [Shard(folder / shard.path.name, shard.records) for shard in shards]
    for shard, copy in zip(shards, copies, strict=True):
        copy.path.write_bytes(shard.path.read_bytes())
    before = len(os.listdir("/proc/self/fd"))
    reader = ShardedRecords(copies)
    assert reader.read(np.arange(30)) == contents
    reader.close()
    assert len(os.listdir("/proc/self/fd")) == before
