"""A real Ray cluster of two nodes on this machine. Slow: Ray needs a minute to start."""

from __future__ import annotations

import functools
import hashlib
import os
import signal

import pytest

from stages import api
from stages.shard.run import run
from stages.shard.spec import Inputs, ShardConfig, ShardRuntime
from tests.stages.finetune.test_finetune import dataset as photos
from tests.stages.sweep.grids import grid
from vitctl.artifacts import Store
from vitctl.artifacts.kinds import SWEEP
from vitctl.duplicates import stored
from vitctl.events import Note
from vitctl.places.local import based
from vitctl.settings.trees import merge
from vitctl.workers.executors import executor
from vitctl.workers.task import Done

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address():
    """Ends its own processes alone; `ray stop` would end every Ray process of the machine."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    # Ray gives a node half a minute to start, of which its agent has 15 s, and no setting changes
    # that (2.60). Processes that start beside it make it too little on a busy machine, so there are
    # none that a test can do without.
    node = {"num_cpus": 1, "include_log_monitor": False}
    cluster = Cluster(
        initialize_head=True,
        head_node_args={**node, "include_dashboard": False, "no_monitor": True},
    )
    try:
        cluster.add_node(**node)
        yield cluster.address
    finally:
        cluster.shutdown()


def files(artifact):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in artifact.path.local.iterdir()
        if "array_record" in path.name
    }


def test_shards_of_two_nodes_are_those_of_one_machine(address, tmp_path):
    pytest.importorskip("sklearn")
    events, made = [], []
    for name, runtime in (
        ("here", ShardRuntime(workers=0)),
        ("remote", ShardRuntime(ray=address)),
    ):
        store = Store(tmp_path / name)
        inputs = Inputs(source="digits")
        made.append(run(ShardConfig(), inputs, store=store, runtime=runtime, emit=events.append))
    assert any("2 nodes, 2 cores" in event.text for event in events if isinstance(event, Note))
    here, remote = made
    assert (here.id, files(here)) == (remote.id, files(remote))
    assert len(files(here)) > 0


def test_hashes_of_two_nodes_are_those_of_one_machine(address, tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.setattr(stored, "_ROWS", 500)
    data = run(
        ShardConfig(),
        Inputs(source="digits"),
        store=Store(tmp_path / "data"),
        runtime=ShardRuntime(workers=0),
    )
    results, hashes = [], []
    for name, runtime in (("here", {}), ("remote", {"ray": address})):
        store = tmp_path / name
        results.append(api.dedup(data, store=str(store), set={"distance": 2}, runtime=runtime))
        (folder,) = (store / "dedup").glob("*hashes*")
        hashes.append({path.name: path.read_bytes() for path in folder.glob("prints*")})
    here, remote = results
    assert (here.id, here.digest) == (remote.id, remote.digest)
    assert hashes[0] == hashes[1]
    assert len(hashes[0]) == 1 + 4


def test_a_grid_trained_on_two_nodes_is_that_of_one_machine(address, tmp_path):
    data = photos(tmp_path, ("one", "two"))
    tree = grid(
        sizes=[12],
        durations={"steps": [4, 8]},
        cooldown=0.25,
        settings=merge({}, grid()["settings"], {"data": {"batch": 8}}),
        probes=[{"command": "evaluate"}],
    )
    tables = []
    for name, runtime in (("here", {}), ("remote", {"ray": address})):
        store = Store(tmp_path / name)
        tables.append(SWEEP.summary(api.sweep(tree, data=data, store=store, runtime=runtime)))
    here, remote = (
        [row.model_copy(update={"device_seconds": None}) for row in table.rows] for table in tables
    )
    assert [row.failure for row in remote] == [None] * 4
    assert remote == here


def lose_worker_once(task, *, poisoned, begin, mark):
    """The parent of a worker process is the actor of Ray."""
    begin(0)
    if task == 1 and not os.path.exists(mark):
        with open(mark, "w"):
            pass
        os.kill(os.getppid(), signal.SIGKILL)
    return 2 * task


def test_the_work_of_a_killed_worker_is_done_again(address, tmp_path):
    work = functools.partial(lose_worker_once, mark=str(tmp_path / "mark"))
    events = []
    with (
        executor(address, here=0, most=None, emit=events.append) as cluster,
        cluster.admitted(based(tmp_path), list, emit=events.append),
    ):
        done = [event for event in cluster.run(work, range(4)) if isinstance(event, Done)]
    assert sorted((event.task, event.result) for event in done) == [(0, 0), (1, 2), (2, 4), (3, 6)]
    assert [event.text for event in events if "a worker was lost" in event.text]
    assert (tmp_path / "mark").exists()
