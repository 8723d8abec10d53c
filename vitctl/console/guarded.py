"""A command, run: its display, its signals, its processes and its exit code."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitctl import processes, signals
from vitctl.console import multiprocess
from vitctl.console.native_output import NativeOutput, wanted
from vitctl.console.session import Options, Session
from vitctl.console.streams import silence_stdout, terminal
from vitctl.errors import NotFoundError
from vitctl.events import Activity, Answering, Doing, Emit, Event, Next, Note
from vitctl.hardware.compilation_cache import keep_compiled_programs
from vitctl.hardware.machine import settle_platform
from vitctl.processes import cluster

if TYPE_CHECKING:
    from vitctl.console.display import Display


def run_guarded(
    function: Callable[..., None],
    options: Callable[[Emit], Options],
    arguments: dict[str, Any],
    *,
    quiet: bool,
    processes_flags: dict[str, Any] | None,
    computes: bool,
) -> int:
    """Run a command and give its exit code. `options` may raise for a flag that makes no sense."""
    silence_stdout()
    keep_compiled_programs()
    settle_platform()
    shown = LateDisplay(quiet=quiet)
    if (owner := signals.owner()) is not None:
        owner.leave = partial(multiprocess.leave, shown.stop)
        owner.acknowledge = lambda: shown(Note(shown.awaited(owner.name)))
    if computes:
        shown.catch()
    try:
        _check_working_folder()
        place_in_cluster = cluster.in_environment() if processes_flags is None else None
        if place_in_cluster is not None and place_in_cluster[0] > 0:
            index, count = place_in_cluster
            shown(
                Note(f"process {index} of {count} does nothing here: process 0 runs this command")
            )
            return 0
        if processes_flags is not None:
            multiprocess.connect(processes_flags, stop_display=shown.stop)
            shown.quiet = shown.quiet or not processes.first()
        with signals.ending_if_deaf(shown.stop) if computes else nullcontext():
            session = Session(options(shown), shown)
            function(session, **arguments)
        signals.settle()
        shown.stop()
        multiprocess.finish()
    except SystemExit:
        raise
    except BaseException as error:
        signals.settle()
        shown.end()
        return multiprocess.failed(error)
    finally:
        shown.end()
    return 0


class LateDisplay:
    """The display, made with the first event: looking often has none, and rich takes 0.1 s."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.caught: NativeOutput | None = None
        self._display: Display | None = None
        self._making = threading.Lock()
        self._activity: Activity | None = None

    def awaited(self, signal: str) -> str:
        """What happens after the first signal."""
        doing = "finishing and saving the current work"
        if self._activity == "compile":
            doing = "a compilation cannot be broken off; when it is finished, the work is saved"
        return f"{signal}: {doing}; a second one stops at once"

    def catch(self) -> None:
        """From now on what libraries write to stderr is shown as part of the display."""
        if wanted():
            self.caught = NativeOutput(
                lambda sentence: self(Note(sentence)),
                terminal=terminal(),
                errors_only=lambda: self.quiet,
            )
            self.caught.begin()

    def __call__(self, event: Event) -> None:
        if isinstance(event, Doing):
            self._activity = event.activity
        if self.quiet:
            return
        if isinstance(event, Answering | Next) and self.caught is not None:
            self.caught.tell_repeated()
        with self._making:
            if self._display is None:
                if isinstance(event, Answering):
                    return
                from vitctl.console.display import Display

                self._display = Display()
        self._display(event)

    def stop(self) -> None:
        if self._display is not None:
            self._display.stop()

    def end(self) -> None:
        """Nothing more is shown or caught."""
        self.stop()
        if self.caught is not None:
            self.caught.end()


def _check_working_folder() -> None:
    try:
        Path.cwd()
    except FileNotFoundError:
        raise NotFoundError(
            "the working folder was removed", hint="enter a folder that exists: cd"
        ) from None
