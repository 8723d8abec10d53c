"""The picture of a training run on a terminal: what the events said so far, drawn at any size."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from vitctl.artifacts.kinds.checkpoint import TITLES
from vitctl.console.curve import Point, curve, thinned, unicode_shown
from vitctl.console.text import safe, wrapped
from vitctl.events import (
    Activity,
    Doing,
    Left,
    Saved,
    Scored,
    Spent,
    Stepped,
    Trail,
    Trained,
    TrainingEvent,
)
from vitctl.measures.metric_titles import is_share
from vitctl.text import quantities
from vitctl.text.quantities import show_count
from vitctl.train.telemetry import goodput

# More points than any terminal has columns of dots; older ones are averaged.
_MOST_POINTS = 2_000
# Below this width only what fits a glance; below this height no curve.
_NARROW, _WIDE, _SHORT = 60, 100, 14
_SHORTEST_TITLE, _SHORTEST_BAR = 14, 5
_CURVE_ROWS, _CURVE_ROWS_WIDE = 5, 7
_WORDS: dict[Activity, str] = {
    "import": "importing jax",
    "start": "starting",
    "restore": "restoring",
    "procedural": "learning sequences",
    "open": "opening the data",
    "compile": "compiling",
    "step": "training",
    "score": "scoring",
    "save": "saving",
}
_GAP = "   "


class Picture:
    """Call it with events; print it with rich."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._ended: float | None = None
        self._points: list[Point] = []
        self._now: Trained | None = None
        self._at: Trained | Stepped | None = None
        self._left: Left | None = None
        self._event_at = self._began
        self._scored: Scored | None = None
        self._best: Scored | None = None
        self._saved: Saved | None = None
        self._spent: Spent | None = None
        self._activity: Activity = "start"
        self._since = self._began
        self._unicode = unicode_shown()

    def __call__(self, event: TrainingEvent) -> None:
        if isinstance(event, Doing):
            self._activity, self._since = event.activity, self._clock()
        elif isinstance(event, Trained):
            self._now = event
            self._go_to(event)
            self._points = thinned([*self._points, (event.step, event.loss)], most=_MOST_POINTS)
        elif isinstance(event, Stepped):
            self._go_to(event)
        elif isinstance(event, Trail):
            self._points = thinned(list(event.losses), most=_MOST_POINTS)
        elif isinstance(event, Spent):
            self._spent = event
        elif isinstance(event, Saved):
            self._saved = event
        else:
            self._scored = event
            if self._best is None or _top1(event) > _top1(self._best):
                self._best = event

    def _go_to(self, event: Trained | Stepped) -> None:
        self._at, self._left, self._event_at = event, event.left, self._clock()

    def end(self) -> None:
        """What is drawn from now on is what was."""
        self._ended = self._clock()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # One column stays free: a terminal that is full to the last one wraps when it likes.
        columns = options.max_width - 1
        for line in self.lines(columns, options.size.height):
            line.truncate(columns, overflow="ellipsis" if self._unicode else "crop")
            line.no_wrap = True
            yield line

    def lines(self, columns: int, rows: int) -> Iterator[Text]:
        """At most `rows - 1` lines for a terminal of this size."""
        now, at = self._now, self._at
        narrow = columns < _NARROW
        if at is not None:
            yield self._bar(at, columns, narrow=narrow)
        if now is None or at is None:
            if self._spent is None:
                early = [] if at is None else [_loss(at.loss), *self._times(at, narrow=narrow)]
                yield from _filled([*early, *self._doing()], columns)
            return
        yield from _filled(self._speeds(now, narrow=narrow), columns)
        if not narrow and rows >= _SHORT:
            tall = _CURVE_ROWS_WIDE if columns >= _WIDE and rows >= 2 * _SHORT else _CURVE_ROWS
            for line in curve(
                self._points,
                columns=columns - 1,
                rows=tall,
                last_x=now.total,
                braille=self._unicode,
            ):
                yield Text(f" {line}", style="cyan")
        if self._scored is not None:
            yield from _filled(self._scores(self._scored, narrow=narrow), columns)
        if self._spent is not None:
            yield from _sentence(spent(self._spent), columns)
        else:
            yield from _filled([*self._times(at, narrow=narrow), *self._doing()], columns)

    def _bar(self, now: Trained | Stepped, columns: int, *, narrow: bool) -> Text:
        share = min(1.0, now.step / now.total)
        steps = f"{now.step:,}/{now.total:,}"
        tail = f" {share:4.0%}  {steps}" + ("" if narrow else " steps")
        head = Text(f" {safe(now.task)}", style="bold")
        head.truncate(
            max(_SHORTEST_TITLE, columns - len(tail) - _SHORTEST_BAR - 3),
            overflow="ellipsis" if self._unicode else "crop",
        )
        head.append("  ")
        width = max(_SHORTEST_BAR, columns - head.cell_len - len(tail) - 1)
        full = int(share * width)
        done, rest = ("━", "─") if self._unicode else ("=", "-")
        return Text.assemble(
            head, (done * full, "green"), (rest * (width - full), "dim"), (tail, "")
        )

    @staticmethod
    def _speeds(now: Trained, *, narrow: bool) -> list[Text]:
        speed = (
            _field("MFU", quantities.percent(now.mfu, digits=1))
            if now.mfu is not None
            else _field("model", quantities.flops(now.flops_per_s))
        )
        fields = [
            _loss(now.loss),
            _field("lr", f"{now.lr:#.3g}"),
            _field("img/s", quantities.rate(now.images_per_s)),
        ]
        if narrow:
            return fields
        fields += [speed, _field("data wait", quantities.percent(now.data_wait))]
        return fields if now.skipped is None else [*fields, _field("skipped", str(now.skipped))]

    def _scores(self, scored: Scored, *, narrow: bool) -> list[Text]:
        fields = [Text(f"{safe(scored.split)} at {show_count(scored.step)}")]
        fields += [
            _field(_NAMES.get(name, safe(name)), _score(name, value))
            for name, value in scored.scores.items()
            if name in _NAMES
        ]
        best = self._best
        if best is not None and best is not scored and not narrow:
            score = f"{_score('top1', _top1(best))} at {show_count(best.step)}"
            fields.append(_field("best top-1", score))
        return fields

    def _times(self, now: Trained | Stepped, *, narrow: bool) -> list[Text]:
        if self._ended is not None:
            return [_field("took", quantities.duration(self._ended - self._began))]
        if now.step >= now.total:
            return []
        if self._left is None:
            return [_field("eta", "not known yet")]
        passed = self._clock() - self._event_at
        estimates = (self._left.likely, self._left.low, self._left.high)
        left = Left(*(max(0.0, seconds - passed) for seconds in estimates))
        eta = quantities.duration(left.likely) if narrow else quantities.eta(left)
        fields = [_field("eta", eta)]
        if self._saved is not None and not narrow:
            fields.append(_field("save stall", stall(self._saved)))
        return fields

    def _doing(self) -> list[Text]:
        if self._ended is not None:
            return []
        word = _WORDS[self._activity]
        if self._activity == "step":
            return [Text(word)]
        # How long is worth telling where it is not the usual.
        return [Text(f"{word} {quantities.duration(self._clock() - self._since)}", style="bold")]


def plain(event: Trained, scored: Scored | None, saved: Saved | None = None) -> str:
    """A training run on one line, for logs."""
    speed = (
        f"MFU {quantities.percent(event.mfu, digits=1)}"
        if event.mfu is not None
        else quantities.flops(event.flops_per_s)
    )
    parts = [
        f"{safe(event.task)}: {event.step}/{event.total} steps",
        f"loss {quantities.shown_digits(event.loss, least=4)}",
        f"lr {event.lr:.3g}",
        f"img/s {quantities.rate(event.images_per_s)}",
        speed,
        f"data wait {quantities.percent(event.data_wait)}",
    ]
    if event.skipped is not None:
        parts.append(f"skipped {event.skipped}")
    if saved is not None:
        parts.append(f"save stall {stall(saved)}")
    if scored is not None and "top1" in scored.scores:
        parts.append(f"top-1 {_score('top1', scored.scores['top1'])}")
    if event.left is not None and event.step < event.total:
        parts.append(f"eta {quantities.eta(event.left)}")
    return "  ".join(parts)


def plain_steps(event: Stepped) -> str:
    """How far a run is before its first row, on one line, for logs."""
    loss = quantities.shown_digits(event.loss, least=4)
    line = f"{safe(event.task)}: {event.step}/{event.total} steps  loss {loss}"
    return line if event.left is None else f"{line}  eta {quantities.eta(event.left)}"


def plain_scores(event: Scored) -> str:
    """Held-out scores on one line, for logs."""
    scores = "  ".join(
        f"{_NAMES[name]} {_score(name, value)}"
        for name, value in event.scores.items()
        if name in _NAMES
    )
    return f"{safe(event.split)} at step {event.step}: {scores}"


def stall(event: Saved) -> str:
    """How long training stood still for a checkpoint."""
    return f"{quantities.shown_digits(event.stall_s, least=2)} s"


def spent(event: Spent) -> str:
    """Where the time went, on one line."""
    return f"time {goodput.in_words(event.seconds, starts=event.starts)}"


_NAMES = {**TITLES, "ema_top1": "averaged top-1"}


def _score(name: str, value: float) -> str:
    shares = is_share(name.removeprefix("ema_"))
    return (
        quantities.percent(value, digits=1) if shares else quantities.shown_digits(value, least=4)
    )


def _top1(event: Scored) -> float:
    return event.scores.get("top1", 0.0)


def _field(name: str, value: str) -> Text:
    return Text.assemble((f"{name} ", "dim"), value)


def _loss(value: float) -> Text:
    return _field("loss", f"{value:#.4g}")


def _filled(fields: list[Text], columns: int) -> Iterator[Text]:
    """Fields side by side, on as many lines as it takes."""
    line = Text()
    for field in fields:
        if line.plain and line.cell_len + len(_GAP) + field.cell_len <= columns:
            line = Text.assemble(line, _GAP, field)
            continue
        if line.plain:
            yield line
        line = Text.assemble(" ", field)
    if line.plain:
        yield line


def _sentence(text: str, columns: int) -> Iterator[Text]:
    """Prose, broken between words."""
    for line in wrapped(text, max(10, columns - 2)):
        yield Text(f" {line}")
