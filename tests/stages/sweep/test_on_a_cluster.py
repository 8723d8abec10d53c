"""A grid on a Ray cluster is the grid on this machine: a cluster in this process, stand-ins for
what trains. A real one is in tests/workers/test_ray_cluster.py."""

from __future__ import annotations

import pytest

from stages.sweep import on_a_cluster
from stages.sweep.on_a_cluster import needs_of_a_run
from stages.sweep.run import failure_of, run
from stages.sweep.settings import resolve
from stages.sweep.spec import SweepRuntime
from tests.artifacts.making import dataset
from tests.stages.sweep.grids import StandIns, grid
from tests.stages.sweep.test_sweep import SMALL
from tests.workers.fake_ray import FakeRay, begin
from vitctl.artifacts import Store
from vitctl.artifacts.kinds import SWEEP
from vitctl.errors import (
    DivergedError,
    DoesNotFitError,
    InterruptedRun,
    NotFoundError,
    UsageError,
)
from vitctl.events import Caution, Note, silent
from vitctl.settings.overrides import Overrides
from vitctl.signals import Stop
from vitctl.workers.ray_messages import Node
from vitctl.workers.task import Needs

SEARCHED = {
    **SMALL,
    "lr": {"candidates": [0.01, 0.1], "steps": 4, "choose": "model"},
    "models": grid()["models"][:1],
}


def swept(store, stand_ins, *, ray="auto", emit=silent, devices=1, **changes):
    cfg, inputs = resolve(
        Overrides(),
        grid(**{**SMALL, **changes}),
        dataset=lambda name: dataset(store, name=name or "photos", of=name),
        data=None,
        commands=stand_ins.commands(),
        emit=silent,
    )
    return run(cfg, inputs, store=store, runtime=SweepRuntime(devices=devices, ray=ray), emit=emit)


def test_what_is_in_the_store_is_a_part_of_the_table(tmp_path, monkeypatch):
    """Rates that were chosen before, too."""
    begin(monkeypatch, FakeRay())
    expected = swept(Store(tmp_path / "here"), StandIns(), ray=None, **SEARCHED)
    store, stand_ins = Store(tmp_path / "remote"), StandIns()
    for trunk in ("one-4 to", "one-6 to"):
        stand_ins.failures["pretrain", trunk] = DivergedError("the loss is NaN")
    assert SWEEP.summary(swept(store, stand_ins, ray=None, **SEARCHED)).failed == 4
    stand_ins.failures.clear()
    artifact = swept(store, stand_ins, **SEARCHED)
    assert len(SWEEP.summary(artifact).rates) == 1
    assert artifact.digest == expected.digest


@pytest.mark.parametrize("changes", [{}, SEARCHED], ids=["rate given", "rate chosen"])
def test_the_table_is_that_of_this_machine(changes, tmp_path, monkeypatch):
    fake = begin(monkeypatch, FakeRay())
    events, here, remote = [], StandIns(), StandIns()
    expected = swept(Store(tmp_path / "here"), here, ray=None, **changes)
    artifact = swept(Store(tmp_path / "remote"), remote, emit=events.append, **changes)
    assert SWEEP.summary(artifact) == SWEEP.summary(expected)
    assert artifact.digest == expected.digest
    # Without GPUs a run has a node to itself, both of whose cores it uses.
    assert fake.resources
    assert all(one["num_cpus"] == 2 and "num_gpus" not in one for one in fake.resources[2:])
    notes = [event.text for event in events if isinstance(event, Note)]
    trunks = len({(row.model, row.data_size) for row in SWEEP.summary(artifact).rows})
    assert "2 runs at a time, each with 2 cores" in notes
    assert any(
        note.startswith(f"trunk {trunks} of {trunks}, ") and note.endswith(": finished")
        for note in notes
    )
    # Nothing was asked for twice: what is found again is found by looking.
    assert sorted(set(remote.calls)) == sorted(set(here.calls))


def test_a_run_has_the_gpus_that_are_asked_for(tmp_path, monkeypatch):
    fake = begin(monkeypatch, FakeRay(gpus=2))
    events = []
    swept(Store(tmp_path), StandIns(), emit=events.append)
    assert {"num_cpus": 1, "num_gpus": 1} in fake.resources
    assert "4 runs at a time, each with 1 GPU and 1 core" in [
        event.text for event in events if isinstance(event, Note)
    ]


def test_a_run_that_fails_there_stops_no_other_and_is_not_tried_here(tmp_path, monkeypatch):
    begin(monkeypatch, FakeRay())
    stand_ins, events = StandIns(), []
    stand_ins.failures["pretrain", "two-4 to 8"] = DivergedError("the loss is NaN")
    artifact = swept(Store(tmp_path), stand_ins, emit=events.append)
    summary = SWEEP.summary(artifact)
    assert summary.failed == 1
    assert sum(row.failure is None for row in summary.rows) == 7
    error = failure_of(artifact)
    assert error is not None
    assert error.exit_code == DivergedError.exit_code
    assert stand_ins.calls.count(("pretrain", "two-4 to 8")) == 1
    said = [e.text for e in events if isinstance(e, Caution) and "the loss is NaN" in e.text]
    assert len(said) == 1
    assert [e for e in events if isinstance(e, Note) and e.text.endswith("1 of its 2 runs failed")]


def test_a_rate_at_the_edge_is_cautioned(tmp_path, monkeypatch):
    begin(monkeypatch, FakeRay())
    events = []
    swept(Store(tmp_path), StandIns(best_rate=1.0), emit=events.append, **SEARCHED)
    cautions = [event.text for event in events if isinstance(event, Caution)]
    assert any("the best is the highest candidate, 0.1" in text for text in cautions)


def test_a_signal_leaves_the_rest_for_the_same_command(tmp_path, monkeypatch):
    begin(monkeypatch, FakeRay())
    monkeypatch.setattr(Stop, "requested", property(lambda stop: True))
    with pytest.raises(InterruptedRun, match="0 of 4 are finished") as error:
        swept(Store(tmp_path), StandIns())
    assert "with or without --ray" in error.value.hint


def test_a_rate_that_cannot_be_chosen_is_looked_for_once(tmp_path, monkeypatch):
    begin(monkeypatch, FakeRay())
    stand_ins = StandIns()
    stand_ins.failures["pretrain", "-lr"] = DivergedError("the loss is NaN")
    summary = SWEEP.summary(swept(Store(tmp_path), stand_ins, **SEARCHED))
    assert summary.failed == len(summary.rows) == 4
    # Both candidates for the look at the store, and once on the cluster.
    assert len([text for _, text in stand_ins.calls if "-lr" in text]) == 2 + 2


def test_a_trunk_whose_worker_is_lost_again_and_again_is_rows_that_failed(tmp_path, monkeypatch):
    begin(monkeypatch, FakeRay(losses=3))
    summary = SWEEP.summary(swept(Store(tmp_path), StandIns()))
    reasons = [row.failure for row in summary.rows if row.failure is not None]
    # The work of the stand-in was done when its worker was lost, so its runs are found again.
    assert reasons == []
    begin(monkeypatch, FakeRay(losses=3))
    monkeypatch.setattr(on_a_cluster, "_train", nothing_done)
    summary = SWEEP.summary(swept(Store(tmp_path / "b"), StandIns()))
    reasons = [row.failure for row in summary.rows if row.failure is not None]
    assert len(reasons) == 2
    assert "its worker was lost three times; the last: The actor died" in reasons[0]


def nothing_done(task, *, poisoned, begin):
    return []


def test_a_finished_grid_joins_no_cluster(tmp_path, monkeypatch):
    store = Store(tmp_path)
    artifact = swept(store, StandIns(), ray=None)
    begin(monkeypatch, FakeRay(unreachable=ConnectionError("none is there")))
    artifact.path.remove_tree()
    again = swept(store, StandIns())
    assert again.digest == artifact.digest
    with pytest.raises(NotFoundError, match="no Ray cluster"):
        swept(store, StandIns(), sizes=[3, "all"])


def killed_at_the_second_branch(task, *, poisoned, begin, train=on_a_cluster._train):
    return train(task, poisoned={1: "SIGKILL"}, begin=begin)


def another_digest(path):
    return "another"


def test_a_worker_that_ends_twice_is_a_row_that_failed(tmp_path, monkeypatch):
    begin(monkeypatch, FakeRay())
    monkeypatch.setattr(on_a_cluster, "_train", killed_at_the_second_branch)
    summary = SWEEP.summary(swept(Store(tmp_path), StandIns()))
    assert summary.failed == 4
    (reason,) = {row.failure for row in summary.rows if row.failure is not None}
    assert reason == "the process that trained it ended twice (SIGKILL)"


def test_a_node_that_does_not_see_the_dataset_is_named(tmp_path, monkeypatch):
    begin(monkeypatch, FakeRay())
    monkeypatch.setattr(on_a_cluster, "_digest_of", another_digest)
    with pytest.raises(UsageError, match=r"sees other bytes of .*photos"):
        swept(Store(tmp_path), StandIns())


def test_what_a_node_may_have_is_not_asked_of_this_machine(tmp_path, monkeypatch):
    """Neither memory for the model nor as many devices as a run has there."""
    begin(monkeypatch, FakeRay(gpus=2))
    monkeypatch.setattr("stages.sweep.cost.machine.device_bytes", lambda: 1000)
    cfg, inputs = resolve(
        Overrides(),
        grid(**SMALL),
        dataset=lambda name: dataset(Store(tmp_path), name=name or "photos", of=name),
        data=None,
        commands=StandIns().commands(),
        emit=silent,
    )
    with pytest.raises(DoesNotFitError):
        run(cfg, inputs, store=Store(tmp_path), runtime=SweepRuntime(devices=1))
    runtime = SweepRuntime(devices=2, mesh="data=2", ray="auto")
    assert SWEEP.summary(run(cfg, inputs, store=Store(tmp_path), runtime=runtime)).failed == 0


def node(cores, gpus):
    return Node("n", cores, gpus, 0)


@pytest.mark.parametrize(
    ("nodes", "devices", "needs"),
    [
        ([node(16, 0), node(8, 0)], None, Needs(16, 0)),
        ([node(16, 0)], 4, Needs(16, 0)),
        ([node(64, 8), node(8, 0)], None, Needs(8, 1)),
        ([node(64, 8), node(24, 4)], 4, Needs(24, 4)),
        ([node(2, 4)], None, Needs(1, 1)),
        ([node(64, 8), node(24, 4)], 8, Needs(64, 8)),
    ],
)
def test_what_a_run_takes(nodes, devices, needs):
    assert needs_of_a_run(nodes, devices=devices) == needs


def test_more_gpus_than_a_node_has_are_refused():
    with pytest.raises(DoesNotFitError, match=r"have 8 GPUs.* largest node has 4") as error:
        needs_of_a_run([node(24, 4)], devices=8)
    assert error.value.hint == "--devices 4"
