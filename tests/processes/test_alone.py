"""In a process alone, and with the coordination service replaced by a dictionary."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest

from vitctl.errors import InterruptedRun, UsageError
from vitctl.processes import cluster, connection, exchange
from vitctl.processes import pulse as pulse_of
from vitctl.processes.cluster import Membership
from vitctl.processes.pulse import Ended, Pulse
from vitctl.processes.watchdog import Watchdog

SRUN = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "node[1-4]",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "2",
    "SLURM_LOCALID": "0",
}


OMPI = {
    "OMPI_MCA_orte_hnp_uri": "1.0;tcp://10.0.0.1:1",
    "OMPI_COMM_WORLD_SIZE": "2",
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_RANK": "0",
}
GKE = {"TPU_WORKER_HOSTNAMES": "a,b,c,d", "TPU_WORKER_ID": "3"}
SLICES = {"MEGASCALE_NUM_SLICES": "3", "MEGASCALE_SLICE_ID": "2"}


class Service:
    """What jax's client offers, in one process."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.answers = True

    def key_value_set(self, key, value, allow_overwrite=False):
        self._reach()
        if key in self.values and not allow_overwrite:
            raise RuntimeError("ALREADY_EXISTS")
        self.values[key] = value

    def key_value_dir_get(self, key):
        self._reach()
        return [(k, v) for k, v in self.values.items() if k.startswith(key)]

    def _reach(self):
        if not self.answers:
            raise RuntimeError("UNAVAILABLE")


def pulses(count, service=None):
    service = service or Service()
    members = [Pulse(service, index=i, count=count) for i in range(count)]
    tell(*members, *members)
    return members


def tell(*every):
    """One round of each; the first hears what the others just said."""
    for pulse in reversed(every):
        pulse._round()


# Who is there


def test_one_process_is_the_default():
    assert cluster.membership(Membership(), environment={}) is None
    batch_script = {k: v for k, v in SRUN.items() if k != "SLURM_STEP_NODELIST"}
    assert cluster.membership(Membership(), environment=batch_script) is None
    assert cluster.membership(Membership(), environment={**SRUN, "SLURM_NTASKS": "1"}) is None
    # An interactive step in an allocation of four.
    interactive = {**SRUN, "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}
    assert cluster.membership(Membership(), environment=interactive) is None
    assert cluster.in_environment(interactive) is None


def test_the_count_of_the_step_is_the_count():
    step = {**SRUN, "SLURM_STEP_NUM_TASKS": "3"}
    assert cluster.membership(Membership(), environment=step) == Membership(processes=3)
    assert cluster.in_environment(step) == (2, 3)
    whole = {**SRUN, "SLURM_STEP_NUM_TASKS": "4"}
    assert cluster.membership(Membership(), environment=whole) == Membership()
    # The daemons of mpirun, which srun started.
    assert cluster.in_environment(
        {**SRUN, **OMPI, "SLURM_STEP_NUM_TASKS": "9"}
    ) == cluster.in_environment(OMPI)


@pytest.mark.parametrize(
    ("environment", "place", "who", "hint"),
    [
        ({**SRUN, "SLURM_PROCID": "0"}, Membership(), "the other processes did", "SLURM is said"),
        (SRUN, Membership(), "process 0 did", "of which this is number 2"),
        ({}, Membership(), "some of the processes did", "several processes: start"),
        (SRUN, Membership(2, 0, "node1:9"), "the other processes did not connect", "start all"),
    ],
)  # fmt: skip
def test_a_process_that_waits_in_vain_blames_others(environment, place, who, hint, monkeypatch):
    for name in {*SRUN, *OMPI, *GKE, *SLICES}:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    error = connection._missing(place, start_s=300)
    assert error.message.startswith(who)
    assert error.message.endswith("within 300 s")
    assert hint in error.hint


@pytest.mark.parametrize(
    "environment",
    [
        SRUN,
        OMPI,
        {"TPU_WORKER_HOSTNAMES": "a,b", "TPU_WORKER_ID": "1"},
        {"TPU_WORKER_HOSTNAMES": "a", "MEGASCALE_NUM_SLICES": "2"},
    ],
)
def test_clusters_are_left_to_jax(environment):
    assert cluster.membership(Membership(), environment=environment) == Membership()
    assert cluster.membership(Membership(processes=1), environment=environment) is None


def test_what_the_environment_tells_without_jax():
    assert cluster.in_environment(SRUN) == (2, 4)
    assert cluster.in_environment({"VITCTL_PROCESSES": "2", "VITCTL_PROCESS_ID": "1"}) == (1, 2)
    assert cluster.in_environment({}) is None


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (SRUN, (2, 4)),
        (OMPI, (1, 2)),
        ({**SRUN, **OMPI}, (1, 2)),
        (GKE, (3, 4)),
        ({**GKE, "TPU_PROCESS_ADDRESSES": "a:8476,b:8476", "TPU_WORKER_ID": "1"}, (1, 2)),
        ({**GKE, **SLICES}, (11, 12)),
        ({**GKE, **SLICES, "TPU_WORKER_HOSTNAMES": "a", "TPU_WORKER_ID": "0"}, (2, 3)),
        ({**SRUN, **GKE}, (2, 4)),
    ],
)
def test_jax_counts_alike(environment, expected, monkeypatch):
    from jax._src import clusters
    from jax._src.clusters import cloud_tpu_cluster

    for name in {*SRUN, *OMPI, *GKE, *SLICES, "TPU_PROCESS_ADDRESSES"}:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(cloud_tpu_cluster, "running_in_cloud_tpu_vm", True)
    monkeypatch.setattr(cloud_tpu_cluster, "get_tpu_env_value_from_metadata", lambda key: None)
    known = (clusters.OmpiCluster, clusters.SlurmCluster, clusters.GkeTpuCluster)
    result = next(kind for kind in known if kind.is_env_present())
    assert (result.get_process_id(), result.get_process_count()) == expected
    assert cluster.in_environment(environment) == expected


@pytest.mark.parametrize(
    "environment",
    [
        {"TPU_WORKER_HOSTNAMES": "localhost", "TPU_WORKER_ID": "0"},
        {"TPU_WORKER_HOSTNAMES": "", "TPU_WORKER_ID": "1"},
        {"TPU_WORKER_ID": "1"},
        {"TPU_WORKER_HOSTNAMES": "a", "TPU_WORKER_ID": "0", "MEGASCALE_NUM_SLICES": "1"},
        {**SRUN, **GKE, "SLURM_NTASKS": "1", "SLURM_PROCID": "0"},
        {**GKE, "VITCTL_PROCESSES": "1"},
        # Who this is remains unknown:
        {"TPU_WORKER_HOSTNAMES": "a,b"},
        {**GKE, "MEGASCALE_NUM_SLICES": "2"},
        {**SLICES, "TPU_WORKER_ID": "1"},
        {"JOB_COMPLETION_INDEX": "1", "KUBERNETES_SERVICE_HOST": "10.0.0.1"},
    ],
)
def test_nothing_is_told_of_one_host_or_by_half(environment):
    assert cluster.in_environment(environment) is None


def test_other_hosts_of_a_slice_leave_a_command_to_the_first(tmp_path):
    line = [sys.executable, "-m", "stages.app", "ls", "--store", str(tmp_path)]
    quiet = {k: v for k, v in os.environ.items() if not k.startswith(("TPU_", "VITCTL_"))}
    said = [
        subprocess.run(
            line, env={**quiet, **GKE, **more}, capture_output=True, text=True, check=True
        ).stderr
        for more in ({}, {"TPU_WORKER_ID": "0"}, {"VITCTL_PROCESSES": "1"})
    ]
    assert said[0] == "process 3 of 4 does nothing here: process 0 runs this command\n"
    assert "process" not in said[1] + said[2]


@pytest.mark.parametrize(
    ("place", "says"),
    [
        (Membership(processes=2, process_id=0), "without --coordinator"),
        (Membership(coordinator="a:1"), "without --processes and --process-id"),
        (Membership(2, 2, "a:1"), "--process-id 2 of --processes 2"),
        (Membership(2, 0, "a"), "is not HOST:PORT"),
        (Membership(2, 0, "a:99999"), "is not HOST:PORT"),
    ],
)
def test_flags_that_leave_something_open(place, says):
    with pytest.raises(UsageError, match=says):
        cluster.membership(place, environment={})


def test_alone_nothing_imports_jax():
    code = (
        "import sys; from vitctl import processes as p; p.mark('data', step=1); "
        "assert p.first() and p.share('x', lambda: 3) == 3 and p.gather('y', 1) == [1]; "
        "sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Stopping together


def test_all_stop_after_the_same_step():
    """Process 0 is told to stop while it is two steps behind."""
    one, two, three = pulses(3)
    for pulse, step in ((one, 4), (two, 6), (three, 5)):
        pulse.watch_for_stop(lambda: None, step=0)
        assert not pulse.stops_after(step)
    one.watch_for_stop(lambda: "SIGTERM", step=4)
    for _ in range(3):
        tell(one, two, three)
    assert [pulse.stops_after(6) for pulse in (one, two, three)] == [False] * 3
    assert [pulse.stops_after(7) for pulse in (one, two, three)] == [True] * 3
    assert {pulse.reason for pulse in (one, two, three)} == {"SIGTERM in process 0"}


# Who hangs, who is gone


class Dog(Watchdog):
    """Looks when it is told to, so many seconds after the last time."""

    def __init__(self, pulse, *, hang_s=6.0):
        self.now = 0.0
        super().__init__(pulse, hang_s=hang_s, leave=lambda error: None, clock=lambda: self.now)
        assert self.tick_s == 1.0

    def look(self, *, after_s=1.0):
        self.now += after_s
        self.tick()


def watched(count=3):
    every = pulses(count)
    return every, Dog(every[0])


def at(pulse, step, phase):
    pulse.mark(phase, step=step)


def test_nothing_is_wrong_while_steps_go_on():
    every, dog = watched()
    for step in range(50):
        for pulse in every:
            at(pulse, step, "step")
        tell(*every)
        dog.look()
    assert every[0].verdict is None


def test_the_one_behind_is_named():
    every, dog = watched()
    at(every[0], 5, "step")
    at(every[1], 5, "data")
    at(every[2], 5, "step")
    for _ in range(6):
        tell(*every)
        dog.look()
        assert every[0].verdict is None
    tell(*every)
    dog.look()
    verdict = every[0].verdict
    assert verdict.exit_code == 10
    assert verdict.message.startswith("process 1 ")
    assert "waiting for the images of step 6 for 6 s; the others wait" in verdict.message


def test_one_that_saves_may_take_longer():
    every, dog = watched()
    at(every[0], 5, "step")
    at(every[1], 5, "save")
    at(every[2], 5, "step")
    for _ in range(100):
        tell(*every)
        dog.look()
    assert every[0].verdict is None


def test_one_that_copies_may_take_as_long_as_its_copy_grows():
    every, dog = watched()
    for pulse in every[1:]:
        at(pulse, 0, "start")
    for second in range(4000):
        if second % 600 == 0:
            at(every[0], 0, "copy")
        tell(*every)
        dog.look()
    assert every[0].verdict is None
    for _ in range(1500):
        tell(*every)
        dog.look()
    assert "process 0 (" in every[0].verdict.message
    assert "has been copying images to its disk for 1800 s" in every[0].verdict.message


def test_who_waits_for_one_that_is_busy_waits_on(monkeypatch):
    """An hour, in which the other one's marks move; and then an hour in which they don't."""
    service = Service()
    other, own = pulses(2, service)
    slices = 0

    def get(key, milliseconds):
        nonlocal slices
        slices += 1
        if slices < 20_000 and slices % 1000 == 0:
            other.mark("copy")
        if slices % 10 == 0:
            tell(own, other)
        raise RuntimeError("DEADLINE_EXCEEDED")

    service.blocking_key_value_get = get
    monkeypatch.setattr(pulse_of, "_pulse", own)
    monkeypatch.setattr(exchange, "client", lambda: service)
    with pytest.raises(InterruptedRun, match="process 0 did not reach 'memory' within 3600 s"):
        exchange._wait("key", owner=0, what="memory", limit_s=3600)
    assert slices == 19_000 + 2 * 3600


def test_when_nobody_is_behind_the_network_is():
    every, dog = watched()
    for pulse in every:
        at(pulse, 5, "step")
    for _ in range(8):
        tell(*every)
        dog.look()
    assert every[0].verdict.message.startswith("all processes have been in step 6 for 6 s")


def test_one_that_does_not_beat_is_gone():
    every, dog = watched()
    at(every[2], 3, "data")
    tell(*every)
    dog.look()
    for _ in range(6):
        tell(*every[:2])
        dog.look()
    message = every[0].verdict.message
    assert message.startswith("process 2 ")
    assert message.endswith("gave no sign of life for 6 s; it was waiting for the images of step 4")


def test_a_service_that_does_not_answer_is_process_0():
    service = Service()
    every = pulses(2, service)
    dog = Dog(every[1])
    service.answers = False
    for _ in range(8):
        tell(every[1])
        dog.look()
    assert "process 0 is gone" in every[1].verdict.message


def test_the_bound_follows_the_steps():
    every, _ = watched()
    dog = Dog(every[0], hang_s=None)
    assert dog.limit_s("step") == 300
    for step in range(10):  # a step in 40 ticks of a second
        at(every[0], step, "step")
        for _ in range(40):
            tell(*every)
            dog.look()
    assert 20 * 40 <= dog.limit_s("data") <= 20 * 45
    assert dog.limit_s("save") == 1800


# How long beats may take


def minutes(count, *, hang_s=None, dead=None, last_s, sleeps=range(0), asleep=range(1)):
    """What a watchdog finds among so many processes that beat as they do, each at its own moment;
    and when. `dead` beats no more after 20 s. `asleep` are stopped in the seconds of `sleeps`; this
    process, 0, is one of them, and it looks before it hears when it wakes."""
    service = Service()
    own = Pulse(service, index=0, count=count)
    own.peers = [replace(peer, beat=0) for peer in own.peers]
    dog = Dog(own, hang_s=hang_s)
    every = own.every_s
    beats = [0] * count
    own._heard = lambda what, read, before: (
        [replace(peer, beat=beats[peer.index]) for peer in before] if what == "beat" else []
    )
    for second in range(int(last_s)):
        for index in range(count):
            moment = index / count * every
            stopped = second in sleeps and index in asleep
            if not (stopped or (index == dead and second > 20)):
                beats[index] = int((second - moment) // every)
        if second in sleeps:
            continue
        own.mark("step", step=second)
        if second % every < 1 and second != sleeps.stop:
            own._round()
        dog.look(after_s=second - dog.now)
        if own.verdict is not None:
            return second, own.verdict.message
    return None


@pytest.mark.parametrize(("count", "hang_s"), [(512, 6.0), (2048, 30.0), (4096, None)])
def test_many_processes_that_beat_slowly_are_well(count, hang_s):
    assert minutes(count, hang_s=hang_s, last_s=400) is None


@pytest.mark.parametrize(
    ("count", "within_s"),
    [(2, 60), (64, 60), (256, 60), (512, 60), (2048, 4 * 2048 / 64)],
)
def test_one_of_many_that_died_is_told_of_in_time(count, within_s):
    """A round more until it is seen that no beat came, and one until that is heard."""
    when, message = minutes(count, dead=1, last_s=600)
    rounds = max(1.0, count / 64)
    assert within_s <= when - 20 + rounds
    assert when - 20 <= within_s + 2 * rounds
    said = int(re.search(r"gave no sign of life for (\d+) s", message)[1])
    assert within_s <= said <= when - 20 + rounds


@pytest.mark.parametrize("asleep", [1, 8])
def test_a_process_that_was_stopped_blames_nobody_when_it_wakes(asleep):
    assert minutes(8, last_s=400, sleeps=range(30, 330), asleep=range(asleep)) is None


def test_a_process_that_was_stopped_finds_one_that_died_meanwhile():
    when, _ = minutes(8, dead=1, last_s=600, sleeps=range(10, 330))
    assert 330 + 55 <= when <= 330 + 65


def test_a_clock_that_jumps_is_not_being_late():
    every, dog = watched()
    at(every[1], 5, "step")
    tell(*every)
    dog.look()
    for jump_s in (3600.0, -7200.0, 3600.0):
        dog.look(after_s=jump_s)
    assert every[0].verdict is None


@pytest.mark.parametrize(("count", "at_s"), [(2, 7.5), (512, 20), (4096, 130)])
def test_process_0_stays_until_all_of_many_have_heard_why_it_leaves(monkeypatch, count, at_s):
    """They hear in their own rounds, up to two of them later, and may hang for seconds more."""
    beat = Pulse(None, index=0, count=count)
    slept = [0.0]

    def sleep(seconds):
        slept[0] += seconds
        if slept[0] >= at_s:
            beat.ended = [Ended(i, 2, "no", None) for i in range(1, count)]

    monkeypatch.setattr(connection.time, "sleep", sleep)
    connection._stay(beat)
    assert slept[0] == pytest.approx(at_s, abs=0.11)
