"""A Ray cluster, as this process sees it.

Another process is Ray's driver (`ray_driver`): Ray ends a driver that loses its cluster, takes its
signals and writes to its terminal, none of which a command can bear. What the two say to each other
is in `ray_messages`.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from vitctl.errors import (
    DoesNotFitError,
    InterruptedRun,
    NotFoundError,
    UsageError,
    VitctlError,
)
from vitctl.events import Caution, Emit, Note
from vitctl.places import Place
from vitctl.text.quantities import first_few, plural
from vitctl.workers import ray_messages as messages
from vitctl.workers.local_pool import spawned
from vitctl.workers.ray_address import LOCAL, RayAddress, check_reachable, parsed
from vitctl.workers.ray_messages import Node
from vitctl.workers.task import Done, Moving, NameOf, Needs, Work
from vitctl.workers.visibility import (
    Proof,
    Sight,
    VisibilityCheck,
    differing_packages,
    installed_packages,
    visible,
)

_POLL_S = 0.5
_END_S = 20.0
"""A driver that ends takes the workers with it, and a cluster that it began."""


@contextmanager
def connected(address: str, *, most: int | None, emit: Emit) -> Iterator[RayCluster]:
    """A cluster with at most so many workers. Raises as `executor`."""
    check_reachable(address)
    cluster = RayCluster(parsed(address), most=most, emit=emit)
    try:
        cluster.connect()
        yield cluster
    finally:
        cluster.close()


def where_in_words(address: RayAddress, nodes: Sequence[Node]) -> str:
    """A cluster and what it has: "Ray auto: 2 nodes, 64 cores"."""
    counts = {
        "core": sum(node.cores for node in nodes),
        "GPU": sum(node.gpus for node in nodes),
        "TPU chip": sum(node.tpus for node in nodes),
    }
    amounts = [plural(count, name, grouped=True) for name, count in counts.items() if count]
    machines = plural(len(nodes), "node", grouped=True)
    return f"Ray {address}: {', '.join([machines, *amounts])}"


class RayCluster:
    """An executor; see `vitctl.workers.executors`."""

    is_here = False

    def __init__(self, address: RayAddress, *, most: int | None, emit: Emit) -> None:
        self.address = address
        self.nodes: tuple[Node, ...] = ()
        self._most, self._emit = most, emit
        self._check: VisibilityCheck | None = None
        self._process: Any = None
        self._connection: Any = None

    @property
    def workers(self) -> int:
        return self.room_for(Needs())

    def room_for(self, needs: Needs) -> int:
        """How many workers with such needs work at a time."""
        room = sum(_workers_on(node, needs) for node in self.nodes)
        return room if self._most is None else min(room, self._most)

    @property
    def where(self) -> str:
        return where_in_words(self.address, self.nodes)

    def connect(self) -> None:
        from vitctl.workers import ray_driver

        self._process, self._connection = spawned(ray_driver.serve, str(self.address))
        answer = self._answer()
        assert isinstance(answer, messages.Connected)
        self.nodes = answer.nodes
        if not self.workers:
            raise DoesNotFitError(
                f"the Ray cluster at {self.address} has no core that a worker could use",
                hint="ray status shows what its nodes offer",
            )
        self._emit(Note(f"work is done on {self.where}"))

    def close(self) -> None:
        if self._process is None:
            return
        self._connection.close()
        self._process.join(_END_S)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join(_END_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process = None

    @contextmanager
    def admitted(
        self, folder: Place | None, proofs: Callable[[], Sequence[Proof]], *, emit: Emit
    ) -> Iterator[None]:
        with visible(folder, proofs()) as check:
            self._send(messages.Look(pickle.dumps(check)))
            answer = self._answer()
            assert isinstance(answer, messages.Sights)
            here, other = installed_packages(), []
            for name, seen_there in answer.nodes:
                sight = _opened(seen_there)
                if sight.problem is not None:
                    raise UsageError(
                        f"node {name} of the Ray cluster {sight.problem}",
                        hint="sources, datasets and store must be on a file system, or in a "
                        "bucket, that all nodes have under the same path, and vitctl the same "
                        "version on each",
                    )
                if phrases := differing_packages(here, sight.packages):
                    other.append(f"{name}: {', '.join(phrases)}")
            if other:
                emit(
                    Caution(
                        "nodes of the Ray cluster have other versions than this machine, so "
                        f"what they compute may differ in bytes ({first_few(other, most=3)})"
                    )
                )
            self._check = check
            try:
                yield
            finally:
                self._check = None

    def run(
        self,
        work: Work,
        tasks: Sequence[Any],
        *,
        setup: Callable[[], None] | None = None,
        name_of: NameOf | None = None,
        needs: Needs | None = None,
        given_up: Callable[[int, str], Any] | None = None,
    ) -> Generator[Done | Moving]:
        """As `Executor.run`. `needs` are a worker's. (task, why) -> the result of a task that lost
        its worker again and again is `given_up`; without it such a task ends it all."""
        if self._check is None:
            raise ValueError("expected to be admitted")
        payload = pickle.dumps((work, setup, self._check))
        needs = needs or Needs()
        workers = min(self.room_for(needs), len(tasks))
        pickled = tuple(pickle.dumps(task) for task in tasks)
        self._send(
            messages.Start(payload, pickled, workers, needs.cores, needs.gpus, given_up is not None)
        )
        yield Moving(0)
        finished = items = 0
        try:
            while finished < len(tasks):
                # Short waits: who awaits an event may want to stop.
                if not self._connection.poll(_POLL_S):
                    yield Moving(items)
                    continue
                match self._answer():
                    case messages.Finished(task, result):
                        finished += 1
                        yield Done(task, pickle.loads(result))
                    case messages.InHand(items):
                        pass
                    case messages.Failed(error):
                        raise pickle.loads(error)
                    case messages.Waiting(seconds):
                        self._emit(
                            Note(
                                f"no worker could begin for {seconds:.0f} s, as other work has "
                                f"the cores of the Ray cluster at {self.address}; this one waits"
                            )
                        )
                    case messages.LostWorker() as loss:
                        if given_up is not None and not loss.again:
                            finished += 1
                            yield Done(loss.task, given_up(loss.task, loss.reason))
                        else:
                            self._heed(loss, name_of)
        finally:
            if finished < len(tasks):
                self.close()  # the driver has work in hand; it ends with that

    def _heed(self, loss: messages.LostWorker, name_of: NameOf | None) -> None:
        name = f"task {loss.task:,}" if name_of is None else name_of(loss.task, loss.position)
        if loss.again:
            self._emit(Note(f"a worker was lost ({loss.reason}); its work is done again: {name}"))
            return
        raise DoesNotFitError(
            f"{loss.losses} workers were lost with the same work in hand, {name}; the last: "
            f"{loss.reason}",
            hint="if nodes have too little memory, fewer --workers need less; the same command "
            "goes on from what is done",
        )

    def _send(self, message: object) -> None:
        try:
            self._connection.send(message)
        except OSError:
            raise self._gone() from None

    def _answer(self) -> messages.FromDriver:
        try:
            answer: messages.FromDriver = self._connection.recv()
        except (EOFError, OSError):
            raise self._gone() from None
        if isinstance(answer, messages.Refused):
            raise _as_error(answer)
        return answer

    def _gone(self) -> VitctlError:
        what = "the cluster" if self.address.text != LOCAL else "what --ray local began"
        return InterruptedRun(
            f"the connection to the Ray cluster at {self.address} is lost",
            hint=f"once {what} runs again, the same command goes on from what is done; so it does "
            "without --ray",
        )


def _as_error(refused: messages.Refused) -> Exception:
    match refused.kind:
        case "not there":
            return NotFoundError(refused.sentence, hint=refused.hint)
        case "usage":
            return UsageError(refused.sentence, hint=refused.hint)
        case "no room":
            return DoesNotFitError(refused.sentence, hint=refused.hint)
        case "bug":
            return RuntimeError(refused.sentence)


def _workers_on(node: Node, needs: Needs) -> int:
    by_cores = node.cores // needs.cores
    return by_cores if not needs.gpus else min(by_cores, node.gpus // needs.gpus)


def _opened(sight: bytes) -> Sight:
    """What a node answered; a text stands for what it could not do."""
    answer = pickle.loads(sight)
    return answer if isinstance(answer, Sight) else Sight(str(answer))
