"""Where tasks are run: the one place that chooses between this machine and a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from vitctl.events import Emit
from vitctl.places import Place
from vitctl.workers import local_pool
from vitctl.workers.task import Done, Moving, NameOf, Work
from vitctl.workers.visibility import Proof


class Executor(Protocol):
    """Runs tasks somewhere.

    workers       how many tasks at a time
    is_here       whether its workers are processes of this machine, which see all that it does
    """

    @property
    def workers(self) -> int: ...

    @property
    def is_here(self) -> bool: ...

    def admitted(
        self, folder: Place | None, proofs: Callable[[], Sequence[Proof]], *, emit: Emit
    ) -> AbstractContextManager[None]:
        """While this lasts, workers may write results to `folder`, and read what `proofs` are of.
        Raises UsageError naming a machine that does not see them."""
        ...

    def run(
        self,
        work: Work,
        tasks: Sequence[Any],
        *,
        setup: Callable[[], None] | None = None,
        name_of: NameOf | None = None,
    ) -> Generator[Done | Moving]:
        """Do every task, in whatever order they finish. The first event comes when tasks are given
        out. `setup` runs once in each worker process. `name_of` says in an error which items a
        worker had. An exception in a task ends it all and is raised here. Closing the iterator
        stops the workers."""
        ...


@dataclass(frozen=True)
class ThisMachine:
    """Processes of this machine; with `workers` 0 this one."""

    workers: int
    is_here: bool = True

    def admitted(
        self, folder: Place | None, proofs: Callable[[], Sequence[Proof]], *, emit: Emit
    ) -> AbstractContextManager[None]:
        return nullcontext()

    def run(
        self,
        work: Work,
        tasks: Sequence[Any],
        *,
        setup: Callable[[], None] | None = None,
        name_of: NameOf | None = None,
    ) -> Generator[Done | Moving]:
        return local_pool.run_tasks(work, tasks, workers=self.workers, setup=setup)


@contextmanager
def executor(ray: str | None, *, here: int, most: int | None, emit: Emit) -> Iterator[Executor]:
    """Workers of the Ray cluster at the address `ray`, at most so many, or so many `here`.

    Raises NotFoundError where the cluster is not there, UsageError where this machine or one of
    its own does not fit it.
    """
    if ray is None:
        yield ThisMachine(here)
        return
    from vitctl.workers.ray_cluster import connected

    with connected(ray, most=most, emit=emit) as cluster:
        yield cluster


@contextmanager
def executor_on_demand(
    ray: str | None, *, here: int, most: int | None, emit: Emit
) -> Iterator[Callable[[], Executor]]:
    """What gives `executor`, which is begun when it is first asked for and ends with this: a
    command that finds all finished joins no cluster."""
    with ExitStack() as stack:

        @cache
        def begun() -> Executor:
            return stack.enter_context(executor(ray, here=here, most=most, emit=emit))

        yield begun
