"""Few shards made by many workers: each makes records of a piece of a shard, and this process
writes them, one piece after the other, as one worker would have.

A shard is one file from its first record to its last, so that where there are fewer shards than
workers some would have nothing to do. How many there are, and how a shard is cut, changes no byte.
"""

from __future__ import annotations

import functools
import heapq
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from vitctl.artifacts.files import TEMPORARY
from vitctl.errors import InputError
from vitctl.ingest.columns import Entries
from vitctl.ingest.listing import Source
from vitctl.ingest.pixels.storage import ImageStorage
from vitctl.ingest.write.shard_plan import Unit
from vitctl.ingest.write.shard_writer import (
    ShardFile,
    ShardReport,
    UnitContents,
    UnitTally,
    finish_report,
    records_of,
    set_up_worker,
    shard_file,
)
from vitctl.places import Place, nofollow
from vitctl.places.local import LocalPath
from vitctl.places.scratch import scratch
from vitctl.workers.executors import Executor
from vitctl.workers.task import Done, Moving

_NAME = f"{TEMPORARY}piece-"
# A piece costs a worker a millisecond beside its images; the last ones of a shard should end
# together, and wait on the disk for a slower one before them.
_PIECES_A_WORKER = 8
_MOST_IMAGES, _MOST_BYTES = 256, 32 * 2**20
# Of the time that an image takes as part of a piece, this share is what it takes without: the rest
# is one writing and one reading more. Measured: docs/log, 2026-11-29.
_SHARE_OF_A_WHOLE = 0.95
# Writing alone, which one process does, of the same time.
_SHARE_OF_WRITING = 0.1


@dataclass(frozen=True, eq=False)
class Piece:
    """Some images of a unit, one after the other.

    Attributes:
      unit: the number of the unit among those that are made.
      first: the position of its first image in the unit.
      entries: its images.
      is_last: whether the unit ends with it.
    """

    unit: int
    first: int
    entries: Entries
    is_last: bool


@dataclass(frozen=True)
class PieceReport:
    """What came out of a piece, positions counted in it, the file of its records, and the length
    of each."""

    file_name: str
    contents: UnitContents
    record_lengths: tuple[int, ...]


def gain_from_pieces(images: Sequence[int], *, workers: int) -> bool:
    """Whether units of so many images are done earlier in pieces."""
    if workers < 2:
        return False
    end_times = [0.0] * workers
    for count in images:  # each goes to the worker that is done first
        heapq.heapreplace(end_times, end_times[0] + count * _SHARE_OF_A_WHOLE)
    total = sum(images)
    return max(total / workers, total * _SHARE_OF_WRITING) < max(end_times)


def cut(units: Sequence[Unit], *, workers: int) -> list[Piece]:
    """All images of the units in their order."""
    total = sum(len(unit.entries) for unit in units)
    pieces = []
    for number, unit in enumerate(units):
        entries = unit.entries
        mean_bytes = max(1, int(entries.sizes.sum()) // len(entries))
        most = min(_MOST_IMAGES, _MOST_BYTES // mean_bytes, total // (_PIECES_A_WORKER * workers))
        size = max(1, most)
        for first in range(0, len(entries), size):
            end = min(first + size, len(entries))
            own = entries.take(range(first, end))
            pieces.append(Piece(number, first, own, is_last=end == len(entries)))
    return pieces


def write_shards_in_pieces(
    units: Sequence[Unit],
    *,
    source: Source,
    directory: Place,
    storage: ImageStorage,
    workers: Executor,
) -> Generator[Done | Moving]:
    """What `workers` do and yield of `write_shard`, units in their order."""
    pieces = cut(units, workers=workers.workers)
    with ExitStack() as files:
        folder = files.enter_context(_folder_of_pieces(directory))
        work = functools.partial(write_piece, source=source, folder=folder, storage=storage)

        def name_of(task: int, position: int | None) -> str:
            piece = pieces[task]
            return units[piece.unit].name_of(piece.first + (position or 0))

        events = files.enter_context(
            closing(workers.run(work, pieces, setup=set_up_worker, name_of=name_of))
        )
        joining = _Joining(units, directory=directory, folder=folder, files=files)
        waiting: dict[int, PieceReport] = {}
        position, images = 0, 0
        for event in events:
            if isinstance(event, Moving):
                yield Moving(images + event.items)
                continue
            waiting[event.task] = event.result
            images += len(pieces[event.task].entries)
            while position in waiting:
                piece = pieces[position]
                joining.add(piece, waiting.pop(position))
                position += 1
                if piece.is_last:
                    images -= len(units[piece.unit].entries)
                    yield Done(piece.unit, joining.finished(piece))


def write_piece(
    piece: Piece,
    *,
    source: Source,
    folder: LocalPath,
    storage: ImageStorage,
    poisoned: Mapping[int, str],
    begin: Callable[[int], None],
) -> PieceReport:
    """Write the records of a piece, one after the other, to a file in `folder`.

    `poisoned` and `begin` count in the piece; otherwise like `write_shard`.
    """
    tally, lengths = UnitTally(), []
    records = records_of(
        piece.entries, tally, source=source, storage=storage, poisoned=poisoned, begin=begin
    )
    # A worker that a cluster counts as lost may still write the same piece.
    file_name = f"{_NAME}{piece.unit}-{piece.first}-{uuid.uuid4().hex}"
    with nofollow.opened(folder / file_name, "wb") as file:
        for record in records:
            file.write(record)
            lengths.append(len(record))
    return PieceReport(file_name, tally.contents(), tuple(lengths))


class _Joining:
    """Writes one shard after the other from pieces in their order."""

    def __init__(
        self, units: Sequence[Unit], *, directory: Place, folder: LocalPath, files: ExitStack
    ) -> None:
        self._units, self._directory, self._folder = units, directory, folder
        self._shard = files.enter_context(ExitStack())
        self._tally = UnitTally()
        self._file: ShardFile | None = None

    def add(self, piece: Piece, report: PieceReport) -> None:
        unit = self._units[piece.unit]
        if not piece.first:
            self._tally = UnitTally()
            self._file = self._shard.enter_context(shard_file(unit, self._directory))
        assert self._file is not None
        path = self._folder / report.file_name
        with open(path, "rb") as file:
            for length in report.record_lengths:
                record = file.read(length)
                if len(record) != length:
                    raise InputError(
                        f"{path} is shorter than the worker left it",
                        hint="the file system lost bytes; the same command goes on from the "
                        "shards that are finished",
                    )
                self._file.write(record)
        path.remove()
        self._tally.add(report.contents, first=piece.first)

    def finished(self, piece: Piece) -> ShardReport:
        self._shard.close()
        assert self._file is not None
        return finish_report(
            self._units[piece.unit], self._file, self._tally.contents(), directory=self._directory
        )


@contextmanager
def _folder_of_pieces(directory: Place) -> Iterator[LocalPath]:
    """Beside the shards, where their room was looked for; here, if they go to a bucket."""
    if directory.local is not None:
        try:
            yield directory.local
        finally:
            for left_over in directory.local.glob(f"{_NAME}*"):
                left_over.remove(missing_ok=True)
        return
    with scratch() as folder:
        yield folder
