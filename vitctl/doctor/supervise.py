"""Starts the processes that check, and ends the ones that hang.

A driver or a network disk that hangs does so in a system call, where no exception and no thread
helps: only another process can watch. The hanging process is killed; if
even that fails, it is abandoned.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import groupby
from tempfile import TemporaryFile
from typing import IO, Any

from vitctl.doctor.checks import Check
from vitctl.doctor.finding import CheckRequest, Finding
from vitctl.text import strict_json

_COMMAND = (sys.executable, "-m", "vitctl.doctor.child")
# Starting Python and importing this package, before the first check begins.
_START_S = 30.0

Lines = Generator[dict[str, Any] | None, float, None]
_HINTS = {
    "store": "a network file system does not respond: check mount and dmesg",
    "bucket": "the store does not respond: check the network, its address and the service's status",
    "devices": "another program may hold the devices (nvidia-smi; lsof /dev/accel*), or a host of "
    "the slice is missing",
    "batches": "the dataset's disk does not respond, or is very slow",
}


def findings(
    checks: Sequence[Check],
    request: CheckRequest,
    *,
    patience_s: float | None = None,
    command: Sequence[str] = _COMMAND,
) -> Iterator[Finding]:
    """The finding of each check, in order, as soon as it is known. `patience_s` replaces the time
    limits of the checks."""
    for _, group in groupby(checks, key=lambda check: check.group):
        rest = list(group)
        while rest:
            done = 0
            for finding in _one_process(rest, request, patience_s=patience_s, command=command):
                yield finding
                done += 1
                if finding.verdict == "fail" and rest[done - 1].needed:
                    message = f"not checked, as {rest[done - 1].name} failed"
                    yield from (Finding(c.name, "warn", message) for c in rest[done:])
                    done = len(rest)
                    break
            rest = rest[done:]


def _one_process(
    checks: Sequence[Check],
    request: CheckRequest,
    *,
    patience_s: float | None,
    command: Sequence[str],
) -> Iterator[Finding]:
    """The findings of all checks, or up to the first check that hangs or kills its process."""
    reading, writing = os.pipe()
    # The output of libraries is ignored, except the last line of a process that dies.
    with TemporaryFile() as output_file:
        process = subprocess.Popen(
            [*command, str(writing)],
            stdin=subprocess.PIPE,
            stdout=output_file,
            stderr=output_file,
            pass_fds=(writing,),
            start_new_session=True,
        )
        os.close(writing)
        try:
            work = {"checks": [asdict(check) for check in checks], "request": request.as_json()}
            assert process.stdin is not None
            with suppress(BrokenPipeError), process.stdin as stdin:
                stdin.write(json.dumps(work).encode())
            lines = _lines(reading)
            next(lines)
            for check in checks:
                patience = check.patience_s if patience_s is None else patience_s
                finding = _await(
                    lines, check, patience=patience, process=process, output_file=output_file
                )
                yield finding
                if finding.numbers.get("ended"):
                    return
        finally:
            os.close(reading)
            _end(process)


def _await(
    lines: Lines,
    check: Check,
    *,
    patience: float,
    process: subprocess.Popen[bytes],
    output_file: IO[bytes],
) -> Finding:
    """The finding of `check`; `numbers["ended"]` where its process is of no more use."""
    began, limit = time.monotonic(), _START_S + patience
    while True:
        passed = time.monotonic() - began
        line = lines.send(limit - passed)
        if line is None:
            return Finding(
                check.name,
                "fail",
                f"the check did not end within {patience:g} s",
                _HINTS.get(check.group),
                {"ended": "timeout"},
                seconds=round(time.monotonic() - began, 3),
            )
        if "begins" in line:
            began, limit = time.monotonic(), patience
        elif "finding" in line:
            return Finding.from_json(line["finding"])
        else:
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
            return _crashed(check, process.poll(), output_file)


def _crashed(check: Check, code: int | None, output_file: IO[bytes]) -> Finding:
    output_file.seek(0, os.SEEK_END)
    output_file.seek(max(0, output_file.tell() - 2000))
    output = output_file.read().decode(errors="replace").strip().splitlines()
    last = f": {output[-1][:200]}" if output else ""
    how = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
    message = f"the process of the check died ({how}){last}"
    return Finding(check.name, "fail", message, _HINTS.get(check.group), {"ended": how})


def _lines(descriptor: int) -> Lines:
    """A generator of lines as JSON: send it seconds, and it gives the next line, None if none came
    within that time, or {} at the end of the stream."""
    pending = b""
    patience = yield None
    while True:
        if b"\n" in pending:
            line, pending = pending.split(b"\n", 1)
            patience = yield strict_json.own_text(line)
            continue
        if not select.select([descriptor], [], [], max(0.0, patience))[0]:
            patience = yield None
            continue
        block = os.read(descriptor, 65536)
        if not block:
            patience = yield {}
            continue
        pending += block


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its children. A process that the kernel cannot end is abandoned."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(1)
