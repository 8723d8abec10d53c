"""The rows of `metrics.jsonl` for an experiment tracker, also those of resumed runs.

`tracking.json` in the run's folder records, per tracker, which run there is this one and up to
which step it has each kind of row:

    {"wandb": {"run": "7e0c-1b2f", "sent": {"train": 400, "eval": 400}}}

A start sends what is missing there, whatever kept it from arriving: a tracker that was asked for
late, or a network that was away. A kill may make rows arrive twice, with the same numbers.

Rows are sent by a thread, so that no step waits for a network. A tracker that fails is reported
once and left; the rows are in `metrics.jsonl`, and the next start sends them. A tracker that takes
rows before they have arrived has them once it has closed its run: until then none of this start is
recorded as sent.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, assert_never

from vitctl.artifacts.runs import TRACKING
from vitctl.errors import InterruptedRun
from vitctl.events import Caution, Emit, Note
from vitctl.places import Place
from vitctl.text import strict_json
from vitctl.text.quoting import one_line
from vitctl.train.config import TrackerName
from vitctl.train.telemetry.mlflow_runs import MlflowRun
from vitctl.train.telemetry.tracker import Ending, NoAnswerError, Row, Tracked, Tracker
from vitctl.train.telemetry.wandb_runs import WandbRun

_ROWS_AT_ONCE = 200
_PATIENCE_S = 60.0
_STOPPED_PATIENCE_S = 10.0
"""For all trackers of a run that was told to stop: clusters kill after 30 s."""


def tracker(name: TrackerName) -> Tracker:
    """Raises UsageError if its package is not installed."""
    match name:
        case "wandb":
            return WandbRun()
        case "mlflow":
            return MlflowRun()
        case _:
            assert_never(name)


@dataclass
class _Record:
    """What `tracking.json` holds of one tracker."""

    run: str | None = None
    sent: dict[str, int] = field(default_factory=dict)


class Tracking:
    """Sends rows to one tracker: `begin`, `row`s, `end`, `wait`."""

    def __init__(
        self, tracker: Tracker, run: Tracked, *, rows: Sequence[Row], keep_to: int, emit: Emit
    ) -> None:
        """`rows` are the metrics that stay, `keep_to` the last of their steps."""
        self._tracker, self._run, self._emit = tracker, run, emit
        self._rows, self._keep_to = rows, keep_to
        self._queue: list[Row] = []
        self._changed = threading.Condition()
        self._ending: Ending | None = None
        self._problem: str | None = None
        self._thread: threading.Thread | None = None
        self._record = _Record()

    @property
    def name(self) -> str:
        return self._tracker.name

    @property
    def record(self) -> dict[str, Any]:
        """What is to be remembered of it until the next start."""
        with self._changed:
            return {"run": self._record.run, "sent": dict(self._record.sent)}

    def begin(self, record: Mapping[str, Any] | None) -> None:
        """Open the tracker's run and queue what it does not have. `record` is of an earlier start.

        Raises UsageError; a tracker that does not answer is a caution.
        """
        known = _Record() if record is None else _read(record)
        try:
            run = self._tracker.begin(self._run, known=known.run)
        except NoAnswerError as error:
            self._record = known
            self._emit(Caution(f"{error}; its rows are sent when the run starts again"))
            return
        self._record = known if run == known.run else _Record()
        self._record.run = run
        # What was sent of later steps is trained again.
        for kind, step in self._record.sent.items():
            self._record.sent[kind] = min(step, self._keep_to)
        self._emit(Note(f"{self.name}: {self._tracker.where}"))
        self._thread = threading.Thread(target=self._work, name=f"vitctl-{self.name}", daemon=True)
        self._thread.start()
        for row in self._rows:
            self.row(row)
        self._rows = ()

    def end(self, ending: Ending) -> None:
        """Have what is queued sent and the tracker's run closed."""
        with self._changed:
            self._ending = ending
            self._changed.notify()

    def wait(self, seconds: float) -> None:
        """Wait for what `end` began; leave it if it takes longer."""
        if self._thread is None:
            return
        self._thread.join(max(0.0, seconds))
        if self._thread.is_alive():
            self._tracker.abandon()
            self._problem = f"{self.name} has not taken every row in time"
        self._report()

    def row(self, row: Row) -> None:
        """Queue a row, unless the tracker has it."""
        if self._thread is None:
            return
        with self._changed:
            if row["step"] > self._record.sent.get(row["kind"], -1):
                self._queue.append(row)
                self._changed.notify()
        self._report()

    def _report(self) -> None:
        """A problem is reported by the thread that trains: displays know only that one."""
        if self._problem is not None:
            self._emit(Caution(f"{self._problem}; what is missing is sent at the next start"))
            self._thread = self._problem = None

    def _work(self) -> None:
        taken: dict[str, int] = {}
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._queue or self._ending is not None)
                    rows = self._queue[:_ROWS_AT_ONCE]
                    del self._queue[: len(rows)]
                    ending = self._ending
                if rows:
                    self._tracker.send(rows)
                    taken |= {row["kind"]: row["step"] for row in rows}
                    if self._tracker.confirms:
                        self._arrived(taken)
                elif ending is not None:
                    self._tracker.finish(ending)
                    self._arrived(taken)
                    return
        except Exception as error:
            self._problem = f"{self.name} takes no more rows ({one_line(error)})"

    def _arrived(self, steps: Mapping[str, int]) -> None:
        with self._changed:
            self._record.sent.update(steps)


class Trackings:
    """All trackers of a run, and the file that remembers them. Use as a context manager."""

    def __init__(self, trackings: Sequence[Tracking], *, known: Place, folder: Place) -> None:
        """`known`: the run's folder; `folder`: where its files are written, the same unless the
        run is in a bucket."""
        self._trackings = trackings
        self._known, self._path = known / TRACKING, folder / TRACKING
        self._others: dict[str, Any] = {}

    def __enter__(self) -> Trackings:
        records = _records(self._known)
        begun = {tracking.name for tracking in self._trackings}
        self._others = {name: r for name, r in records.items() if name not in begun}
        try:
            for tracking in self._trackings:
                tracking.begin(records.get(tracking.name))
        except BaseException as error:
            self._close(error)
            raise
        self.sync()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close(error)

    def _close(self, error: BaseException | None) -> None:
        stopped = isinstance(error, InterruptedRun | KeyboardInterrupt)
        ending: Ending = "finished" if error is None else "stopped" if stopped else "failed"
        for tracking in self._trackings:
            tracking.end(ending)
        until = time.monotonic() + (_STOPPED_PATIENCE_S if stopped else _PATIENCE_S)
        for tracking in self._trackings:
            tracking.wait(until - time.monotonic())
        self.sync()

    def row(self, row: Row) -> None:
        for tracking in self._trackings:
            tracking.row(row)

    def sync(self) -> None:
        """Remember what has been sent."""
        if self._trackings:
            records = {**self._others, **{t.name: t.record for t in self._trackings}}
            self._path.write_atomic(json.dumps(records, indent=1).encode())


def _records(path: Place) -> dict[str, Any]:
    """Tracker -> its record. None of a file that is missing or damaged: all is sent again."""
    try:
        content = strict_json.loads(path.read_bytes())
    except (FileNotFoundError, strict_json.StrictJSONError):
        return {}
    return content if isinstance(content, dict) else {}


def _read(record: Any) -> _Record:
    """A record of an earlier start; an empty one if this program did not write it so."""
    match record:
        case {"run": str(run), "sent": dict(sent)} if all(
            isinstance(kind, str) and type(step) is int for kind, step in sent.items()
        ):
            return _Record(run, dict(sent))
        case _:
            return _Record()
