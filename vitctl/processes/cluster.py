"""How many processes there are and which one this is, as far as it can be told without jax.

What a cluster sets in the environment only tells whether to ask: jax's own detection of SLURM,
Open MPI, Cloud TPU, GKE and Kubernetes jobs decides (`jax._src.clusters`).
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vitctl.errors import UsageError
from vitctl.text.quoting import quoted

PROCESSES, PROCESS_ID, COORDINATOR = "VITCTL_PROCESSES", "VITCTL_PROCESS_ID", "VITCTL_COORDINATOR"

# (count, index) as each launcher sets them for the tasks of one step, in jax's order: mpirun may
# start its daemons with srun, and then the variables of both are there.
_LAUNCHERS = {
    "Open MPI": ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    "SLURM": ("SLURM_NTASKS", "SLURM_PROCID"),
}
# What jax looks for, too; a batch script of SLURM that has not called srun lacks it.
_MARKS = {"SLURM": "SLURM_STEP_NODELIST", "Open MPI": "OMPI_MCA_orte_hnp_uri"}
_STEP_TASKS = "SLURM_STEP_NUM_TASKS"
"""An interactive step is one task in an allocation of several, whose number is in SLURM_NTASKS, and
which is what jax takes. Of a step that `srun` starts both say the same."""


@dataclass(frozen=True)
class Membership:
    """One process among several. None is for jax to detect: without a coordinator, all that is."""

    processes: int | None = None
    process_id: int | None = None
    coordinator: str | None = None


def membership(
    flags: Membership, *, environment: Mapping[str, str] = os.environ
) -> Membership | None:
    """What to start with; None for one process alone.

    Flags win over the cluster's environment: `--processes 1` trains alone in any of them.

    Raises UsageError for flags that leave something open or contradict each other.
    """
    given = (flags.processes, flags.process_id, flags.coordinator)
    if given == (None, None, None):
        if not _is_one_of_several(environment):
            return None
        return Membership(processes=_tasks_of_other_step(environment))
    if flags.processes == 1 and flags.process_id in (None, 0):
        return None
    if None in given:
        names = ("--processes", "--process-id", "--coordinator")
        missing = [name for name, value in zip(names, given, strict=True) if value is None]
        present = [name for name, value in zip(names, given, strict=True) if value is not None]
        raise UsageError(
            f"{' and '.join(present)} {'is' if len(present) == 1 else 'are'} given without "
            f"{' and '.join(missing)}",
            hint="--processes N --process-id I --coordinator HOST:PORT, in each of the N processes",
        )
    assert flags.processes is not None
    assert flags.process_id is not None
    assert flags.coordinator is not None
    if flags.processes < 1 or not 0 <= flags.process_id < flags.processes:
        raise UsageError(
            f"--process-id {flags.process_id} of --processes {flags.processes}",
            hint="ids go from 0 to the number of processes less one",
        )
    host, colon, port = flags.coordinator.rpartition(":")
    if not (host and colon and port.isdecimal() and 0 < int(port) < 2**16):
        raise UsageError(
            f"--coordinator {quoted(flags.coordinator)} is not HOST:PORT",
            hint="the address of process 0, with a free port: --coordinator node1:4321",
        )
    return flags


def in_environment(environment: Mapping[str, str] = os.environ) -> tuple[int, int] | None:
    """(index, count) by the environment alone; None for one process, or where only jax can detect
    them, by requests over the network to Cloud TPU's metadata server or to Kubernetes."""
    if environment.get(PROCESSES) == "1":
        return None
    launcher = launched_by(environment)
    pairs = [(PROCESSES, PROCESS_ID), *([_LAUNCHERS[launcher]] if launcher else [])]
    for count, index in pairs:
        processes, process_id = _number(environment.get(count)), _number(environment.get(index))
        if launcher == "SLURM" and count != PROCESSES:
            processes = _number(environment.get(_STEP_TASKS)) or processes
        if processes is not None and process_id is not None:
            return (process_id, processes) if processes > 1 else None
    return _told_of_tpus(environment)


def launched_by(environment: Mapping[str, str] = os.environ) -> str | None:
    """What started this process as one of several tasks, by name; None if nothing did."""
    for launcher, names in _LAUNCHERS.items():
        if _MARKS[launcher] in environment and all(name in environment for name in names):
            return launcher
    return None


def _tasks_of_other_step(environment: Mapping[str, str]) -> int | None:
    """The number of this step's tasks where jax would take another for it."""
    if launched_by(environment) != "SLURM":
        return None
    tasks = _number(environment.get(_STEP_TASKS))
    return None if tasks == _number(environment.get(_LAUNCHERS["SLURM"][0])) else tasks


def _told_of_tpus(environment: Mapping[str, str]) -> tuple[int, int] | None:
    """(index, count) on GKE, and wherever else the hosts of a slice are in the environment, counted
    as jax does: the hosts of slice 0 come first, then those of slice 1."""
    hosts = _tpu_hosts(environment)
    slices = _number(environment.get("MEGASCALE_NUM_SLICES")) or 1
    host = _number(environment.get("TPU_WORKER_ID"))
    piece = _number(environment.get("MEGASCALE_SLICE_ID")) if slices > 1 else 0
    if not hosts or host is None or piece is None:
        return None
    each = len(hosts.split(","))
    return (piece * each + host, slices * each) if slices * each > 1 else None


def _tpu_hosts(environment: Mapping[str, str]) -> str:
    """The hosts of this slice, separated by commas; empty if the environment has none."""
    return environment.get("TPU_PROCESS_ADDRESSES", environment.get("TPU_WORKER_HOSTNAMES", ""))


def _is_one_of_several(environment: Mapping[str, str]) -> bool:
    """Whether jax should detect a cluster. On a single machine it must not: it needs an address."""
    if in_environment(environment) is not None:
        return True
    hosts = _tpu_hosts(environment)
    if "," in hosts or (_number(environment.get("MEGASCALE_NUM_SLICES")) or 1) > 1:
        return True  # GKE
    if hosts or "TPU_SKIP_MDS_QUERY" in environment:
        return False
    if "JOB_COMPLETION_INDEX" in environment and "KUBERNETES_SERVICE_HOST" in environment:
        return importlib.util.find_spec("kubernetes") is not None
    # A Cloud TPU machine: how many there are only its metadata server knows.
    return _has_tpu() and importlib.util.find_spec("libtpu") is not None


def _has_tpu() -> bool:
    return any(Path(name).exists() for name in ("/dev/accel0", "/dev/vfio/0"))


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
