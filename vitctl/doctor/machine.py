"""Clock, memory, cores, open files."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

from vitctl import version
from vitctl.doctor.finding import CheckRequest, Finding, Verdict
from vitctl.hardware import machine

_GIB = 2**30
# TensorFlow and jax take about 1 GiB between them before the first array (measured, 2026-11).
_LEAST_BYTES, _GOOD_BYTES = 2 * _GIB, 4 * _GIB
# A batch may touch as many shards as it has images; each stays open (vitctl.data.records).
_LEAST_FILES, _GOOD_FILES = 256, 1024
_DRIFT_S = 0.05
_DAY_S = 86_400


def clock(request: CheckRequest) -> Finding:
    """Whether time passes evenly and lies after the installation of this program."""
    began, wall = time.monotonic(), time.time()
    time.sleep(0.2)
    drift = abs((time.time() - wall) - (time.monotonic() - began))
    installed = Path(version.__file__).stat().st_mtime
    numbers = {"drift_s": round(drift, 4)}
    message = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    if time.time() < installed - _DAY_S:
        return Finding(
            "clock",
            "warn",
            f"{message}, which is before vitctl was installed",
            "set the clock: the newest artifact is chosen by it",
            numbers,
        )
    if drift > _DRIFT_S:
        return Finding(
            "clock",
            "warn",
            f"{message}, and the clock moved by {drift:.2f} s within 0.2 s",
            "a program sets the clock in jumps; let NTP slew it instead",
            numbers,
        )
    return Finding("clock", "ok", message, None, numbers)


def memory(request: CheckRequest) -> Finding:
    """Main memory that can still be had, and cores."""
    free = machine.host_bytes()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    numbers = {"free_bytes": free, "cores": cores}
    if free is None:
        return Finding("memory", "warn", f"unknown; {cores} cores", None, numbers)
    message = f"{free / _GIB:.1f} GiB free, {cores} cores"
    hint = "end other programs, or raise the limit of the container or job"
    if free < _LEAST_BYTES:
        return Finding("memory", "fail", message, hint, numbers, exit_code=6)
    if free < _GOOD_BYTES:
        return Finding("memory", "warn", message, hint, numbers)
    return Finding("memory", "ok", message, None, numbers)


def files(request: CheckRequest) -> Finding:
    """How many files may be open at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    endless = soft == resource.RLIM_INFINITY
    message = "no limit" if endless else f"{soft:,} at once"
    numbers = {"soft": soft, "hard": hard}
    if endless or soft >= _GOOD_FILES:
        return Finding("open files", "ok", message, None, numbers)
    verdict: Verdict = "fail" if soft < _LEAST_FILES else "warn"
    return Finding(
        "open files", verdict, message, "allow more: ulimit -n 4096", numbers, exit_code=6
    )
