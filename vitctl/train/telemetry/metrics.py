"""`metrics.jsonl`: one object a line, `kind` "train", "eval" or "save".

A crash may leave rows past the last checkpoint, and the last one half-written. A run that resumes
cuts the file back to that checkpoint and writes the same rows again.

An object cannot be appended to: for a run in a bucket the files grow on this disk, and go there
whole with each checkpoint and every half a minute.
"""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import IO, Any

from vitctl import processes
from vitctl.errors import VitctlError
from vitctl.events import Emit, silent
from vitctl.places import Place, nofollow
from vitctl.places.scratch import scratch
from vitctl.text import strict_json
from vitctl.train.config import TrackerName
from vitctl.train.telemetry.tensorboard import PREFIX, EventFile
from vitctl.train.telemetry.tracker import Tracked
from vitctl.train.telemetry.tracking import Tracking, Trackings, tracker

_SEND_EVERY_S = 30.0
_NUMBERS = {"train": ("loss",), "eval": ("loss",), "save": ("stall_s",)}
"""The kinds of rows, and numbers that every row of a kind has."""
_BLOCK_BYTES = 64 * 2**10
_TAIL_BYTES = 64 * 2**20
_LONGEST_LINE = 2**20
"""Bytes that are kept of a line whose beginning was not reached yet: a row has some hundred."""


class Metrics:
    """Appends rows to a run's metrics file. Use as a context manager."""

    def __init__(
        self,
        path: Place,
        *,
        keep_to: int,
        tensorboard: bool = False,
        run: Tracked | None = None,
        track: Sequence[TrackerName] = (),
        emit: Emit = silent,
    ) -> None:
        """Rows of steps up to `keep_to` stay; `row` ignores steps that are already there. With
        `tensorboard` they are also written as event files beside it; `track` sends those of `run`
        to experiment trackers.

        Raises UsageError if the package of a tracker is not installed.
        """
        folder = path.parent
        self._stack = ExitStack()
        self._bucket: Place | None = None
        self._sent_at: float | None = None
        every, self.damaged = read_counting(path)
        rows = [strict_json.finite(row) for row in every if row["step"] <= keep_to]
        content = "".join(_line(row) for row in rows).encode()
        # Every process has the same rows; one writes them.
        self._writes = processes.first()
        if path.local is None:
            self._bucket = path.parent if self._writes else None
        self._path = path.local or self._stack.enter_context(scratch()) / path.name
        path = self._path
        # As bytes: a damaged line need not be text.
        if self._writes and (not path.exists() or path.read_bytes() != content):
            path.write_atomic(content)
        self._recorded = {(row["kind"], row["step"]) for row in rows}
        tensorboard = tensorboard and self._writes
        self._events = EventFile(path.parent, rows=rows, keep_to=keep_to) if tensorboard else None
        trackings = [
            Tracking(tracker(name), run, rows=rows, keep_to=keep_to, emit=emit)
            for name in track
            if run is not None and self._writes
        ]
        self._trackings = Trackings(trackings, known=folder, folder=path.parent)

    def __enter__(self) -> Metrics:
        with ExitStack() as stack:
            stack.push(self._stack)
            stack.callback(self._send_rest)
            if self._writes:
                file = nofollow.opened(self._path, "a", encoding="utf-8")
            else:
                file = open(os.devnull, "a", encoding="utf-8")
            self._file = stack.enter_context(file)
            if self._events is not None:
                stack.enter_context(self._events)
            stack.enter_context(self._trackings)
            if self._bucket is not None:
                if self._events is not None:
                    self._remove_events(self._bucket)
                self._send(self._bucket)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def has(self, kind: str, step: int) -> bool:
        return (kind, step) in self._recorded

    def row(self, kind: str, step: int, **values: Any) -> None:
        """Write one row, whole, unless this step has it already; null for a number that is not
        finite."""
        if (kind, step) in self._recorded:
            return
        self._recorded.add((kind, step))
        if not self._writes:
            return
        row = strict_json.finite({"kind": kind, "step": step, **values})
        self._file.write(_line(row))
        self._file.flush()
        if self._events is not None:
            self._events.row(row)
        self._trackings.row(row)
        if self._sent_at is not None and time.monotonic() - self._sent_at > _SEND_EVERY_S:
            assert self._bucket is not None
            for copy, content in self._copies(self._bucket):
                copy.write_behind(content)

    def sync(self) -> None:
        """Make what was written survive a power cut."""
        if self._writes:
            os.fsync(self._file.fileno())
        if self._events is not None:
            self._events.sync()
        self._trackings.sync()
        if self._bucket is not None:
            self._send(self._bucket)

    def _send(self, bucket: Place) -> None:
        """Put the files into the bucket, whole."""
        for copy, content in self._copies(bucket):
            copy.write_atomic(content)

    def _send_rest(self) -> None:
        """What was written since the files were sent last. The error under way, if there is one, is
        the one to report."""
        if self._bucket is not None and self._sent_at is not None:
            with suppress(OSError, VitctlError):
                self._send(self._bucket)

    def _copies(self, bucket: Place) -> Iterator[tuple[Place, bytes]]:
        """Where each file goes, and what it holds."""
        for path in sorted(path for path in self._path.parent.iterdir() if path.is_file()):
            yield bucket / path.name, path.read_bytes()
        self._sent_at = time.monotonic()

    def _remove_events(self, bucket: Place) -> None:
        """The event file here has all rows, also those of earlier starts."""
        events = [child for child in bucket.children() if child.name.startswith(PREFIX)]
        bucket.each(lambda child: child.remove(missing_ok=True), events)


def read(path: Place) -> list[dict[str, Any]]:
    """The whole rows of a metrics file, in order; damaged lines are left out."""
    return read_counting(path)[0]


def read_counting(path: Place) -> tuple[list[dict[str, Any]], int]:
    """`read`, and how many lines are damaged. A last line without its end, which a crash leaves,
    is not counted."""
    every = list(each(path))
    rows = [row for row in every if row is not None]
    return rows, len(every) - len(rows)


def each(path: Place) -> Iterator[dict[str, Any] | None]:
    """The rows of a metrics file one by one, None for a damaged line; see `read_counting`. A long
    run has millions: they are not held in memory together."""
    with suppress(FileNotFoundError), _opened(path) as file:
        for line in file:
            if line.endswith(b"\n"):
                yield _row(line[:-1])


def _opened(path: Place) -> IO[bytes]:
    """The file; of a bucket all of it."""
    return io.BytesIO(path.read_bytes()) if path.local is None else path.open("rb")


def damaged_lines(path: Place) -> list[int]:
    """Numbers of the lines, from 1, that this program did not write so; see `read_counting`."""
    return [number for number, row in enumerate(each(path), start=1) if row is None]


def newest(path: Place) -> dict[str, dict[str, Any]]:
    """Kind -> its newest row, read from the end of the file: a long run has millions of rows. A
    kind whose newest row lies further back than `_TAIL_BYTES` is left out."""
    try:
        with _opened(path) as file:
            return _newest(file)
    except FileNotFoundError:
        return {}


def _newest(file: IO[bytes]) -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    # Of kinds that are known already, and of most there are many: parsing those takes seconds.
    passed: tuple[bytes, ...] = ()
    end = file.seek(0, os.SEEK_END)
    first = max(0, end - _TAIL_BYTES)
    rest = b""
    while end > first and rows.keys() != _NUMBERS.keys():
        begin = max(first, end - _BLOCK_BYTES)
        file.seek(begin)
        rest, *lines = (file.read(end - begin) + rest[:_LONGEST_LINE]).split(b"\n")
        if begin == 0:
            lines.insert(0, rest)
        for line in reversed(lines):
            if line.startswith(passed):
                continue
            if (row := _row(line)) is not None and row["kind"] not in rows:
                rows[row["kind"]] = row
                passed = tuple(_beginning(kind) for kind in rows)
        end = begin
    return rows


def _beginning(kind: str) -> bytes:
    """How `_line` writes a row of a kind."""
    return b'{"kind": "%s"' % kind.encode()


def _row(line: bytes) -> dict[str, Any] | None:
    """The row that a line holds; None if this program did not write it so."""
    try:
        row = strict_json.loads(line, allow_nan=True)  # older versions wrote such numbers
    except strict_json.StrictJSONError:
        return None
    if not isinstance(row, dict) or type(row.get("step")) is not int or row["step"] < 0:
        return None
    kind = row.get("kind")
    numbers = _NUMBERS.get(kind) if isinstance(kind, str) else None
    if numbers is None or not all(_is_number(row.get(name, "")) for name in numbers):
        return None
    if not all(value is None or isinstance(value, str | int | float) for value in row.values()):
        return None
    return row


def _is_number(value: Any) -> bool:
    """null stands for a number that was not finite."""
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, allow_nan=False) + "\n"
