"""Progress bars on a terminal, for as long as the work behind them goes on.

A bar that stays when the work is over looks like work that hangs. So it is erased when something
else begins or the answer comes, and of a task that took a while one line remains.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import (
    Progress as RichBars,
)
from rich.text import Text

from vitctl.console.live import Region
from vitctl.console.text import safe
from vitctl.events import Progress
from vitctl.text import quantities

_SHORTEST_S = 1.0
"""What took less leaves no line: it would be one about nothing."""
_BAR_COLUMNS, _NARROW_BAR_COLUMNS, _NARROW = 20, 8, 80


class Bars:
    """Call it with `Progress`; `stop` ends all bars."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._running: dict[str, _Running] = {}
        self._drawn: _TasksWithFields | None = None
        self._region: Region | None = None

    def __call__(self, event: Progress) -> None:
        running = self._running.get(event.task)
        if running is None:
            self.settle()
            if _is_done(event):
                return  # at once, or the end said once more
            running = self._begin(event)
        running.newest = event
        assert self._drawn is not None
        self._drawn.update(
            running.id, completed=event.done, total=event.total, extra=fields_of(event)
        )

    def settle(self) -> None:
        """Erase the bars of tasks that are done. Not with their last image: what else is known of
        them may come after it."""
        for task, running in list(self._running.items()):
            if _is_done(running.newest):
                self._end(task)

    def stop(self) -> None:
        """Erase all bars; of those that are left, how far their tasks came stays on the screen."""
        for task in list(self._running):
            self._end(task)

    def _begin(self, event: Progress) -> _Running:
        if self._drawn is None:
            self._drawn = _bars(self._console)
        # A bar that starts late (a resumed run) must not count the earlier part as speed.
        task = self._drawn.add_task(
            safe(event.task),
            total=event.total,
            completed=event.done,
            unit=event.unit,
            extra=fields_of(event),
        )
        if self._region is None:
            self._region = Region(self._drawn.get_renderable, console=self._console, transient=True)
            self._region.start(refresh=True)
        self._running[event.task] = _Running(task, began=time.monotonic(), newest=event)
        return self._running[event.task]

    def _end(self, task: str) -> None:
        running = self._running.pop(task)
        assert self._drawn is not None
        assert self._region is not None
        if self._running:
            self._drawn.remove_task(running.id)
        else:
            self._region.stop()
            self._region = self._drawn = None
        took = time.monotonic() - running.began
        if took >= _SHORTEST_S:
            self._console.print(Text(_line(running.newest, took=took)))


@dataclass
class _Running:
    id: TaskID
    began: float
    newest: Progress


class _TasksWithFields(RichBars):
    """A bar a task, and its fields below: side by side they would need 160 columns."""

    def get_renderables(self) -> Iterable[RenderableType]:
        for task in self.tasks:
            yield self.make_tasks_table([task])
            if task.fields.get("extra"):
                yield Text(f"  {task.fields['extra']}", style="dim", no_wrap=True)


class _Count(ProgressColumn):
    """How many are done, of how many where that is known."""

    def render(self, task: Task) -> Text:
        done = f"{int(task.completed)}"
        return Text(done if task.total is None else f"{done}/{int(task.total)}")


class _Eta(ProgressColumn):
    """Empty until the pace is known, where rich draws dashes."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        left = task.time_remaining
        return Text("" if left is None else f"eta {quantities.duration(left)}")


def _bars(console: Console) -> _TasksWithFields:
    narrow = console.size.width < _NARROW
    return _TasksWithFields(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=_NARROW_BAR_COLUMNS if narrow else _BAR_COLUMNS),
        _Count(),
        TextColumn("{task.fields[unit]}", markup=False),
        TimeElapsedColumn(),
        _Eta(),
        console=console,
        auto_refresh=False,
    )


def _is_done(event: Progress) -> bool:
    return event.total is not None and event.done >= event.total


def fields_of(event: Progress) -> str:
    """The fields of an event on one line."""
    return "  ".join(f"{key} {safe(value)}" for key, value in event.fields.items())


def counted(event: Progress) -> str:
    """How far a task is, in words: `shard: 12/40 images`."""
    total = f"/{event.total}" if event.total is not None else ""
    unit = event.unit.removesuffix("s") if event.done == 1 and not total else event.unit
    return f"{safe(event.task)}: {event.done}{total} {unit}"


def _line(event: Progress, *, took: float) -> str:
    return f"{counted(event)} in {quantities.duration(took)}  {fields_of(event)}".rstrip()
