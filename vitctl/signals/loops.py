"""Blocks in which a first signal only requests a stop."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from vitctl.signals.ownership import Owner, Phase, owner, raise_if_asked
from vitctl.signals.stop import Stop, heeded


@contextmanager
def graceful(stop: Stop | None = None) -> Iterator[Stop]:
    """Within this block the first signal only requests a stop. `stop` is that of the block before,
    if this block continues its work.

    Outside the main thread nothing changes, unless a command owns the signals.
    """
    stop = stop or Stop()
    command = owner()
    if command is not None:
        with _loop_of(command, stop):
            yield stop
        return

    def handle(number: int, frame: FrameType | None) -> None:
        stop.insists.after(number)
        stop.signal = stop.signal or number

    before = {}
    with suppress(ValueError):  # not the main thread: the embedding program owns the signals
        before = {number: signal.signal(number, handle) for number in heeded()}
    try:
        yield stop
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextmanager
def unless_owned(stop: Stop) -> Iterator[None]:
    """`graceful`, around all of a stage's work, where no command owns the signals: programs that
    call a stage know nothing of Interrupted."""
    if owner() is not None:
        yield
        return
    with graceful(stop):
        yield


@contextmanager
def _loop_of(command: Owner, stop: Stop) -> Iterator[None]:
    if not stop.requested:
        raise_if_asked()  # what was raised may have got lost
    outer, phase = command.stop, command.phase
    command.began = True
    command.stop = stop
    command.phase = Phase.LOOP
    try:
        yield
    finally:
        # In this order a signal in between still finds the loop's stop.
        if command.phase is Phase.LOOP:
            command.phase = phase
        command.stop = outer


@contextmanager
def nothing_to_save() -> Iterator[None]:
    """Within a loop's block: the first signal is raised as between loops, since what it breaks off
    leaves nothing to save. Compiling the first step takes minutes in which no step ends.

    Where no command owns the signals, nothing changes.
    """
    command = owner()
    if command is None or command.stop is None:
        yield
        return
    raise_if_asked()
    stop, command.stop = command.stop, None
    command.phase = Phase.BETWEEN
    try:
        yield
    finally:
        if command.phase is Phase.BETWEEN:
            command.phase = Phase.LOOP
        command.stop = stop
    raise_if_asked()  # one that came between the block and here
