"""A live region at the bottom of a terminal that survives what terminals do.

rich counts the lines it drew and goes up as many; a terminal that was made narrower meanwhile has
wrapped them, and their upper parts stay behind. And rich hides the cursor, which a killed process
never brings back.
"""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.control import Control
from rich.live import Live
from rich.live_render import LiveRender
from rich.segment import ControlType, Segment

_REFRESHES_PER_S = 4
_ERASE = (ControlType.ERASE_IN_LINE, 2)
_UP = ((ControlType.CURSOR_UP, 1), _ERASE)


class Region(Live):
    """What `draw` returns, redrawn a few times a second and on request; erased at the end if it is
    `transient`."""

    def __init__(
        self, draw: Callable[[], RenderableType], *, console: Console, transient: bool = False
    ) -> None:
        super().__init__(
            console=console,
            refresh_per_second=_REFRESHES_PER_S,
            get_renderable=draw,
            transient=transient,
        )
        self._live_render = _Reflowing(self.get_renderable(), console=console)

    def start(self, refresh: bool = False) -> None:
        super().start(refresh)
        self.console.show_cursor(True)


class _Reflowing(LiveRender):
    """Knows how many rows its last lines take at the terminal's present width."""

    def __init__(self, renderable: RenderableType, *, console: Console) -> None:
        super().__init__(renderable)
        self._console = console
        self._widths: list[int] = []

    def position_cursor(self) -> Control:
        if not self._widths:
            return Control()
        return Control(ControlType.CARRIAGE_RETURN, _ERASE, *_UP * (self._rows() - 1))

    def restore_cursor(self) -> Control:
        return Control(ControlType.CARRIAGE_RETURN, *_UP * self._rows())

    def _rows(self) -> int:
        columns = max(1, self._console.size.width)
        return sum(max(1, -(-width // columns)) for width in self._widths)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self.renderable, options, pad=False)
        # Taller than the screen, lines would scroll out of reach; the last ones matter most.
        lines = lines[-max(1, options.size.height - 1) :]
        self._widths = [Segment.get_line_length(line) for line in lines]
        self._shape = Segment.get_shape(lines)
        for number, line in enumerate(lines):
            if number:
                yield Segment.line()
            yield from line
