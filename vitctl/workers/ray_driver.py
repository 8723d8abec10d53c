"""The process that is the driver of a Ray cluster; the only module that imports Ray.

Each worker is an actor that has a worker process of its own on its node, as the local pool has
here: an image that ends such a process is found out and named there, by the same rules. What Ray
adds is the loss of a whole actor, with its node or for its memory; its task is given to another.
"""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
import time
import traceback
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from vitctl.places import nofollow
from vitctl.places.local import based
from vitctl.version import __version__
from vitctl.workers import ray_messages as messages
from vitctl.workers.local_pool import LocalPool, live_under
from vitctl.workers.ray_address import AUTO, LOCAL
from vitctl.workers.ray_messages import Node
from vitctl.workers.task import Done

_LOSSES = 3
"""Workers that may be lost with the same task in hand. One more than images have (`local_pool`):
a node may go for reasons of its own, and its successor, too."""
_POLL_S = 0.5
_TELL_S = 1.0
"""How often a worker says how far it is."""
_PATIENCE_S = 30.0
_STORE_BYTES = 128 * 2**20
"""Of a cluster that is begun here: results are small, and Ray would take a third of the memory."""
_PATH_CHARACTERS = 30
"""Ray puts sockets 60 characters below this, and Linux allows 107."""
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    # Half a minute is not enough on a busy machine.
    "RAY_raylet_start_wait_time_s": "300",
}


def serve(connection: Connection, address: str, *, parent: int) -> None:
    """A driver's life: work in, results out, until the parent closes the pipe or is gone."""
    live_under(parent)
    _fall_silent()
    os.environ.update(_SETTINGS)
    folder = _own_folder() if address == LOCAL else None
    try:
        _serve(connection, address, folder)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass
    except Exception:
        with suppress(OSError):
            connection.send(messages.Refused("bug", traceback.format_exc()))
    finally:
        with suppress(Exception):
            import ray

            ray.shutdown()
        if folder is not None:
            nofollow.remove_tree(based(folder), ignore_errors=True)


def _serve(connection: Connection, address: str, folder: str | None) -> None:
    refusal = _connect(address, folder)
    if refusal is not None:
        connection.send(refusal)
        return
    connection.send(messages.Connected(tuple(node for _, node in _nodes())))
    while True:
        match connection.recv():
            case messages.Look(check):
                connection.send(messages.Sights(_looked(check)))
            case messages.Start() as order:
                _Crew(connection, order).work_off()


def _connect(address: str, folder: str | None) -> messages.Refused | None:
    """Join the cluster, or begin one. None if that went well."""
    import ray

    quiet: dict[str, Any] = {
        "configure_logging": False,
        "log_to_driver": False,
        "include_dashboard": None,
    }
    try:
        if address == LOCAL:
            ray.init(
                address=LOCAL,
                num_cpus=len(os.sched_getaffinity(0)),
                object_store_memory=_STORE_BYTES,
                _temp_dir=folder,
                **{**quiet, "include_dashboard": False},
            )
        else:
            ray.init(address=address, **quiet)
    except ConnectionError as error:
        if address == AUTO:
            return messages.Refused(
                "not there",
                "there is no Ray cluster on this machine",
                "ray start --head begins one, and ray start --address HOST:PORT joins one; "
                "--ray local works on this machine alone",
            )
        return messages.Refused(
            "not there",
            f"this machine cannot join the Ray cluster at {address} ({_sentence(error)})",
            f"the command runs on a node of the cluster: ray start --address {address}",
        )
    except Exception as error:
        text = _sentence(error)
        if "ersion mismatch" in text:
            return messages.Refused(
                "usage",
                f"this machine does not fit the Ray cluster at {address}: {text}",
                "install the same Python and Ray on all nodes",
            )
        return messages.Refused(
            "not there",
            f"Ray {address} cannot be used ({type(error).__name__}: {text})",
            "ray status says whether the cluster runs; leave out --ray to work on this machine",
        )
    # Nodes without vitctl, or with another version, can then say so.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    return None


def _nodes() -> list[tuple[str, Node]]:
    """(id, node) of those that offer cores."""
    import ray

    alive = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    return [
        (
            node["NodeID"],
            Node(
                f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})",
                int(node["Resources"]["CPU"]),
                int(node["Resources"].get("GPU", 0)),
                int(node["Resources"].get("TPU", 0)),
            ),
        )
        for node in alive
    ]


def _looked(check: bytes) -> tuple[tuple[str, bytes], ...]:
    """Each node's answer to a check."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    look = ray.remote(num_cpus=0, max_retries=1)(_look)
    nodes = _nodes()
    answers = [
        look.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False)
        ).remote(__version__, check)
        for node_id, _ in nodes
    ]
    sights = []
    for (_, node), answer in zip(nodes, answers, strict=True):
        try:
            sight = ray.get(answer)
        except Exception as error:
            sight = pickle.dumps(f"cannot run a worker ({_sentence(error)})")
        sights.append((node.name, sight))
    return tuple(sights)


def _look(version: str, check: bytes) -> bytes:
    """Called on a node; a text continues "node X ..."."""
    try:
        from vitctl.version import __version__ as own
    except ImportError as error:
        return pickle.dumps(f"has no vitctl that its Python finds ({error})")
    if own != version:
        return pickle.dumps(f"has vitctl {own}, not {version}")
    try:
        return pickle.dumps(pickle.loads(check)())
    except ImportError as error:
        return pickle.dumps(f"lacks a package ({error})")


class _Actor:
    """On a node: one worker process, and the tasks that it is given."""

    def __init__(self, work: bytes) -> None:
        from vitctl.workers.visibility import enter

        self._work, self._setup, self._check = pickle.loads(work)
        enter(self._check.working_folder)
        self._pool = LocalPool(
            self._work, self._setup, alone="less work at a time needs less memory on a node"
        )

    def look(self) -> bytes:
        return pickle.dumps(self._check())

    def do(self, task: bytes) -> Iterator[tuple[str, Any]]:
        """("in hand", items) now and then, then ("done", result) or ("failed", exception), the
        last two pickled."""
        import time

        said = 0.0
        try:
            for event in self._pool.run([pickle.loads(task)], workers=1):
                if isinstance(event, Done):
                    yield "done", pickle.dumps(event.result)
                elif time.monotonic() - said >= _TELL_S:
                    said = time.monotonic()
                    yield "in hand", event.items
        except Exception as error:
            yield "failed", _pickled_error(error)


def _pickled_error(error: Exception) -> bytes:
    try:
        data = pickle.dumps(error)
        pickle.loads(data)
    except Exception:
        lines = [*traceback.format_exception(error), *getattr(error, "__notes__", [])]
        return pickle.dumps(RuntimeError("".join(lines)))
    return data


@dataclass
class _Hand:
    """A worker of the crew: its actor, what is awaited of it, and its task."""

    actor: Any
    awaited: Any
    task: int | None = None
    items: int = 0
    is_ready: bool = False


@dataclass
class _Crew:
    """Workers of the cluster, and the tasks that they share."""

    connection: Connection
    order: messages.Start
    hands: list[_Hand] = field(default_factory=list)
    waiting: deque[int] = field(default_factory=deque)
    losses: Counter[int] = field(default_factory=Counter)
    failed_beginnings: int = 0

    def work_off(self) -> None:
        import ray

        self.waiting.extend(range(len(self.order.tasks)))
        work = ray.put(self.order.work)
        # A node's GPUs would be hidden from a worker that asks for 0 of them.
        gpus = {"num_gpus": self.order.gpus} if self.order.gpus else {}
        actor = ray.remote(max_restarts=0)(_Actor)
        actor = actor.options(scheduling_strategy="SPREAD", num_cpus=self.order.cores, **gpus)
        finished, began, was_told = 0, time.monotonic(), False
        try:
            while finished < len(self.order.tasks):
                missing = min(self.order.workers, len(self.waiting) + self._in_hand())
                for _ in range(missing - len(self.hands)):
                    new: Any = actor.remote(work)
                    self.hands.append(_Hand(new, new.look.remote()))
                by_awaited = {hand.awaited: hand for hand in self.hands}
                ready, _ = ray.wait(list(by_awaited), num_returns=1, timeout=_POLL_S)
                for awaited in ready:
                    finished += self._heed(by_awaited[awaited])
                # While work is done nothing is sent but the end of it; after it the next order.
                if finished < len(self.order.tasks) and self.connection.poll(0):
                    self.connection.recv()
                late = time.monotonic() - began > _PATIENCE_S
                if late and not was_told and not any(hand.is_ready for hand in self.hands):
                    self.connection.send(messages.Waiting(_PATIENCE_S))
                    was_told = True
        finally:
            for hand in self.hands:
                with suppress(Exception):
                    ray.kill(hand.actor)

    def _in_hand(self) -> int:
        return sum(hand.task is not None for hand in self.hands)

    def _heed(self, hand: _Hand) -> int:
        """What a worker says; how many tasks are finished by it."""
        import ray

        try:
            if not hand.is_ready:
                self._begin(hand, ray.get(hand.awaited))
                return 0
            what, value = ray.get(next(hand.awaited))
        except StopIteration:
            return self._lose(hand, "it ended")
        except ray.exceptions.RayError as error:
            return self._lose(hand, _sentence(error))
        if what == "in hand":
            hand.items = value
            self.connection.send(messages.InHand(sum(one.items for one in self.hands)))
            return 0
        if what == "failed":
            self.connection.send(messages.Failed(value))
            raise EOFError
        assert hand.task is not None
        self.connection.send(messages.Finished(hand.task, value))
        hand.task, hand.items = None, 0
        self._give(hand)
        return 1

    def _begin(self, hand: _Hand, sight: bytes) -> None:
        """A worker is there. Its node may have come after the others were looked at."""
        problem = pickle.loads(sight).problem
        if problem is not None:
            self.connection.send(
                messages.Refused(
                    "usage",
                    f"a node of the Ray cluster {problem}",
                    "all nodes have to see the same files, and to have the same vitctl",
                )
            )
            raise EOFError
        hand.is_ready, self.failed_beginnings = True, 0
        self._give(hand)

    def _give(self, hand: _Hand) -> None:
        import ray

        if not self.waiting:
            self.hands.remove(hand)
            ray.kill(hand.actor)  # others may want its core
            return
        hand.task = self.waiting.popleft()
        task = self.order.tasks[hand.task]
        hand.awaited = hand.actor.do.options(num_returns="streaming").remote(task)

    def _lose(self, hand: _Hand, reason: str) -> int:
        """A worker is gone; how many tasks are given up for it."""
        import ray

        self.hands.remove(hand)
        with suppress(Exception):
            ray.kill(hand.actor)
        if hand.task is None:
            self.failed_beginnings += 1
            if self.failed_beginnings >= _LOSSES:
                self.connection.send(
                    messages.Refused(
                        "no room",
                        f"workers cannot start on the Ray cluster ({reason})",
                        "less work at a time needs less memory; the logs of the node say more",
                    )
                )
                raise EOFError
            return 0
        self.losses[hand.task] += 1
        losses = self.losses[hand.task]
        again = losses < _LOSSES
        position = hand.items or None
        self.connection.send(messages.LostWorker(hand.task, position, reason, losses, again))
        if again:
            self.waiting.appendleft(hand.task)
            return 0
        if not self.order.goes_on:
            raise EOFError
        return 1


def _sentence(error: BaseException) -> str:
    """What Ray says, on one line: its errors are paragraphs."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:6])[:400].rstrip(".") or type(error).__name__


def _own_folder() -> str:
    """For the files of a cluster that is begun here."""
    usual = tempfile.gettempdir()
    return tempfile.mkdtemp(
        prefix="vitctl-ray-", dir=usual if len(usual) <= _PATH_CHARACTERS else "/tmp"
    )


def _fall_silent() -> None:
    """Ray's libraries write to both streams, of which one is a command's answer."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)
