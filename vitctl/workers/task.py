"""The tasks of workers and their results, wherever the workers run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

NameOf = Callable[[int, int | None], str]
"""(task, position of the item in hand or None) -> how an error names the work."""


class Work(Protocol):
    """What a worker does with one task; picklable (a function or a `functools.partial`).

    `poisoned` items ended workers before and are not touched (position -> how those ended, as in
    "SIGSEGV"); `begin(position)` is called before each item.
    """

    def __call__(
        self, task: Any, *, poisoned: Mapping[int, str], begin: Callable[[int], None]
    ) -> Any: ...


@dataclass(frozen=True)
class Needs:
    """What a worker of a cluster has to itself. (On this machine it is what the process sees.)"""

    cores: int = 1
    gpus: int = 0


@dataclass(frozen=True)
class Done:
    """A finished task."""

    task: int
    result: Any


@dataclass(frozen=True)
class Moving:
    """Items begun so far over the tasks that are in hand; sent now and then."""

    items: int
