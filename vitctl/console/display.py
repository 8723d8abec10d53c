"""Events -> stderr: a rich live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable

from rich.console import Console, ConsoleDimensions, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bar,
)
from rich.table import Table
from rich.text import Text

from vitctl.console import training_view
from vitctl.console.live import Region
from vitctl.console.text import safe
from vitctl.events import (
    Activity,
    Answering,
    Caution,
    Doing,
    Event,
    Next,
    Note,
    Progress,
    Saved,
    Scored,
    Settings,
    Spent,
    Stepped,
    Trained,
    TrainingEvent,
)

_PLAIN_EVERY_S = 10.0
# Before its first row a run has little to tell: that it goes on, now and then.
_PLAIN_STEPS_EVERY_S = 60.0


class _Bars(Bar):
    """A bar a task, and its fields below: side by side they would need 160 columns."""

    def get_renderables(self) -> Iterable[RenderableType]:
        for task in self.tasks:
            yield self.make_tasks_table([task])
            if task.fields.get("extra"):
                yield Text(f"  {task.fields['extra']}", style="dim", no_wrap=True)


class _Terminal(Console):
    """Knows its size where descriptors 0, 1 and 2, of which rich asks, are pipes."""

    @property
    def size(self) -> ConsoleDimensions:
        settled = self._width is not None or self._height is not None or "LINES" in os.environ
        if self.is_terminal and not self.is_dumb_terminal and not settled:
            try:
                columns, rows = os.get_terminal_size(self.file.fileno())
            except (OSError, ValueError):
                return super().size
            if columns and rows:
                return ConsoleDimensions(columns, rows)
        return super().size

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size


class Display:
    """Shows events: call it with one. `stop` leaves the terminal in order."""

    def __init__(self) -> None:
        self.console = _Terminal(file=sys.stderr, highlight=False, soft_wrap=True)
        self._live = self.console.is_terminal and not self.console.is_dumb_terminal
        self._bar: _Bars | None = None
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, tuple[float, int]] = {}
        self._picture: training_view.Picture | None = None
        self._region: Region | None = None
        self._activity: Activity | None = None
        self._rows = False
        self._steps_at: float | None = None
        self._scored: Scored | None = None
        self._saved: Saved | None = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progress):
            self._progress(event)
        elif isinstance(event, Note):
            self._prose(Text(safe(event.text)))
        elif isinstance(event, Caution):
            self._prose(Text.assemble(("caution: ", "yellow"), safe(event.text)))
        elif isinstance(event, Settings):
            self._settings(event)
        elif isinstance(event, TrainingEvent):
            self._training(event)
        elif isinstance(event, Answering):
            self.stop()
        elif isinstance(event, Next) and self._live:
            self.stop()
            self._line(Text.assemble(("next: ", "bold"), safe(event.command)))

    def stop(self) -> None:
        """End the live view; what it showed last stays on the screen."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
            self._tasks.clear()
        if self._region is not None and self._picture is not None:
            self._picture.end()
            self._region.stop()
            self._region = self._picture = None

    def _line(self, text: Text) -> None:
        """One line whatever its length, so that it can be pasted, or read by a program."""
        self.console.print(text)

    def _prose(self, text: Text) -> None:
        """Prose: wrapped between words where a person reads it."""
        self.console.print(text, soft_wrap=not self._live)

    def _settings(self, event: Settings) -> None:
        width = max((len(key) for key in event.values), default=0)
        self._line(Text(safe(event.title), style="bold"))
        for key, value in event.values.items():
            lead, shown = Text(f"  {key:<{width}}  ", style="dim"), Text(safe(value))
            if self._live:
                grid = Table.grid()
                grid.add_row(lead, shown)
                self.console.print(grid, soft_wrap=False)
            else:
                self._line(lead + shown)

    def _progress(self, event: Progress) -> None:
        fields = "  ".join(f"{key} {safe(value)}" for key, value in event.fields.items())
        if not self._live:
            self._plain(event, fields)
            return
        if self._bar is None:
            self._bar = _Bars(
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TextColumn("{task.fields[unit]}", markup=False),
                TimeElapsedColumn(),
                TextColumn("eta"),
                TimeRemainingColumn(),
                console=self.console,
                refresh_per_second=5,
            )
            self._bar.start()
        if event.task not in self._tasks:
            # A bar that starts late (a resumed run) must not count the earlier part as speed.
            self._tasks[event.task] = self._bar.add_task(
                safe(event.task),
                total=event.total,
                completed=event.done,
                unit=event.unit,
                extra=fields,
            )
            return
        self._bar.update(
            self._tasks[event.task], completed=event.done, total=event.total, extra=fields
        )

    def _training(self, event: TrainingEvent) -> None:
        if not self._live:
            self._plain_training(event)
            return
        if self._picture is None or self._region is None:
            self._picture = training_view.Picture()
            self._region = Region(lambda: self._picture or "", console=self.console)
            self._region.start()
        self._picture(event)

    def _plain_training(self, event: TrainingEvent) -> None:
        if isinstance(event, Scored):
            self._scored = event
            self._line(Text(training_view.plain_scores(event)))
        elif isinstance(event, Saved):
            self._saved = event
        elif isinstance(event, Trained):
            self._rows = True
            if self._is_time(event.task, event.step, event.total):
                self._line(Text(training_view.plain(event, self._scored, self._saved)))
        elif isinstance(event, Stepped):
            self._plain_steps(event)
        elif isinstance(event, Spent):
            self._line(Text(training_view.spent(event)))
        elif isinstance(event, Doing):
            if event.activity == "compile":  # minutes of silence otherwise, for large models
                program = "scoring" if self._activity == "score" else "training step"
                self._line(Text(f"compiling the {program}"))
            self._activity = event.activity

    def _plain_steps(self, event: Stepped) -> None:
        now = time.monotonic()
        if self._rows:
            return
        if self._steps_at is None or now - self._steps_at >= _PLAIN_STEPS_EVERY_S:
            self._steps_at = now
            self._line(Text(training_view.plain_steps(event)))

    def _plain(self, event: Progress, fields: str) -> None:
        if not self._is_time(event.task, event.done, event.total):
            return
        total = f"/{event.total}" if event.total is not None else ""
        line = f"{safe(event.task)}: {event.done}{total} {event.unit}"
        self._line(Text(f"{line}  {fields}".rstrip()))

    def _is_time(self, task: str, done: int, total: int | None) -> bool:
        """Whether a plain line is due: not often, and the end for sure, but once."""
        now = time.monotonic()
        last, shown = self._said.get(task, (None, None))
        finished = total is not None and done >= total
        if last is not None and not finished and now - last < _PLAIN_EVERY_S:
            return False
        if done == shown:
            return False
        self._said[task] = (now, done)
        return True
