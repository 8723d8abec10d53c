"""The work of one shard: read, look, convert or reject, check with the training decoder, write.

A pure function of its unit, whoever runs it: this process, a local worker, another machine.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import Field

from vitctl.artifacts.files import TEMPORARY, sha256_file
from vitctl.data.example import Example, encode_example
from vitctl.data.kernels import load_for_one_thread
from vitctl.data.records import RecordWriter, open_writer
from vitctl.errors import InputError
from vitctl.ingest.columns import Entries, Entry
from vitctl.ingest.listing import Reader, Source, read
from vitctl.ingest.pixels import decoder_warnings
from vitctl.ingest.pixels.policy import Treatment
from vitctl.ingest.pixels.prepare import prepare
from vitctl.ingest.pixels.storage import ImageStorage
from vitctl.ingest.trees import own_output
from vitctl.ingest.write.shard_plan import NumberedShard, Unit
from vitctl.pixels.header import BadImageError, Cause, check_head
from vitctl.pixels.picture_mark import is_marked
from vitctl.places import Place, nofollow
from vitctl.places.based_path import temporary_name
from vitctl.places.copies import upload
from vitctl.places.scratch import scratch
from vitctl.settings.config import Config
from vitctl.text import strict_json

K = TypeVar("K", bound=str)

# Below the draft: what each finished shard reported. The files' names keep them out of what is
# published; the folder is removed afterwards, so that no crash can lose it before.
REPORTS = "reports"
# In the dataset: what was left out, and why.
REJECTS = "rejects.jsonl"


class RejectedImage(Config):
    """One image that was left out, as `REJECTS` has it."""

    id: str
    reason: str
    cause: Cause = "bytes"


class Reject(RejectedImage):
    """One image that was left out. `position` is its place in the unit."""

    position: int


class UnitContents(Config):
    """What came out of images of a unit."""

    records: int
    record_bytes: int
    rejects: tuple[Reject, ...]
    converted: dict[str, int]
    differ: dict[str, int] = Field(default_factory=dict)
    """Why other readers see kept bytes otherwise than training -> how many images."""
    warnings: dict[str, int] = Field(default_factory=dict)
    """What a decoder warned of in images that are stored -> how many; caught in workers only."""
    treatments: dict[Treatment, int] = Field(default_factory=dict)
    """What a policy did -> to how many images."""

    @property
    def bad(self) -> int:
        """How many images were left out because of a fault: a picture that vitctl made has none."""
        return sum(reject.reason != own_output.PICTURE for reject in self.rejects)


class ShardReport(UnitContents):
    """What came out of a unit; written after the shard, so its presence means finished."""

    file_bytes: int
    sha256: str


@dataclass
class UnitTally:
    """Counts what comes out."""

    records: int = 0
    record_bytes: int = 0
    rejects: list[Reject] = field(default_factory=list)
    converted: Counter[str] = field(default_factory=Counter)
    differ: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)
    treatments: Counter[Treatment] = field(default_factory=Counter)

    def add(self, contents: UnitContents, *, first: int) -> None:
        """Those of images of which the first has position `first`."""
        self.records += contents.records
        self.record_bytes += contents.record_bytes
        for reject in contents.rejects:
            moved = {"position": first + reject.position}
            self.rejects.append(reject.model_copy(update=moved))
        self.converted.update(contents.converted)
        self.differ.update(contents.differ)
        self.warnings.update(contents.warnings)
        self.treatments.update(contents.treatments)

    def contents(self) -> UnitContents:
        return UnitContents(
            records=self.records,
            record_bytes=self.record_bytes,
            rejects=tuple(self.rejects),
            converted=dict(sorted(self.converted.items())),
            differ=dict(sorted(self.differ.items())),
            warnings=dict(sorted(self.warnings.items())),
            treatments=dict(sorted(self.treatments.items())),
        )


class _Held:
    """The reader of the source that this process reads: opening a thousand archives again for each
    shard would cost more than it need."""

    def __init__(self) -> None:
        self._source: Source | None = None
        self._reader: Reader | None = None
        self._files = ExitStack()

    def reader_of(self, source: Source) -> Reader:
        if self._reader is None or source != self._source:
            self.close()
            self._reader = self._files.enter_context(source.reader())
            self._source = source
        return self._reader

    def close(self) -> None:
        self._source = self._reader = None
        self._files.close()


_held = _Held()


@contextmanager
def reader_closed_after() -> Iterator[None]:
    """Closes what `write_shard` has kept open in this process; workers end with theirs."""
    try:
        yield
    finally:
        _held.close()


def write_shard(
    unit: Unit,
    *,
    source: Source,
    directory: Place,
    storage: ImageStorage,
    poisoned: Mapping[int, str],
    begin: Callable[[int], None],
) -> ShardReport:
    """Write one shard of a source's images and its report.

    `poisoned` images (position -> how) crashed a decoder before and are not touched;
    `begin(position)` is called before each image, so that whoever watches knows the next one.
    Raises `InputError` when the source changed, `DoesNotFitError` when the disk is full.
    """
    tally = UnitTally()
    records = records_of(
        unit.entries, tally, source=source, storage=storage, poisoned=poisoned, begin=begin
    )
    with shard_file(unit, directory) as file:
        for record in records:
            file.write(record)
    return finish_report(unit, file, tally.contents(), directory=directory)


def records_of(
    entries: Entries,
    tally: UnitTally,
    *,
    source: Source,
    storage: ImageStorage,
    poisoned: Mapping[int, str],
    begin: Callable[[int], None],
) -> Iterator[bytes]:
    """The records of images that can be used, and into `tally` what came out of all so far; for the
    rest see `write_shard`."""
    reader = _held.reader_of(source)
    for position, entry in enumerate(entries):
        begin(position)
        decoder_warnings.drain()  # of an image that was rejected or converted
        try:
            if position in poisoned:
                raise BadImageError(f"it crashes the decoder ({poisoned[position]})")
            data = _read(reader, entry, max_pixels=storage.max_pixels)
            if is_marked(data):
                raise BadImageError(own_output.PICTURE)
            prepared = prepare(data, storage=storage)
        except BadImageError as error:
            reject = Reject(position=position, id=entry.id, reason=str(error), cause=error.cause)
            tally.rejects.append(reject)
            continue
        tally.treatments.update(prepared.treatments)
        if prepared.converted is not None:
            tally.converted[prepared.converted] += 1
        elif prepared.image is data:
            # What was encoded here is decoded without a word in training.
            tally.warnings.update(decoder_warnings.drain())
        if prepared.differs is not None:
            tally.differ[prepared.differs] += 1
        record = encode_example(Example(prepared.image, entry.labels, entry.id))
        tally.records += 1
        tally.record_bytes += len(record)
        yield record


@dataclass
class ShardFile:
    """A shard that is written; its size and hash are known when it has its name."""

    _writer: RecordWriter
    file_bytes: int = 0
    sha256: str = ""

    def write(self, record: bytes) -> None:
        self._writer.write(record)


@contextmanager
def shard_file(unit: Unit, directory: Place) -> Iterator[ShardFile]:
    """The file of a unit, which has its name in `directory` after a normal exit. Raises
    `DoesNotFitError` when the disk is full."""
    with _delivered(directory, unit.file_name) as (temporary, delivered):
        with open_writer(temporary) as writer:
            file = ShardFile(writer)
            yield file
        file.file_bytes, file.sha256 = delivered()


def finish_report(
    unit: Unit, file: ShardFile, contents: UnitContents, *, directory: Place
) -> ShardReport:
    """Write what came out of a unit: from then on its shard is finished."""
    report = ShardReport(**contents.model_dump(), file_bytes=file.file_bytes, sha256=file.sha256)
    write_report(directory, unit, report)
    return report


def write_report(directory: Place, shard: NumberedShard, report: ShardReport) -> None:
    report_path(directory, shard).write_atomic(report.model_dump_json().encode())


@contextmanager
def _delivered(directory: Place, name: str) -> Iterator[tuple[Path, Callable[[], tuple[int, str]]]]:
    """(where to write a file, what then gives it its name in `directory` and tells its size and
    sha256). ArrayRecord writes local files only, so one for a bucket is written here and sent."""
    if directory.remote is not None:
        bucket = directory.remote
        with scratch() as folder:

            def send() -> tuple[int, str]:
                sent = upload(folder / name, bucket / name)
                return sent.size, sent.sha256

            yield folder / name, send
        return
    # A name of our own: a worker that outlived its parent, or that a cluster counts as lost, may
    # still be writing the same shard, with the same process id on another node.
    local = directory.local
    temporary = local / temporary_name(name)

    def rename() -> tuple[int, str]:
        size_and_hash = sha256_file(temporary)
        nofollow.rename(temporary, local / name)
        local.sync()
        return size_and_hash

    try:
        yield temporary, rename
    finally:
        temporary.remove(missing_ok=True)


def finished_reports(directory: Place, units: Sequence[Unit]) -> list[ShardReport | None]:
    """The reports of the shards that an earlier run finished, None where one has to be made."""

    def one(unit: Unit) -> ShardReport | None:
        return finished_report(directory, unit)

    names = {report.name for report in (directory / REPORTS).children()}  # most often none is
    finished = [unit for unit in units if report_path(directory, unit).name in names]
    reports = dict(zip((u.file_name for u in finished), directory.each(one, finished), strict=True))
    return [reports.get(unit.file_name) for unit in units]


def finished_report(directory: Place, unit: Unit) -> ShardReport | None:
    """The report of a shard that an earlier run finished, None if it has to be made."""
    report = reported(directory, unit)
    if report is None or report.records + len(report.rejects) != len(unit.entries):
        return None
    return report


def reported(directory: Place, shard: NumberedShard) -> ShardReport | None:
    """What is reported of a shard that is there, whole; else None."""
    try:
        report = ShardReport.model_validate(
            strict_json.loads(report_path(directory, shard).read_bytes())
        )
        size = (directory / shard.file_name).stat().st_size
    except (OSError, ValueError):
        return None
    return report if size == report.file_bytes else None


def added_up(counts: Iterable[Mapping[K, int]]) -> dict[K, int]:
    """The counts of several reports as one, in the order of what is counted."""
    total: Counter[K] = Counter()
    for own in counts:
        total.update(own)
    return dict(sorted(total.items()))


def report_path(directory: Place, shard: NumberedShard) -> Place:
    name = f"{shard.split}-{shard.index:05d}-of-{shard.shards:05d}.json"
    return directory / REPORTS / f"{TEMPORARY}{name}"


def set_up_worker() -> None:
    """One thread a worker process, for the processes are the parallelism; and no words of its own:
    stderr belongs to the display. What the decoders write there is counted."""
    decoder_warnings.catch()
    load_for_one_thread()
    decoder_warnings.drain()


def _read(reader: Reader, entry: Entry, *, max_pixels: int) -> bytes:
    try:
        return read(reader, entry, look=functools.partial(check_head, max_pixels=max_pixels))
    except FileNotFoundError:
        raise InputError(
            f"{entry.id} vanished while the source was read",
            hint="wait until nothing writes to the source, then run the command again",
        ) from None
    except OSError as error:
        raise BadImageError(f"it can't be read ({error.strerror})", cause="access") from None
