"""Some images of a source, sharded to a folder that goes away: what all of it will cost, and what
is stored of it, before hours are spent."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitctl.data.example import Example
from vitctl.data.records import Shard, ShardedRecords, read_examples
from vitctl.events import Emit, Progress, silent
from vitctl.formula.png import as_png
from vitctl.ingest.columns import Entries
from vitctl.ingest.listing import Source
from vitctl.ingest.pixels.prepare import prepare
from vitctl.ingest.pixels.storage import ImageStorage
from vitctl.ingest.reading.spool import at_random
from vitctl.ingest.write.shard_plan import Unit
from vitctl.ingest.write.shard_writer import (
    REPORTS,
    ShardReport,
    reader_closed_after,
    set_up_worker,
    write_shard,
)
from vitctl.places.local import LocalPath
from vitctl.places.scratch import scratch
from vitctl.workers.local_pool import run_tasks
from vitctl.workers.task import Done

_IMAGES = 256
_IMAGES_A_UNIT = 32
_PARTS = 8
"""Files of a source from which a sample is taken, where each is read from front to back."""
_ENOUGH_S = 20.0
"""No more of a sample is begun after this time."""
_MOST_WORKERS = 4
"""Each takes a second to start; more of them do not make the sample better."""


@dataclass(frozen=True)
class Sample:
    """What came out of some images.

    Attributes:
      units, reports: of those that were made, in the same order.
      work_s: processor-bound seconds in all workers together.
      start_s: until workers began.
      copy_s: to make these images readable at random.
      folder: where their shards are.
    """

    units: Sequence[Unit]
    reports: Sequence[ShardReport]
    work_s: float
    start_s: float
    copy_s: float
    folder: LocalPath

    @property
    def images(self) -> int:
        return sum(len(unit.entries) for unit in self.units)

    @property
    def file_bytes(self) -> int:
        return sum(int(unit.entries.sizes.sum()) for unit in self.units)

    @property
    def stored_bytes(self) -> int:
        return sum(report.record_bytes for report in self.reports)

    def examples(self) -> Iterator[Example]:
        """What is stored of them. One shard of it is held at a time: photos of cameras are
        gigabytes."""
        for unit, report in zip(self.units, self.reports, strict=True):
            shard = Shard(self.folder / unit.file_name, report.records)
            with closing(ShardedRecords([shard])) as records:
                yield from read_examples(records, np.arange(len(records)))


def sample_rows(entries: Entries, *, from_the_front: bool) -> NDArray[np.int64]:
    """Rows of some images: spread over all, or the first ones of some files where each can only be
    read from front to back. Always the same."""
    count = min(_IMAGES, len(entries))
    if not from_the_front:
        rows = np.random.default_rng(0).choice(len(entries), count, replace=False)
        return rows.astype(np.int64)
    order = np.lexsort((entries.offsets, entries.parts))
    parts, firsts = np.unique(entries.parts[order], return_index=True)
    chosen = np.linspace(0, len(parts) - 1, min(_PARTS, len(parts))).astype(np.int64)
    end_rows = np.append(firsts[1:], len(order))
    each = -(-count // len(chosen))
    return np.concatenate(
        [order[firsts[part] : min(end_rows[part], firsts[part] + each)] for part in chosen]
    )


@contextmanager
def sampled(
    entries: Entries,
    source: Source,
    *,
    storage: ImageStorage,
    workers: int,
    emit: Emit = silent,
) -> Iterator[Sample]:
    """The sample of `entries`, whose labels are numbers of classes, while its shards are there.

    Raises what `write_shard` raises.
    """
    rows = sample_rows(entries, from_the_front=source.access == "in order")
    first_rows = range(0, len(rows), _IMAGES_A_UNIT)
    units = [
        Unit("train", i, len(first_rows), entries.take(rows[row : row + _IMAGES_A_UNIT]))
        for i, row in enumerate(first_rows)
    ]
    with scratch() as folder:
        (folder / REPORTS).make_folder()
        began = time.monotonic()
        own = [unit.entries for unit in units]
        with at_random(source, own, largest=storage.largest_file, emit=silent) as readable:
            copy_s = time.monotonic() - began if readable is not source else 0.0
            work = functools.partial(
                _timed,
                source=readable,
                directory=folder,
                storage=storage,
            )
            results, start_s = _worked(work, units, workers=workers, emit=emit)
        done = sorted(results)
        yield Sample(
            units=[units[i] for i in done],
            reports=[results[i][0] for i in done],
            work_s=sum(results[i][1] for i in done),
            start_s=start_s,
            copy_s=copy_s,
            folder=folder,
        )


def _worked(
    work: Callable[..., tuple[ShardReport, float]],
    units: Sequence[Unit],
    *,
    workers: int,
    emit: Emit,
) -> tuple[dict[int, tuple[ShardReport, float]], float]:
    """Unit -> (its report, its seconds), of as many as there is time for; and the seconds until the
    first was begun."""
    results: dict[int, tuple[ShardReport, float]] = {}
    began, start_s, total = time.monotonic(), 0.0, sum(len(unit.entries) for unit in units)
    tasks = run_tasks(work, units, workers=min(workers, _MOST_WORKERS), setup=_set_up)
    if not workers:
        _warm_up()
    with reader_closed_after(), closing(tasks) as events:
        for event in events:
            done = sum(len(units[i].entries) for i in results)
            if isinstance(event, Done):
                results[event.task] = event.result
                if len(results) == 1:
                    start_s = max(0.0, time.monotonic() - began - event.result[1])
                done += len(units[event.task].entries)
            emit(Progress("sample", done, total, "images"))
            if results and time.monotonic() - began - start_s > _ENOUGH_S:
                break
    return results, start_s


def _timed(
    task: Unit, *, poisoned: Mapping[int, str], begin: Callable[[int], None], **options: object
) -> tuple[ShardReport, float]:
    began = time.perf_counter()
    report = write_shard(task, poisoned=poisoned, begin=begin, **options)  # type: ignore[arg-type]
    return report, time.perf_counter() - began


def _set_up() -> None:
    set_up_worker()
    _warm_up()


def _warm_up() -> None:
    """The first image of a process loads a library; that is no part of what an image costs."""
    prepare(as_png(np.zeros((1, 1, 3), np.uint8)), storage=ImageStorage(max_pixels=1))
