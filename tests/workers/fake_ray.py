"""A Ray cluster in this process: what the driver calls of Ray, and losses that a test asks for.

The driver is a thread, tasks run in it one after the other, and a loss is an error of Ray where
the cluster would raise one. The slow tests/workers/test_ray_cluster.py has a real one.
"""

from __future__ import annotations

import multiprocessing
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

from vitctl.workers import ray_cluster, ray_driver
from vitctl.workers.task import Done


class RayError(Exception):
    """As ray.exceptions has it."""


@dataclass
class FakeRay:
    """`losses`: so many calls of actors' `do` end with the loss of the actor. `unreachable`: what
    `ray.init` raises. `blind`: a node that answers no check. `gpus`: of each node.
    """

    losses: int = 0
    unreachable: Exception | None = None
    blind: str | None = None
    gpus: int = 0
    killed: int = 0
    resources: list[dict[str, Any]] = field(default_factory=list)
    actors: list[Any] = field(default_factory=list)

    def init(self, **options: Any) -> None:
        if self.unreachable is not None:
            raise self.unreachable

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {
                "NodeID": name,
                "Alive": True,
                "Resources": {"CPU": 2.0, "GPU": float(self.gpus)},
                "NodeManagerHostname": name,
                "NodeManagerAddress": "10.0.0.1",
            }
            for name in ("north", "south")
        ]

    def remote(self, **resources: Any) -> Any:
        return lambda made: _Remote(self, made)

    def kill(self, actor: Any) -> None:
        self.killed += 1

    def lose(self) -> None:
        if self.losses:
            self.losses -= 1
            raise RayError("The actor died.\nIts node is gone.")


@dataclass
class _Remote:
    """A function, or a class of actors."""

    ray: FakeRay
    made: Any
    node: str | None = None

    def options(self, *, scheduling_strategy: Any, **resources: Any) -> _Remote:
        self.ray.resources.append(resources)
        node = scheduling_strategy if scheduling_strategy != "SPREAD" else None
        return _Remote(self.ray, self.made, node)

    def remote(self, *arguments: Any) -> Any:
        if isinstance(self.made, type):
            actor = _Actor(self.ray, self.made(*arguments))
            self.ray.actors.append(actor)
            return actor
        if self.node is not None and self.node == self.ray.blind:
            return _Reference(error=RayError("no such file"))
        return _Reference(self.made(*arguments))


@dataclass(eq=False)
class _Actor:
    ray: FakeRay
    instance: Any

    @property
    def look(self) -> Any:
        return SimpleNamespace(remote=lambda: _Reference(self.instance.look()))

    @property
    def do(self) -> Any:
        return SimpleNamespace(options=lambda num_returns: SimpleNamespace(remote=self._do))

    def _do(self, task: bytes) -> Any:
        for answer in self.instance.do(task):
            try:
                self.ray.lose()
            except RayError as error:
                yield _Reference(error=error)
                return
            yield _Reference(answer)


@dataclass(eq=False)
class _Reference:
    value: Any = None
    error: Exception | None = None


def _get(reference: Any) -> Any:
    if not isinstance(reference, _Reference):
        return reference
    if reference.error is not None:
        raise reference.error
    return reference.value


class _WorkerHere:
    """In place of a worker process."""

    def __init__(self, work: Any, setup: Any, *, alone: str) -> None:
        self.work = work

    def run(self, tasks: Any, *, workers: int) -> Any:
        for number, task in enumerate(tasks):
            yield Done(number, self.work(task, poisoned={}, begin=lambda position: None))


class _Thread(threading.Thread):
    """In place of the driver's process."""

    def terminate(self) -> None:
        raise AssertionError("a driver ends by itself when its connection is closed")

    kill = terminate


def begin(monkeypatch: Any, fake: FakeRay) -> FakeRay:
    """`fake` is what `import ray` gives, and its driver a thread, as long as the test lasts."""
    ray = ModuleType("ray")
    ray.__spec__ = ModuleSpec("ray", None)
    strategies = ModuleType("ray.util.scheduling_strategies")
    strategies.NodeAffinitySchedulingStrategy = lambda node_id, soft: node_id  # type: ignore[attr-defined]
    members = {
        "init": fake.init,
        "nodes": fake.nodes,
        "remote": fake.remote,
        "kill": fake.kill,
        "put": lambda value: value,
        "get": _get,
        "wait": lambda awaited, num_returns, timeout: (
            awaited[:num_returns],
            awaited[num_returns:],
        ),
        "exceptions": SimpleNamespace(RayError=RayError),
        "cloudpickle": SimpleNamespace(register_pickle_by_value=lambda module: None),
    }
    for name, member in members.items():
        setattr(ray, name, member)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.util", ModuleType("ray.util"))
    monkeypatch.setitem(sys.modules, strategies.__name__, strategies)
    monkeypatch.setattr(ray_driver, "LocalPool", _WorkerHere)

    def spawned(serve: Any, address: str) -> tuple[Any, Any]:
        ours, theirs = multiprocessing.Pipe()

        def live() -> None:
            with suppress(EOFError, OSError):
                ray_driver._serve(theirs, address, None)
            theirs.close()

        thread = _Thread(target=live, daemon=True)
        thread.start()
        return thread, ours

    monkeypatch.setattr(ray_cluster, "spawned", spawned)
    return fake
