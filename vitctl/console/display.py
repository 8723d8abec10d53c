"""Events -> stderr: a rich live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time

from rich.console import Console, ConsoleDimensions
from rich.table import Table
from rich.text import Text

from vitctl.console import training_view
from vitctl.console.bars import Bars, counted, fields_of
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
        self._bars = Bars(self.console)
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
            (self._bars if self._live else self._plain)(event)
        elif isinstance(event, Note):
            self._prose(Text(safe(event.text)))
        elif isinstance(event, Caution):
            self._prose(Text.assemble(("caution: ", "yellow"), safe(event.text)))
        elif isinstance(event, Settings):
            self._bars.settle()
            self._settings(event)
        elif isinstance(event, TrainingEvent):
            self._training(event)
        elif isinstance(event, Answering):
            self.stop()
        elif isinstance(event, Next) and self._live:
            self.stop()
            self._line(Text.assemble(("next: ", "bold"), safe(event.command)))

    def stop(self) -> None:
        """End the live view. The last picture of a training run stays on the screen."""
        self._bars.stop()
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
            self._scored = self._saved = None  # of this run
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

    def _plain(self, event: Progress) -> None:
        if self._is_time(event.task, event.done, event.total):
            self._line(Text(f"{counted(event)}  {fields_of(event)}".rstrip()))

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
