"""A grid on the nodes of a Ray cluster: first the choices of a learning rate, then the trunks.

A trunk with its branches and probes is one piece of work, a choice of a rate another: each is what
this machine would do, with the same commands in the same store. So what is made here and there is
the same, whoever is lost is replaced by one who goes on from the newest checkpoint, and a table is
made of what is then in the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

from stages.sweep import rates
from stages.sweep.cells import BranchResult, SweepTraining
from stages.sweep.in_store import GridInStore, key_of, look_up
from stages.sweep.plan import SweepPlan
from stages.sweep.trunks import GridTrunk, RateSearch, searches_of
from vitctl.artifacts import Artifact
from vitctl.artifacts.kinds.sweep import RateOfSweep
from vitctl.errors import DoesNotFitError, InterruptedRun, VitctlError
from vitctl.events import Caution, Emit, Note, silent
from vitctl.places import Place
from vitctl.signals import graceful
from vitctl.text.quantities import plural
from vitctl.workers.ray_cluster import RayCluster, connected
from vitctl.workers.ray_messages import Node
from vitctl.workers.task import Done, Needs
from vitctl.workers.visibility import Proof


def trained(
    plan: SweepPlan, training: SweepTraining, *, address: str, emit: Emit
) -> dict[str, BranchResult]:
    """Train and measure on the cluster what is not in the store, cheap trunks first: by `key_of`,
    what came of each of these branches. No cluster is joined where nothing is left.

    `training` has the rates that were chosen, and those that could not be, from here on.

    Raises NotFoundError where the cluster is not there; UsageError where a node does not see store
    and datasets; DoesNotFitError where no node has what a run needs; InterruptedRun after a signal.
    """
    known = _known(training, plan.trunks)
    left = [
        trunk
        for trunk in plan.trunks
        if not all(known.branches[key_of(trunk, b)].is_finished for b in trunk.branches)
    ]
    if not left:
        return {}
    for trunk in left:
        # Here, as many trunks have the same images. What goes wrong is a row in the end.
        with suppress(VitctlError):
            training.draw(trunk)
            if trunk.search is not None and trunk.search.key in known.searches:
                training.ready(trunk)

    with _admitted(training, address, emit=emit) as (cluster, needs):
        workers = plural(cluster.room_for(needs), "run")
        emit(Note(f"{workers} at a time, each with {_in_words(needs)}"))

        searches = [s for key, s in searches_of(left).items() if key not in known.searches]
        for search, rate in _done(cluster, needs, _search, searches, training):
            if isinstance(rate, VitctlError):
                training.rate_failed(search, rate)
                emit(Caution(f"{_title(search)}, failed: {rate.message}"))
                continue
            training.chosen[search.key] = rate
            emit(Note(f"{_title(search)}: {rate.lr:g}"))
            best = rates.best_of(rate.tried)
            if best is not None and (edge := rates.at_the_edge(best, rate.tried)) is not None:
                emit(Caution(f"{_title(search)}: {edge}"))

        results: dict[str, BranchResult] = {}
        left.sort(key=lambda trunk: trunk.flops)
        for number, (trunk, of_trunk) in enumerate(
            _done(cluster, needs, _train, left, training), start=1
        ):
            for result in of_trunk:
                results[key_of(trunk, result.branch)] = result
                if result.failure is not None:
                    title = trunk.label_of(result.branch)
                    emit(Caution(f"{title}, failed: {result.failure.message}"))
            failed = sum(result.failure is not None for result in of_trunk)
            how = f"{failed} of its {plural(len(of_trunk), 'run')} failed" if failed else "finished"
            emit(Note(f"trunk {number} of {len(left)}, {trunk.label}: {how}"))
    return results


def _known(training: SweepTraining, trunks: Sequence[GridTrunk]) -> GridInStore:
    return look_up(
        trunks, training.cfg, training.inputs, store=training.store, runtime=training.runtime
    )


def needs_of_a_run(nodes: Sequence[Node], *, devices: int | None) -> Needs:
    """So many GPUs (None: one) and their share of a node's cores. Without any a whole node: one of
    those with the most cores, as two runs on one would each take it for their own. Raises
    DoesNotFitError if no node has as many GPUs."""
    most = max(node.gpus for node in nodes)
    if not most:
        return Needs(cores=max(node.cores for node in nodes))
    gpus = devices or 1
    fitting = [node for node in nodes if node.gpus >= gpus]
    if not fitting:
        raise DoesNotFitError(
            f"each run is to have {plural(gpus, 'GPU')}, and the Ray cluster's largest node has "
            f"{most}",
            hint=f"--devices {most}",
        )
    return Needs(max(1, min(node.cores * gpus // node.gpus for node in fitting)), gpus)


def _in_words(needs: Needs) -> str:
    cores = plural(needs.cores, "core")
    return f"{plural(needs.gpus, 'GPU')} and {cores}" if needs.gpus else cores


def _title(search: RateSearch) -> str:
    return f"learning rate of {search.model} on {search.size:,} images"


@contextmanager
def _admitted(
    training: SweepTraining, address: str, *, emit: Emit
) -> Iterator[tuple[RayCluster, Needs]]:
    """The cluster, each of whose nodes sees the store and the datasets, and what a run takes."""
    with connected(address, most=None, emit=emit) as cluster:
        needs = needs_of_a_run(cluster.nodes, devices=training.runtime.devices)
        inputs = training.inputs
        datasets = {dataset.path: dataset for dataset in (inputs.dataset, *inputs.probe_data)}

        def proofs() -> list[Proof]:
            return [
                Proof(str(path), partial(_digest_of, path), dataset.digest)
                for path, dataset in datasets.items()
            ]

        with cluster.admitted(training.store.root, proofs, emit=emit):
            yield cluster, needs


def _digest_of(path: Place) -> str:
    return Artifact.load(path).digest


def _done(
    cluster: RayCluster,
    needs: Needs,
    work: Callable[..., Any],
    tasks: Sequence[Any],
    training: SweepTraining,
) -> Iterator[tuple[Any, Any]]:
    """(task, result) as they are finished."""
    if not tasks:
        return
    # What a worker says of its runs stands in their folders. It sees all cores of its node, of
    # which others work on theirs.
    runtime = training.runtime
    own = replace(
        training,
        emit=silent,
        runtime=runtime.model_copy(update={"workers": runtime.workers or needs.cores}),
    )
    orders = [(own, task) for task in tasks]

    def name_of(task: int, position: int | None) -> str:
        one = tasks[task]
        return one.label if isinstance(one, GridTrunk) else _title(one)

    def given_up(task: int, reason: str) -> Any:
        failure = _too_much(f"its worker was lost three times; the last: {reason}")
        one = tasks[task]
        if not isinstance(one, GridTrunk):
            return failure
        # Branches that were finished before are found again.
        known = _known(training, [one]).branches
        return [
            BranchResult(one, branch, failure=failure)
            for branch in one.branches
            if not known[key_of(one, branch)].is_finished
        ]

    done = 0
    with graceful() as stop:
        for event in cluster.run(work, orders, name_of=name_of, needs=needs, given_up=given_up):
            if stop.requested:
                raise InterruptedRun(
                    f"stopped by {stop.reason}; {done} of {len(tasks)} are finished, and the "
                    "others were left at their newest checkpoints",
                    hint="run the same command again to go on, with or without --ray",
                )
            if isinstance(event, Done):
                done += 1
                yield tasks[event.task], event.result


# On a node


def _search(
    task: tuple[SweepTraining, RateSearch],
    *,
    poisoned: Mapping[int, str],
    begin: Callable[[int], None],
) -> RateOfSweep | VitctlError:
    training, search = task
    if poisoned:
        return _ended_twice(poisoned[0])
    begin(0)
    try:
        return training.searched(search)
    except InterruptedRun:
        raise
    except VitctlError as error:
        return error


def _train(
    task: tuple[SweepTraining, GridTrunk],
    *,
    poisoned: Mapping[int, str],
    begin: Callable[[int], None],
) -> list[BranchResult]:
    training, trunk = task
    results = []
    for place, branch in enumerate(trunk.branches):
        if place in poisoned:
            failure = _ended_twice(poisoned[place])
            results.append(BranchResult(trunk, branch, failure=failure))
            continue
        begin(place)
        results.append(training.result(trunk, branch))
    return results


def _ended_twice(how: str) -> VitctlError:
    return _too_much(f"the process that trained it ended twice ({how})")


def _too_much(sentence: str) -> VitctlError:
    return DoesNotFitError(
        sentence,
        hint="a node with more memory, or settings that need less, may train it",
    )
