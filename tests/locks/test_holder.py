"""Which process holds something is told by more than its id, which is given again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

from vitctl.events import silent
from vitctl.locks import heartbeat
from vitctl.locks.holder import Holder


def _child():
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import json, sys; from dataclasses import asdict\n"
            "from vitctl.locks.holder import Holder\n"
            "print(json.dumps(asdict(Holder.this())), flush=True); sys.stdin.read()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_process_is_gone_when_it_ended_also_if_nobody_took_its_exit_code():
    with _child() as child:
        holder = Holder(**json.loads(child.stdout.readline()))
        assert holder.pid == child.pid
        assert not holder.is_gone
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert holder.is_gone
    assert holder.is_gone


def test_an_id_that_was_given_again_is_another_process():
    this = Holder.this()
    assert not this.is_gone
    assert replace(this, since="1").is_gone


def test_of_processes_elsewhere_nothing_is_known():
    gone = replace(Holder.this(), since="1")
    assert not replace(gone, world="other-boot pid:[1]").is_gone
    assert not replace(gone, world=None).is_gone


def test_a_heartbeat_whose_process_id_was_given_again_is_taken_over_at_once(tmp_path):
    """One of a killed command, whose id this very process has now."""
    path = heartbeat.beside(tmp_path / ".lock")
    earlier = replace(Holder.this(), since="1")
    beat = heartbeat.Beat("someone", earlier.host, heartbeat._where(earlier), earlier.pid)
    path.write_text(json.dumps(asdict(beat)))
    assert not heartbeat.is_held(path)
    with heartbeat.exclusive(path, emit=silent, waiting="it waits"):
        assert heartbeat.read(path).owner != "someone"


def test_files_of_older_versions_name_no_start(tmp_path):
    path = heartbeat.beside(tmp_path / ".lock")
    this = Holder.this()
    beat = heartbeat.Beat("someone", this.host, f"{this.host} {this.world}", this.pid)
    path.write_text(json.dumps(asdict(beat)))
    assert heartbeat.is_held(path)
    path.write_text(json.dumps(asdict(replace(beat, pid=2**22 + 1))))
    assert not heartbeat.is_held(path)
