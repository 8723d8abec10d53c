"""The executor on a Ray cluster: its rules, by a cluster in this process."""

from __future__ import annotations

import socket
from importlib import util

import pytest

from tests.workers.fake_ray import FakeRay, begin
from vitctl.errors import DoesNotFitError, InputError, InterruptedRun, NotFoundError, UsageError
from vitctl.events import Caution, Note
from vitctl.places.local import based
from vitctl.workers import ray_cluster, ray_driver, visibility
from vitctl.workers.executors import ThisMachine, executor
from vitctl.workers.ray_address import check_reachable, parsed
from vitctl.workers.task import Done
from vitctl.workers.visibility import Proof


def doubled(task, *, poisoned, begin):
    begin(0)
    if task == "refuse":
        raise InputError("no", hint="yes")
    if task == "bug":
        raise ZeroDivisionError("a bug")
    return 2 * task


def digest_there():
    return "digest there"


OTHER_BYTES = Proof("'a.png'", digest_there, "digest here")


def name_of(task, position):
    return f"unit {task}"


def results(tasks, folder, *, emit=lambda event: None, most=None, proofs=()):
    with (
        executor("auto", here=0, most=most, emit=emit) as cluster,
        cluster.admitted(based(folder), lambda: proofs, emit=emit),
    ):
        done = [e for e in cluster.run(doubled, tasks, name_of=name_of) if isinstance(e, Done)]
    return [event.result for event in sorted(done, key=lambda event: event.task)]


@pytest.mark.parametrize("most", [None, 1])
def test_a_cluster_does_what_this_machine_does(most, tmp_path, monkeypatch):
    fake = begin(monkeypatch, FakeRay())
    events = []
    tasks = list(range(9))
    expected = [e.result for e in ThisMachine(0).run(doubled, tasks) if isinstance(e, Done)]
    assert results(tasks, tmp_path, most=most, emit=events.append) == expected
    assert len(fake.actors) == (most or 4)
    assert fake.killed >= len(fake.actors)
    assert events == [Note("work is done on Ray auto: 2 nodes, 4 cores")]
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_does_one_piece_of_work_after_another(tmp_path, monkeypatch):
    """The next order may be there before the driver is done with the last one."""
    fake = begin(monkeypatch, FakeRay())
    with (
        executor("auto", here=0, most=None, emit=lambda event: None) as cluster,
        cluster.admitted(based(tmp_path), list, emit=lambda event: None),
    ):
        for number in range(20):
            done = [e.result for e in cluster.run(doubled, [number]) if isinstance(e, Done)]
            assert done == [2 * number]
    assert len(fake.actors) == 20


@pytest.mark.parametrize("losses", [1, 2])
def test_the_work_of_a_lost_worker_is_done_again(losses, tmp_path, monkeypatch):
    begin(monkeypatch, FakeRay(losses=losses))
    events = []
    assert results([3], tmp_path, emit=events.append) == [6]
    notes = [event.text for event in events if "lost" in event.text]
    assert len(notes) == losses
    assert notes[0].endswith("its work is done again: unit 0")
    assert "The actor died. Its node is gone" in notes[0]


def test_work_that_loses_every_worker_ends_the_command(tmp_path, monkeypatch):
    begin(monkeypatch, FakeRay(losses=3))
    with pytest.raises(DoesNotFitError, match="3 workers were lost with the same work") as raised:
        results([3], tmp_path)
    assert "unit 0" in raised.value.message
    assert "the same command goes on" in raised.value.hint


def test_errors_of_work_arrive_as_they_are(tmp_path, monkeypatch):
    begin(monkeypatch, FakeRay())
    with pytest.raises(InputError) as raised:
        results([1, "refuse"], tmp_path)
    assert (raised.value.message, raised.value.hint) == ("no", "yes")
    with pytest.raises(ZeroDivisionError):
        results(["bug"], tmp_path)


def test_a_driver_that_dies_says_how_to_go_on(tmp_path, monkeypatch):
    begin(monkeypatch, FakeRay())

    def die(crew):
        raise EOFError

    monkeypatch.setattr(ray_driver._Crew, "work_off", die)
    with pytest.raises(InterruptedRun, match="connection to the Ray cluster at auto is lost"):
        results([1], tmp_path)


def test_a_node_that_sees_other_files_is_named_before_work_begins(tmp_path, monkeypatch):
    begin(monkeypatch, FakeRay())
    with pytest.raises(UsageError, match=r"node north .* sees other bytes of 'a.png'"):
        results([1], tmp_path, proofs=[Proof.of("'b.png'", same_digest), OTHER_BYTES])
    begin(monkeypatch, FakeRay(blind="south"))
    with pytest.raises(UsageError, match=r"node south .* cannot run a worker"):
        results([1], tmp_path)


def same_digest():
    return "digest of both"


def test_a_folder_that_is_not_the_same_there(tmp_path):
    with visibility.visible(based(tmp_path), []) as check:
        assert check().problem is None
        for token in tmp_path.iterdir():
            token.write_bytes(b"of another machine")
        assert "sees other files" in check().problem
        for token in tmp_path.iterdir():
            token.unlink()
        assert "does not see the folder of the results" in check().problem


def test_other_versions_on_a_node_are_said(tmp_path, monkeypatch):
    begin(monkeypatch, FakeRay())
    monkeypatch.setattr(ray_cluster, "installed_packages", lambda: {"jax": "0.0.1"})
    events = []
    results([1], tmp_path, emit=events.append)
    [caution] = [event for event in events if isinstance(event, Caution)]
    assert "jax" in caution.text
    assert "for 0.0.1" in caution.text


def test_a_cluster_that_is_not_there(tmp_path, monkeypatch):
    begin(monkeypatch, FakeRay(unreachable=ConnectionError("none")))
    with pytest.raises(NotFoundError, match="no Ray cluster on this machine"):
        results([1], tmp_path)
    begin(monkeypatch, FakeRay(unreachable=RuntimeError("Version mismatch: 3.11\nand 3.12")))
    with pytest.raises(UsageError, match=r"Version mismatch: 3.11 and 3.12") as raised:
        results([1], tmp_path)
    assert "same Python and Ray" in raised.value.hint


@pytest.mark.parametrize(
    "text", ["", "nowhere", "host:0", "host:70000", "ray://head:10001", "a b:1"]
)
def test_what_is_no_address(text):
    with pytest.raises(UsageError):
        parsed(text)


def test_addresses():
    assert (parsed("auto").host, parsed("local").host) == (None, None)
    assert (parsed("head:6379").host, parsed("head:6379").port) == ("head", 6379)
    assert parsed("[::1]:6379").host == "::1"


def test_where_ray_or_the_cluster_is_missing(monkeypatch):
    check_reachable(None)
    monkeypatch.setattr("vitctl.workers.ray_address.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="needs Ray, which is not installed") as raised:
        check_reachable("auto")
    assert "[ray]" in raised.value.hint
    monkeypatch.setattr("vitctl.workers.ray_address.find_spec", lambda name: util.find_spec("os"))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        listening.listen()
        check_reachable(f"127.0.0.1:{port}")
    with pytest.raises(NotFoundError, match=r"there is no Ray cluster at 127.0.0.1"):
        check_reachable(f"127.0.0.1:{port}")
