"""Connecting the processes, and leaving: all at the end, or because of an error."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, NoReturn

from vitctl.errors import InterruptedRun, NotFoundError, UsageError, VitctlError
from vitctl.processes import cluster, exchange, pulse
from vitctl.processes.cluster import Membership
from vitctl.processes.pulse import AGAIN, Pulse
from vitctl.processes.watchdog import GRACE_S, Watchdog, phrase
from vitctl.signals import Stop
from vitctl.version import __version__

START_S = 300
# jax ends a process when another one misses its heartbeat, without a word to us; the watchdog is
# sooner and saves what can be saved, so jax's own time is out of reach.
_NEVER_S = 7 * 24 * 3600
_LEAVE_S = 8
_LAST_BEATS, _BLAME_BEATS = 2, 5
"""Rounds until the last beat of a process that just died was surely read, and then until it is
blamed for sending no other."""

Report = Callable[[VitctlError], None]

_watchdog: Watchdog | None = None


def connect(
    membership: Membership,
    *,
    report: Report,
    hang_s: float | None = None,
    start_s: int = START_S,
) -> None:
    """Connect this process with the others, before anything touches a device.

    `report` prints the error that ends this process when its main thread can't.

    Raises NotFoundError if not all processes connect within `start_s`, UsageError if their versions
    differ.
    """
    global _watchdog
    # Level 2 and up: errors. jax's service warns about normal events.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import jax

    # It would take SIGTERM for itself; `pulse` stops all processes at the same step.
    jax.config.update("jax_enable_preemption_service", False)
    _survive_abort(report, missing=lambda: _missing(membership, start_s=start_s))
    global _connected
    try:
        jax.distributed.initialize(
            membership.coordinator,
            membership.processes,
            membership.process_id,
            initialization_timeout=start_s,
            heartbeat_timeout_seconds=_NEVER_S,
            shutdown_timeout_seconds=_LEAVE_S,
            # The arguments are complete: jax must not detect a cluster that contradicts them.
            cluster_detection_method=None if membership.coordinator is None else "deactivate",
        )
    except (RuntimeError, ValueError) as error:
        raise _not_started(membership, error, start_s=start_s) from None
    _connected = True
    if exchange.count() == 1:
        return

    def leave(error: VitctlError) -> None:
        report(error)
        leave_now(error)

    beat = pulse.begin(exchange.client(), index=exchange.index(), count=exchange.count())
    _watchdog = Watchdog(beat, hang_s=hang_s, leave=leave)
    _watchdog.start()
    exchange.agree(
        "versions",
        {"vitctl": __version__, "jax": jax.__version__},
        error=UsageError,
        hint="install the same versions everywhere",
    )


def finish() -> None:
    """Leave when all processes are done. Does nothing in a single process."""
    beat = pulse.current()
    if beat is None:
        return
    import jax

    pulse.mark("end")
    exchange.gather("the end", None)
    if _watchdog is not None:
        _watchdog.end()
    beat.end()
    global _done
    _done = True
    jax.distributed.shutdown()


def leave_now(error: VitctlError) -> NoReturn:
    """End this process because of an error, without waiting for those that hang.

    Process 0 runs the coordination service, so it stays until the others have read the error and
    left.
    """
    beat = pulse.current()
    if beat is not None:
        beat.say_ended(error)
        if beat.index == 0:
            _stay(beat)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    # Not sys.exit: finalizers would wait for collectives that never end.
    os._exit(error.exit_code)


def blame(error: BaseException) -> VitctlError | None:
    """The error of another process, when this one fails in a collective; None if all are well.

    A connection breaks the moment a process dies; its beat is missed only after some rounds.
    """
    beat = pulse.current()
    if beat is None:
        return None
    before, rounds = None, beat.rounds
    for waited in range(int((_LAST_BEATS + _BLAME_BEATS) * 3 * beat.every_s / 0.1)):
        if beat.ended:
            return pulse.as_error(beat.ended[0])
        if beat.verdict is not None:
            return beat.verdict
        if before is None and beat.rounds >= rounds + _LAST_BEATS:
            before = beat.peers
        if beat.rounds >= rounds + _LAST_BEATS + _BLAME_BEATS:
            break
        if beat.rounds == rounds and waited * 0.1 > _BLAME_BEATS * beat.every_s:
            return pulse.unreachable()
        time.sleep(0.1)
    if before is not None:
        for then, now in zip(before, beat.peers, strict=True):
            if then.beat == now.beat:
                doing = phrase(now.doing)
                return InterruptedRun(f"{now.named} is gone; it was {doing}", hint=AGAIN)
    if "Gloo" in str(error):
        text = " ".join(str(error).split())
        return InterruptedRun(f"the processes lost touch: {text[:200]}", hint=AGAIN)
    return None


def fails_alike(error: VitctlError) -> bool:
    """Whether process 0 ends with the same message, so that it need not be printed again."""
    beat = pulse.current()
    if beat is None or beat.index == 0:
        return False
    for _ in range(20):
        for ended in beat.ended:
            if ended.index == 0:
                return ended.message == error.message
        time.sleep(0.1)
    return False


def stacks_in(folder: Path, *, create: Callable[[Path], IO[str]]) -> None:
    """Set the folder for stacks, now that there is a run; `create` makes a file in it."""
    if _watchdog is not None:
        _watchdog.folder, _watchdog.create = folder, create


class _Together(Stop):
    """All processes stop after the same step, whichever of them received a signal."""

    def __init__(self, beat: Pulse, stop: Stop, *, step: int) -> None:
        super().__init__()
        self._beat = beat
        beat.watch_for_stop(lambda: stop.reason if stop.requested else None, step=step)

    @property
    def requested(self) -> bool:
        return self._beat.reason is not None

    def after(self, step: int) -> bool:
        return self._beat.stops_after(step)

    @property
    def breaks_off(self) -> bool:
        """Never: a collective that began must be finished by all processes."""
        return False

    @property
    def reason(self) -> str:
        return self._beat.reason or "nobody"


def shared_stop(stop: Stop, *, step: int) -> Stop:
    """`stop` for all processes: all stop after the same step when one of them receives a signal.
    `step` is the number of steps done when the loop begins."""
    beat = pulse.current()
    return stop if beat is None else _Together(beat, stop, step=step)


def _stay(beat: Pulse) -> None:
    others = beat.count - 1
    for _ in range(int(_stay_s(beat) / 0.1)):
        if len({ended.index for ended in beat.ended} - {0}) >= others:
            return
        time.sleep(0.1)


def _stay_s(beat: Pulse) -> float:
    """Seconds until the others have read the error (a round writes first, then reads), and their
    watchdogs have ended those whose main threads hang."""
    return 2 * beat.every_s + GRACE_S + 1


def _detected(membership: Membership) -> Membership:
    """Which process this is among how many: as given, else as jax found it or would find it."""
    if membership.coordinator is not None:
        return membership
    from jax._src.distributed import global_state

    if global_state.coordinator_address is not None:
        membership = replace(membership, coordinator=global_state.coordinator_address)
    index, count = cluster.in_environment() or (None, None)
    if index is None and membership.coordinator is not None:
        index = global_state.process_id
    return replace(membership, processes=membership.processes or count, process_id=index)


def _missing(membership: Membership, *, start_s: int) -> VitctlError:
    """The error if not all processes connect."""
    here = _detected(membership)
    who = {None: "some of the processes", 0: "the other processes"}.get(
        here.process_id, "process 0"
    )
    at = f" at {here.coordinator}" if here.coordinator else ""
    if membership.coordinator is not None:
        hint = "start all processes with one --coordinator; to train in one process: --processes 1"
    else:
        source = cluster.launched_by() or "the cluster"
        counted = f"{here.processes} processes" if here.processes else "several processes"
        me = "" if here.process_id is None else f", of which this is number {here.process_id}"
        hint = (
            f"{source} is said to run {counted}{me}: start all of them; to train alone: "
            "--processes 1"
        )
    return NotFoundError(f"{who} did not connect{at} within {start_s} s", hint=hint)


def _not_started(membership: Membership, error: Exception, *, start_s: int) -> VitctlError:
    text = " ".join(str(error).split())
    if "DEADLINE_EXCEEDED" in text or "UNAVAILABLE" in text:
        return _missing(membership, start_s=start_s)
    return UsageError(
        f"jax could not connect the processes: {text[:300]}",
        hint="give their number and address: --processes N --process-id I --coordinator HOST:PORT",
    )


def _survive_abort(report: Report, *, missing: Callable[[], VitctlError]) -> None:
    """End with an error message instead of abort() if the reason is that another process died.

    jax's client aborts the process the moment its connection to process 0 closes, also while they
    still wait for one another; in process 0 where another one died in the middle of connecting
    (its deadline passes on both sides, and one of them aborts; `missing` says it), or in the
    seconds of leaving, when all is done and answered. The callback that jaxlib 0.10 offers in its
    place can't be called from Python (it throws std::bad_cast). An abort for any other reason
    stays one.
    """

    @ctypes.CFUNCTYPE(None, ctypes.c_int)
    def aborted(number: int) -> None:
        if _done:
            os._exit(0)
        from jax._src.distributed import global_state

        if global_state.process_id == 0:
            if _connected:
                return  # abort() goes on
            error = missing()
        else:
            host, _, port = (global_state.coordinator_address or "").rpartition(":")
            if not port:
                return
            with suppress(OSError):
                socket.create_connection((host.strip("[]"), int(port)), timeout=3).close()
                return
            error = pulse.unreachable()
        report(error)
        os._exit(error.exit_code)  # saying goodbye would need the client that aborts

    global _abort_handler
    _abort_handler = aborted
    ctypes.CDLL(None).signal(signal.SIGABRT, aborted)


_abort_handler: Any = None
"""The C function must outlive the signal."""
_connected = _done = False
"""How far this process came: all were there once; all are done, and its answer is out."""
