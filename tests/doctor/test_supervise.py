"""Checks that hang, crash or chatter, in processes of their own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S
from vitctl.doctor.checks import Check
from vitctl.doctor.finding import CheckRequest, Finding, exit_code, worst
from vitctl.doctor.supervise import findings
from vitctl.places import place

# What the checks below are, in a module that the child process can import.
_MODULE = """
import os, signal, sys, time
from pathlib import Path
from vitctl.doctor.finding import Finding
from vitctl.errors import DoesNotFitError

def well(request): return Finding("well", "ok", f"looked at {request.store}", None, {"n": 1})
def chatty(request):
    print("noise on stdout"); os.write(1, b"more of it\\n"); os.write(2, b"and errors\\n")
    return Finding("chatty", "ok", "quiet")
def hangs(request):
    Path(request.store, "pid").write_text(str(os.getpid()))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    while True: time.sleep(1)
def dies(request):
    sys.stderr.write("the driver is broken\\n"); sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGSEGV)
def leaves(request): os._exit(7)
def raises(request): raise ValueError("odd\\nthings")
def full(request): raise DoesNotFitError("no room", hint="make some")
def forbidden(request): open("/proc/nothing/here", "w")
"""


@pytest.fixture
def look(tmp_path, monkeypatch):
    (tmp_path / "strange.py").write_text(_MODULE)
    monkeypatch.setenv("PYTHONPATH", ":".join([str(tmp_path), *sys.path]))

    def run(*names, hasty=(), group="g", needed=()):
        checks = [
            Check(
                name,
                "strange",
                name,
                group,
                1.0 if name in hasty else PATIENCE_S,
                needed=name in needed,
            )
            for name in names
        ]
        return list(findings(checks, CheckRequest(place(tmp_path))))

    return run


def verdicts(rows):
    return [(finding.check, finding.verdict) for finding in rows]


def test_findings_come_back_whole(look, tmp_path):
    (rows,) = look("well")
    assert rows.message == f"looked at {tmp_path}"
    assert rows.numbers == {"n": 1}
    assert rows.seconds >= 0


def test_what_libraries_print_is_no_answer(look, capfd):
    assert verdicts(look("chatty", "well")) == [("chatty", "ok"), ("well", "ok")]
    assert capfd.readouterr() == ("", "")


def test_one_that_hangs_is_ended_and_the_others_go_on(look, tmp_path):
    rows = look("well", "hangs", "well", hasty=["hangs"])
    assert verdicts(rows) == [("well", "ok"), ("hangs", "fail"), ("well", "ok")]
    assert rows[1].message == "the check did not end within 1 s"
    pid = (tmp_path / "pid").read_text()
    assert not Path(f"/proc/{pid}").exists()


def test_one_that_crashes_leaves_its_last_words(look):
    rows = look("dies", "well")
    assert verdicts(rows) == [("dies", "fail"), ("well", "ok")]
    assert rows[0].message == "the process of the check died (SIGSEGV): the driver is broken"
    assert "exit code 7" in look("leaves")[0].message


def test_errors_are_findings(look):
    raises, full, forbidden = look("raises", "full", "forbidden")
    assert raises.message == "ValueError: odd things"
    assert (full.message, full.hint, full.exit_code) == ("no room", "make some", 6)
    assert "No such file or directory" in forbidden.message
    assert {raises.verdict, full.verdict, forbidden.verdict} == {"fail"}


def test_what_the_rest_needs(look):
    rows = look("raises", "well", "well", needed=("raises",))
    assert verdicts(rows) == [("raises", "fail"), ("well", "warn"), ("well", "warn")]
    assert rows[1].message == "not checked, as raises failed"


def test_a_process_that_cannot_even_start(tmp_path):
    check = Check("well", "strange", "well", "g", 1.0)
    (rows,) = findings(
        [check], CheckRequest(place(tmp_path)), command=[sys.executable, "-c", "1/0"]
    )
    assert rows.verdict == "fail"
    assert "ZeroDivisionError" in rows.message


def test_the_first_failure_gives_the_exit_code():
    ok, warn = Finding("a", "ok", ""), Finding("b", "warn", "", exit_code=3)
    room, setup = Finding("c", "fail", "", exit_code=6), Finding("d", "fail", "")
    assert (exit_code([ok, warn]), worst([ok, warn])) == (0, "warn")
    assert (exit_code([ok, room, setup]), worst([ok, room, setup])) == (6, "fail")
    assert (exit_code([]), worst([ok])) == (0, "ok")
