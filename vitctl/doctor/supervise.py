"""Starts the processes that check, and ends the ones that hang.

A driver or a network disk that hangs does so in a system call, where no exception and no thread
helps: only another process can look on. It is killed, and if even that hangs, left behind.
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

from vitctl import strict_json
from vitctl.doctor.checks import Check
from vitctl.doctor.finding import Finding, Request

_COMMAND = (sys.executable, "-m", "vitctl.doctor.child")
# Starting Python and importing this package, before the first check begins.
_START_S = 30.0

Lines = Generator[dict[str, Any] | None, float, None]
_HINTS = {
    "store": "a network file system does not answer: see mount and dmesg",
    "bucket": "the store does not answer: see the network, its address and its service's health",
    "devices": "another program may hold the devices (nvidia-smi; lsof /dev/accel*), or a host of "
    "the slice is missing",
    "batches": "the dataset's disk does not answer, or is very slow",
}


def findings(
    checks: Sequence[Check],
    request: Request,
    *,
    patience_s: float | None = None,
    command: Sequence[str] = _COMMAND,
) -> Iterator[Finding]:
    """What each check says, in order, as soon as known. `patience_s` stands for each one's own."""
    for _, group in groupby(checks, key=lambda check: check.group):
        rest = list(group)
        while rest:
            done = 0
            for finding in _one_process(rest, request, patience_s=patience_s, command=command):
                yield finding
                done += 1
                if finding.verdict == "fail" and rest[done - 1].needed:
                    told = f"not checked, as {rest[done - 1].name} failed"
                    yield from (Finding(c.name, "warn", told) for c in rest[done:])
                    done = len(rest)
                    break
            rest = rest[done:]


def _one_process(
    checks: Sequence[Check], request: Request, *, patience_s: float | None, command: Sequence[str]
) -> Iterator[Finding]:
    """Findings until all are there, or one check hangs or kills its process: it is the last."""
    reading, writing = os.pipe()
    # What libraries print is of no use here, but for the last words of one that dies.
    with TemporaryFile() as said:
        process = subprocess.Popen(
            [*command, str(writing)],
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=said,
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
                finding = _await(lines, check, patience=patience, process=process, said=said)
                yield finding
                if finding.measured.get("ended"):
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
    said: IO[bytes],
) -> Finding:
    """The finding of `check`; `measured["ended"]` where its process is of no more use."""
    began, limit = time.monotonic(), _START_S + patience
    while True:
        passed = time.monotonic() - began
        line = lines.send(limit - passed)
        if line is None:
            return Finding(
                check.name,
                "fail",
                f"no answer within {patience:g} s",
                _HINTS.get(check.group),
                {"ended": "timeout"},
                seconds=round(time.monotonic() - began, 3),
            )
        if "begins" in line:
            began, limit = time.monotonic(), patience
        elif "finding" in line:
            return Finding(**line["finding"])
        else:
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
            return _crashed(check, process.poll(), said)


def _crashed(check: Check, code: int | None, said: IO[bytes]) -> Finding:
    said.seek(0, os.SEEK_END)
    said.seek(max(0, said.tell() - 2000))
    words = said.read().decode(errors="replace").strip().splitlines()
    last = f": {words[-1][:200]}" if words else ""
    how = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
    told = f"the process that checked it died ({how}){last}"
    return Finding(check.name, "fail", told, _HINTS.get(check.group), {"ended": how})


def _lines(descriptor: int) -> Lines:
    """Send seconds, get the next line within them; None if there is none, {} at the end."""
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
    """Kill it and what it started; one that the kernel cannot end is left behind."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(1)
