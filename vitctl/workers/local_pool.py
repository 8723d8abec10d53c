"""Worker processes that may die.

A decoder fed with hostile bytes can take its process with it. Each worker says which item it is
about to touch; when it dies, a fresh one takes its place and the work is done again, and an item
that was in hand at two deaths is called poisoned and not touched a third time.

`concurrent.futures` gives up on the whole pool when one process dies, hence this.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext
from types import ModuleType
from typing import Any

from vitctl.errors import DoesNotFitError, UsageError, VitctlError
from vitctl.workers.task import Done, Moving, Work

# Deaths with the same item in hand before it is called poisoned. Two, because the first may be
# the kernel's out-of-memory killer and not the item's fault.
_DEATHS = 2
_POLL_S = 0.2
_NOTHING = -1
_PR_SET_PDEATHSIG = 1
_ALONE = "--workers 1 needs less memory, --workers 0 works in this process"
_OF_THE_GROUP = {signal.SIGINT, signal.SIGHUP}
"""Ctrl-C and a closed terminal go to the whole group of processes; the parent decides what they
mean."""


def run_tasks(
    work: Work, tasks: Sequence[Any], *, workers: int, setup: Callable[[], None] | None = None
) -> Generator[Done | Moving]:
    """Do every task, in whatever order they finish. With `workers=0` it happens in this process.

    The first event comes when tasks are given out. `setup` runs once in each worker. An
    exception in a task ends it all and is raised here. Closing the iterator stops the workers.
    """
    if workers == 0:
        yield Moving(0)
        for number, task in enumerate(tasks):
            yield Done(number, work(task, poisoned={}, begin=lambda position: None))
        return
    pool = LocalPool(work, setup)
    try:
        yield from pool.run(tasks, workers=min(workers, len(tasks)))
    finally:
        pool.stop()


@dataclass
class _Worker:
    process: Any
    connection: Connection
    position: Any
    """A shared 64-bit integer: the item in hand, -1 before the first."""
    task: int | None = None


@dataclass
class LocalPool:
    """Worker processes on this machine, which stay from one `run` to the next until `stop`."""

    work: Work
    setup: Callable[[], None] | None = None
    alone: str = _ALONE
    """The hint where workers cannot start."""
    tasks: Sequence[Any] = ()
    workers: list[_Worker] = field(default_factory=list)
    poisoned: dict[int, dict[int, str]] = field(default_factory=dict)
    deaths: Counter[tuple[int, int]] = field(default_factory=Counter)

    def run(self, tasks: Sequence[Any], *, workers: int) -> Iterator[Done | Moving]:
        """Do the tasks; one run at a time."""
        self.tasks, self.poisoned, self.deaths = tasks, {}, Counter()
        waiting = list(range(len(tasks)))[::-1]
        finished = 0
        self.workers += [self._spawn() for _ in range(workers - len(self.workers))]
        while finished < len(tasks):
            for worker in self.workers:
                if worker.task is None and waiting:
                    self._give(worker, waiting.pop())
            wait([worker.connection for worker in self.workers], _POLL_S)
            for i, worker in enumerate(self.workers):
                if worker.task is None:
                    continue
                answer = _answer(worker)
                if isinstance(answer, _Died):
                    self._blame(worker)
                    waiting.append(worker.task)
                    self.workers[i] = self._spawn()
                elif isinstance(answer, _Failed):
                    raise answer.error
                elif isinstance(answer, _Result):
                    task, worker.task = worker.task, None
                    finished += 1
                    yield Done(task, answer.value)
            in_hand = (w.position.value for w in self.workers if w.task is not None)
            yield Moving(sum(max(0, position) for position in in_hand))

    def stop(self) -> None:
        for worker in self.workers:
            worker.connection.close()
            worker.process.terminate()
        for worker in self.workers:
            worker.process.join()

    def _spawn(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        position = _shared_number(context)
        process, connection = spawned(_serve, position, self.work, self.setup)
        return _Worker(process, connection, position)

    def _give(self, worker: _Worker, task: int) -> None:
        worker.task = task
        worker.position.value = _NOTHING
        try:
            worker.connection.send((self.tasks[task], self.poisoned.get(task, {})))
        except OSError:
            return  # it died meanwhile; the next look at it finds out

    def _blame(self, worker: _Worker) -> None:
        worker.process.join()
        position, code = worker.position.value, worker.process.exitcode
        assert worker.task is not None
        self.deaths[worker.task, position] += 1
        if self.deaths[worker.task, position] < _DEATHS:
            return
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        if position == _NOTHING:
            raise _cannot_start(how, code, hint=self.alone)
        self.poisoned.setdefault(worker.task, {})[position] = how


def spawned(serve: Callable[..., None], *args: Any) -> tuple[Any, Connection]:
    """A new process that calls `serve(connection, *args, parent=pid)`, and our end of the
    connection. `serve` begins with `live_under`."""
    # spawn: a fork of a process with threads (TensorFlow's, JAX's) may hang.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(
        target=serve, args=(theirs, *args), kwargs={"parent": os.getpid()}, daemon=True
    )
    # Until it ignores them itself; the mask is inherited. What tracks resources comes first:
    # its start would end the mask.
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, _OF_THE_GROUP)
    _enter_a_folder()
    try:
        with _without_main():
            process.start()
    except OSError as error:
        raise _cannot_start(error.strerror or str(error), 0) from None
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _OF_THE_GROUP)
    theirs.close()
    return process, ours


def live_under(parent: int) -> None:
    """End with the parent, and leave to it what a signal to the whole group means."""
    _end_with(parent)
    for number in _OF_THE_GROUP:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _OF_THE_GROUP)


def _cannot_start(how: str, code: int, *, hint: str = _ALONE) -> VitctlError:
    """Of no item's fault: too little memory for another interpreter, or one that cannot be read."""
    sentence = f"worker processes cannot start ({how})"
    if code == -signal.SIGKILL:
        return DoesNotFitError(f"{sentence}: it is what a system short of memory does", hint=hint)
    return UsageError(f"{sentence}; each runs {sys.executable}", hint=hint)


@contextmanager
def _without_main() -> Iterator[None]:
    """A process that is spawned runs the main program again, to find there what it is to call. What
    is called here is in modules, so that a script needs no `if __name__ == "__main__"`, and a
    worker does not import what a program imports."""
    program = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = program


def _enter_a_folder() -> None:
    """A new process enters the working folder of this one, and dies where that was removed, or
    where this user may not enter it: after `sudo -u` in a home, or in a container. No relative path
    leads anywhere from there."""
    try:
        os.getcwd()
        usable = os.access(".", os.X_OK)
    except FileNotFoundError:
        usable = False
    if not usable:
        os.chdir("/")


def _shared_number(context: SpawnContext) -> Any:
    """A number that a worker writes and this process reads: a file in /dev/shm, else in TMPDIR."""
    try:
        return context.RawValue("q", _NOTHING)
    except OSError as error:
        reason = f"{error.strerror}: {error.filename or '/dev/shm'}"
        raise UsageError(
            f"worker processes cannot start, as they share memory in a file ({reason})",
            hint="make that folder writable, or work in this process: --workers 0",
        ) from None


@dataclass(frozen=True)
class _Result:
    value: Any


@dataclass(frozen=True)
class _Failed:
    error: Exception


@dataclass(frozen=True)
class _Died:
    pass


def _answer(worker: _Worker) -> _Result | _Failed | _Died | None:
    try:
        if not worker.connection.poll():
            return None
        return worker.connection.recv()
    except (EOFError, OSError):
        return _Died()


def _serve(
    connection: Connection,
    position: Any,
    work: Work,
    setup: Callable[[], None] | None,
    *,
    parent: int,
) -> None:
    """A worker's life: tasks in, results out, until the parent closes the pipe or is gone."""
    live_under(parent)
    if setup is not None:
        setup()

    def begin(item: int) -> None:
        position.value = item
        if os.getppid() != parent:  # where the system doesn't do it
            os._exit(1)

    while True:
        try:
            task, poisoned = connection.recv()
        except (EOFError, OSError):
            return
        answer: _Result | _Failed
        try:
            answer = _Result(work(task, poisoned=poisoned, begin=begin))
        except Exception as error:
            # The traceback doesn't travel with the exception; a bug's must not get lost.
            error.add_note(f"in a worker process:\n{traceback.format_exc()}")
            answer = _Failed(error)
        try:
            connection.send(answer)
        except OSError:
            return


def _end_with(parent: int) -> None:
    """Be killed when the parent is gone, however it ends. A worker that goes on would write below a
    draft that it holds no lock of. Linux does it (prctl(2)): also in the middle of an image, and of
    an import that takes ten seconds."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before that was asked for
        os._exit(1)
