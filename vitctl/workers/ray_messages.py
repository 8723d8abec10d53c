"""Messages between this process and the driver of a Ray cluster. Work, tasks, results and
errors travel as pickled bytes, which the driver does not open: it imports nothing of theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Node:
    """A machine of the cluster on which workers may run."""

    name: str
    cores: int
    gpus: int
    tpus: int


@dataclass(frozen=True)
class Connected:
    """The cluster is there."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Refused:
    """Work cannot begin, or not go on. `kind` says whose fault it is."""

    kind: Literal["not there", "usage", "no room", "bug"]
    sentence: str
    hint: str | None = None


@dataclass(frozen=True)
class Look:
    """Call a pickled check on every node."""

    check: bytes


@dataclass(frozen=True)
class Sights:
    """What came of it: of each node (name, its pickled answer)."""

    nodes: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Start:
    """Do all tasks. `work` is a pickled (work, setup, check); `cores` and `gpus` are a worker's. A
    task that loses its worker again and again ends it all, unless work `goes_on` without it."""

    work: bytes
    tasks: tuple[bytes, ...]
    workers: int
    cores: int
    gpus: int
    goes_on: bool


@dataclass(frozen=True)
class Finished:
    """A task's pickled result."""

    task: int
    result: bytes


@dataclass(frozen=True)
class InHand:
    """Items begun so far over the tasks that are in hand."""

    items: int


@dataclass(frozen=True)
class Failed:
    """A pickled exception of a task."""

    error: bytes


@dataclass(frozen=True)
class LostWorker:
    """The worker of a task is gone; `again` says whether the task is given to another."""

    task: int
    position: int | None
    reason: str
    losses: int
    again: bool


@dataclass(frozen=True)
class Waiting:
    """No worker could begin for so long, as other jobs have the cores."""

    seconds: float


FromDriver = Connected | Refused | Sights | Finished | InHand | Failed | LostWorker | Waiting
