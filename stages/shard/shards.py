"""A plan of shards -> shards: worker processes, their progress, room on the disk, rejects."""

from __future__ import annotations

import functools
import hashlib
import itertools
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from stages.shard.nodes import check_nodes
from stages.shard.spec import ShardConfig, ShardRuntime
from vitctl.artifacts import Draft
from vitctl.artifacts.files import TEMPORARY
from vitctl.errors import DoesNotFitError, InterruptedRun
from vitctl.events import Emit, Note, Progress
from vitctl.hardware.machine import available_cores
from vitctl.ingest.columns import Entry, largest_in_words
from vitctl.ingest.listing import Source, read
from vitctl.ingest.pixels.storage import ImageStorage
from vitctl.ingest.reading.spool import at_random
from vitctl.ingest.write.pieces import gain_from_pieces, write_shards_in_pieces
from vitctl.ingest.write.rejects import allowed_rejects, check_rejects, usable_now
from vitctl.ingest.write.shard_plan import Unit, stored_bytes
from vitctl.ingest.write.shard_writer import (
    REPORTS,
    ShardReport,
    finished_reports,
    reader_closed_after,
    set_up_worker,
    write_shard,
)
from vitctl.pixels.header import BadImageError
from vitctl.places import Place
from vitctl.places.scratch import check_room
from vitctl.signals import Stop, graceful
from vitctl.text import quantities
from vitctl.text.quantities import counted
from vitctl.text.quoting import quoted
from vitctl.workers.executors import Executor, executor
from vitctl.workers.task import Done, Moving
from vitctl.workers.visibility import Proof

DECODING = "check that training can decode each image"
"""What sharding needs TensorFlow for."""

# A worker spends a second of processor time before its first image, in which another one that is
# there already checks about so many photos (docs/log, 2026-11-29).
_IMAGES_WORTH_A_WORKER = 1_000
# Few rejects are worth having all in the list; a source that is all wrong is not worth hours.
_ENOUGH_REJECTS = 1_000


def make_shards(
    units: Sequence[Unit],
    *,
    source: Source,
    images: int,
    draft: Draft,
    cfg: ShardConfig,
    runtime: ShardRuntime,
    stop: Stop,
    emit: Emit,
) -> list[ShardReport]:
    """The report of every unit; those an earlier run finished are not made again. The source has so
    many `images`, of which the units may be a part: it is by these that rejects are too many."""
    (draft.path / REPORTS).make_folder()
    if draft.path.local is not None:
        for leftover in draft.path.local.glob(f"{TEMPORARY}*"):
            leftover.remove(missing_ok=True)
    again = 0
    reports = dict(enumerate(finished_reports(draft.path, units)))
    for i, report in reports.items():
        if report is not None and usable_now(report, units[i], source):
            reports[i] = None
            again += 1
    todo = [i for i, report in reports.items() if report is None]
    if again:
        shards = counted(again, "shard is", "shards are")
        emit(Note(f"{shards} made again: images that could not be read can be now"))
    if len(todo) < len(units):
        emit(Note(f"continuing: {len(units) - len(todo)} of {len(units)} shards exist already"))
    meter = _Meter(total=sum(len(unit.entries) for unit in units), emit=emit)
    meter.done = meter.before = meter.total - sum(len(units[i].entries) for i in todo)
    meter.rejected = sum(report.bad for report in reports.values() if report is not None)
    allowed = allowed_rejects(runtime.max_bad_fraction, total=images)
    ray = runtime.ray if todo else None
    check_nodes(ray, source)
    with (
        executor(
            ray,
            here=worker_count(runtime, images=meter.total - meter.done),
            most=runtime.workers,
            emit=emit,
        ) as workers,
        _readable(
            source, [units[i] for i in todo], workers, draft=draft, cfg=cfg, emit=emit
        ) as readable,
        workers.admitted(draft.path, lambda: _proofs(readable, units, todo), emit=emit),
        reader_closed_after(),
        closing(
            _events(
                [units[i] for i in todo],
                source=readable,
                directory=draft.path,
                storage=cfg.storage,
                workers=workers,
            )
        ) as events,
    ):
        # Until then nothing is lost if a signal breaks it off.
        first = list(itertools.islice(events, 1))
        with graceful(stop):
            for event in itertools.chain(first, events):
                if isinstance(event, Done):
                    reports[todo[event.task]] = event.result
                    meter.done += len(units[todo[event.task]].entries)
                    meter.rejected += event.result.bad
                    if meter.rejected > max(allowed, _ENOUGH_REJECTS):
                        break  # it fails anyway; `check_rejects` says why
                meter.show(in_hand=event.items if isinstance(event, Moving) else 0)
                if stop.requested and meter.done < meter.total:
                    finished = sum(report is not None for report in reports.values())
                    raise InterruptedRun(
                        f"{finished} of {len(units)} shards are done ({stop.reason})",
                        hint="the same command goes on from there",
                    )
    made = {i: report for i, report in reports.items() if report is not None}
    check_rejects(made.values(), total=images, folder=draft.path, allowed=allowed)
    return list(made.values())


def _events(
    units: Sequence[Unit],
    *,
    source: Source,
    directory: Place,
    storage: ImageStorage,
    workers: Executor,
) -> Generator[Done | Moving]:
    """Units are made: each by one worker, or by all, piece by piece, where that is faster and they
    can see each other's pieces."""
    shared = workers.is_here or directory.local is not None
    if shared and gain_from_pieces([len(unit.entries) for unit in units], workers=workers.workers):
        return write_shards_in_pieces(
            units, source=source, directory=directory, storage=storage, workers=workers
        )
    work = functools.partial(write_shard, source=source, directory=directory, storage=storage)

    def name_of(task: int, position: int | None) -> str:
        return units[task].name_of(position)

    return workers.run(work, units, setup=set_up_worker, name_of=name_of)


@contextmanager
def _readable(
    source: Source,
    units: Sequence[Unit],
    workers: Executor,
    *,
    draft: Draft,
    cfg: ShardConfig,
    emit: Emit,
) -> Iterator[Source]:
    """The source, which workers read at random. Room on the disk is looked for first."""
    _check_space(draft.path, units, workers.workers, cfg=cfg)
    entries = [unit.entries for unit in units]
    with at_random(source, entries, largest=cfg.storage.largest_file, emit=emit) as readable:
        yield readable


def _proofs(readable: Source, units: Sequence[Unit], todo: Sequence[int]) -> list[Proof]:
    """The first image that is to be read, and the last."""
    if not todo:
        return []
    first, last = units[todo[0]].entries, units[todo[-1]].entries
    return [
        Proof.of(quoted(entry.id), functools.partial(digest_of, readable, entry))
        for entry in (first[0], last[len(last) - 1])
    ]


def digest_of(source: Source, entry: Entry) -> str:
    """sha256 of an image as a source reads it. One that is bad here is as bad elsewhere."""
    try:
        with source.reader() as reader:
            return hashlib.sha256(read(reader, entry)).hexdigest()
    except BadImageError as error:
        return str(error)


def worker_count(runtime: ShardRuntime, *, images: int) -> int:
    """Worker processes for so many images, unless the user says how many."""
    if runtime.workers is not None:
        return runtime.workers
    return min(available_cores(), 1 + images // _IMAGES_WORTH_A_WORKER)


@dataclass
class _Meter:
    """Counts images, and tells of them."""

    total: int
    emit: Emit
    done: int = 0
    before: int = 0
    rejected: int = 0
    started: float | None = None

    def show(self, *, in_hand: int) -> None:
        """`in_hand`: images begun in shards that aren't finished."""
        handled = self.done + in_hand
        fields = {"rejected": str(self.rejected)}
        if self.started is not None:
            rate = (handled - self.before) / max(1e-3, time.monotonic() - self.started)
            fields = {"img/s": f"{rate:,.0f}", **fields}
        elif handled > self.before:
            # Workers import TensorFlow for some seconds first; that is no part of the rate.
            self.started, self.before = time.monotonic(), handled
        self.emit(Progress("shard", handled, self.total, "images", fields))


def _check_space(place: Place, units: Sequence[Unit], workers: int, *, cfg: ShardConfig) -> None:
    """Raise DoesNotFitError if the disk is too small. A bucket has no end; the disk here then
    holds the shards that are being made."""
    storage = cfg.storage
    shard_bytes = [int(stored_bytes(unit.entries, storage=storage).sum()) for unit in units]
    largest = largest_in_words([unit.entries for unit in units], most=storage.largest_file)
    if place.local is None:
        at_once = sum(sorted(shard_bytes)[-max(1, workers) :])
        here = Path(tempfile.gettempdir())
        check_room(
            here,
            at_once,
            of=largest,
            hint="fewer --workers, a smaller --shard-size, or another TMPDIR",
        )
        return
    needed_bytes = sum(shard_bytes)
    free_bytes = place.free_bytes()
    if free_bytes is not None and needed_bytes > free_bytes:
        raise DoesNotFitError(
            f"the shards take about {quantities.show_bytes(needed_bytes)}, and {place} has "
            f"{quantities.show_bytes(free_bytes)} left ({largest})",
            hint="free some space, or choose another place with --store",
        )
