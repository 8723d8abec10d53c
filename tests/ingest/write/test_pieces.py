"""Shards made piece by piece are those that one worker makes, byte for byte."""

from __future__ import annotations

import functools

import pytest

from tests.data.encoded_images import encode, rgb
from vitctl.errors import InputError
from vitctl.ingest.columns import EntriesBuilder
from vitctl.ingest.pixels.storage import ImageStorage
from vitctl.ingest.sources.digits import InMemory
from vitctl.ingest.write import pieces
from vitctl.ingest.write.pieces import cut, gain_from_pieces, write_piece, write_shards_in_pieces
from vitctl.ingest.write.shard_plan import Unit
from vitctl.ingest.write.shard_writer import REPORTS, reader_closed_after, write_shard
from vitctl.places.local import based
from vitctl.workers.executors import ThisMachine
from vitctl.workers.task import Done, Moving

STORAGE = ImageStorage(max_pixels=10**6)


@pytest.fixture(scope="module")
def made():
    """(source, units): two shards of images that are stored, converted and rejected."""
    contents = [
        encode(rgb(), "JPEG"),
        encode(rgb(), "PNG"),
        encode(rgb().quantize(16), "PNG"),
        encode(rgb(), "JPEG")[:200],
        encode(rgb().convert("CMYK"), "JPEG"),
        b"no image",
    ]
    units, data = [], b""
    for number, count in enumerate((17, 9)):
        entries = EntriesBuilder()
        for i in range(count):
            image = contents[(i * 5 + number) % len(contents)]
            name, labels = f"{number}-{i}.jpg".encode(), (i % 3,)
            entries.add(name, size=len(image), mtime_ns=0, labels=labels, offset=len(data))
            data += image
        units.append(Unit("train", number, 2, entries.build()))
    return InMemory(data), units


def folder(path):
    path.mkdir()
    (path / REPORTS).mkdir()
    return based(path)


def files(path):
    return {
        str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()
    }


class Backwards(ThisMachine):
    """The last task is done first, and an image in hand crashes a worker twice."""

    def run(self, work, tasks, *, setup, name_of):
        return backwards(work, tasks)


def backwards(work, tasks):
    yield Moving(0)
    for number in reversed(range(len(tasks))):
        poisoned = {1: "SIGSEGV"} if number == 2 else {}
        yield Done(number, work(tasks[number], poisoned=poisoned, begin=lambda position: None))
        yield Moving(0)


@pytest.mark.parametrize("most", [1, 3, 256])
@pytest.mark.parametrize("workers", [1, 2])
def test_pieces_make_the_shards_and_reports_of_whole_units(
    tmp_path, made, monkeypatch, most, workers
):
    source, units = made
    monkeypatch.setattr(pieces, "_MOST_IMAGES", most)
    own = cut(units, workers=workers)
    crashed = own[2] if len(own) > 2 and len(own[2].entries) > 1 else None
    whole, joined = folder(tmp_path / "whole"), folder(tmp_path / "joined")
    with reader_closed_after():
        work = functools.partial(write_shard, source=source, directory=whole, storage=STORAGE)
        for number, unit in enumerate(units):
            at = crashed.first + 1 if crashed is not None and crashed.unit == number else None
            poisoned = {} if at is None else {at: "SIGSEGV"}
            work(unit, poisoned=poisoned, begin=lambda position: None)
        events = list(
            write_shards_in_pieces(
                units,
                source=source,
                directory=joined,
                storage=STORAGE,
                workers=Backwards(workers),
            )
        )
    assert files(tmp_path / "joined") == files(tmp_path / "whole")
    assert [event.task for event in events if isinstance(event, Done)] == [0, 1]
    images = sum(len(unit.entries) for unit in units)
    assert max(event.items for event in events if isinstance(event, Moving)) <= images


def test_nothing_is_left_of_pieces_that_were_stopped(tmp_path, made):
    source, units = made
    place = folder(tmp_path / "joined")
    with reader_closed_after():
        events = write_shards_in_pieces(
            units, source=source, directory=place, storage=STORAGE, workers=Backwards(2)
        )
        assert next(events) == Moving(0)
        assert next(events).items > 0
        assert files(tmp_path / "joined")
        events.close()
    assert files(tmp_path / "joined") == {}


def test_a_worker_that_counts_as_lost_does_not_touch_what_its_successor_writes(tmp_path, made):
    source, units = made
    place = folder(tmp_path / "joined")
    piece = cut(units, workers=2)[0]

    def interrupted(position):
        """The first worker begins to write; meanwhile another makes the piece."""
        if not reports:
            reports.append(None)
            reports[0] = written(lambda position: None)

    def written(begin):
        return write_piece(
            piece, source=source, folder=place.local, storage=STORAGE, poisoned={}, begin=begin
        )

    reports = []
    with reader_closed_after():
        late = written(interrupted)
    assert late.file_name != reports[0].file_name
    assert late.record_lengths == reports[0].record_lengths
    assert len(files(tmp_path / "joined")) == 2


class Shortened(ThisMachine):
    """The file of each piece loses its last byte."""

    def run(self, work, tasks, *, setup, name_of):
        for event in backwards(work, tasks):
            if isinstance(event, Done) and event.result.record_lengths:
                path = work.keywords["folder"] / event.result.file_name
                path.write_bytes(path.read_bytes()[:-1])
            yield event


def test_a_piece_that_lost_bytes_ends_the_command(tmp_path, made):
    source, units = made
    place = folder(tmp_path / "joined")
    with reader_closed_after(), pytest.raises(InputError, match="is shorter than the worker left"):
        list(
            write_shards_in_pieces(
                units, source=source, directory=place, storage=STORAGE, workers=Shortened(2)
            )
        )
    assert files(tmp_path / "joined") == {}


def test_every_image_is_in_one_piece(made):
    _, units = made
    for workers in (1, 2, 100):
        own = cut(units, workers=workers)
        for number, unit in enumerate(units):
            mine = [piece for piece in own if piece.unit == number]
            ids = [id_ for piece in mine for id_ in piece.entries.ids]
            assert ids == list(unit.entries.ids)
            assert [piece.is_last for piece in mine] == [False] * (len(mine) - 1) + [True]
            firsts = [sum(len(piece.entries) for piece in mine[:i]) for i in range(len(mine))]
            assert [piece.first for piece in mine] == firsts


def test_when_pieces_gain_time():
    assert not gain_from_pieces([100], workers=0)
    assert not gain_from_pieces([100], workers=1)
    assert gain_from_pieces([100], workers=2)
    assert gain_from_pieces([100, 100, 100], workers=2)
    assert not gain_from_pieces([100, 100], workers=2)  # each has a worker
    assert not gain_from_pieces([100] * 40, workers=2)
    assert not gain_from_pieces([100] * 63, workers=64)  # one process would write them all
    assert gain_from_pieces([100], workers=64)
