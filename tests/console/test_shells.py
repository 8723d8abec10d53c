"""Completion in real shells, each on a terminal of its own: what a word becomes with a tab."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S

_SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
_BEFORE = {"zsh": "autoload -U compinit; compinit -u -D\n"}
_PRINTS = """vitctl() { printf '[%s]' BEGIN "$@"; echo; }"""
_PRINTS_IN_FISH = "function vitctl; printf '[%s]' BEGIN $argv; echo; end"
"""A command line is completed by the real `vitctl`, and run by this one."""
_QUIET_S = 0.5


class Shell:
    """A shell that completes `vitctl`, on a pseudo-terminal, in a folder."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "TERM": "dumb",
            "LC_ALL": "C.UTF-8",
            **{key: os.environ[key] for key in ("LD_LIBRARY_PATH", "FPATH") if key in os.environ},
        }
        script = subprocess.run(
            ["vitctl"],
            env={**environment, "_VITCTL_COMPLETE": f"source_{name}"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        file = folder / f"completion.{name}"
        prints = _PRINTS_IN_FISH if name == "fish" else _PRINTS
        file.write_text(f"{_BEFORE.get(name, '')}{script}\n{prints}\n")
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(_SHELLS[name][0], _SHELLS[name], environment)
        self._send(f"source {file}; echo rea''dy\r", until=r"ready\r\n")

    def completed(self, typed: str) -> str:
        """The words that `vitctl` gets with a tab behind them, each in brackets."""
        shown = self._send(f"{typed}\t\r", until=r"\[BEGIN\](.*\])\r?\n")
        match = re.search(r"\[BEGIN\]((?:\[[^\]]*\])*)\r?\n", shown)
        assert match is not None, shown
        return match[1]

    def _send(self, keys: str, *, until: str) -> str:
        os.write(self._terminal, keys.encode())
        shown, end = "", time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if select.select([self._terminal], [], [], _QUIET_S)[0]:
                shown += os.read(self._terminal, 65536).decode(errors="replace")
            elif re.search(until, shown):
                return shown
        raise AssertionError(f"{until!r} is not in {shown!r}")

    def stop(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._terminal)


@pytest.fixture(scope="module", params=_SHELLS)
def shell(request, tmp_path_factory):
    if shutil.which(request.param) is None:
        pytest.skip(f"no {request.param} here")
    folder = tmp_path_factory.mktemp("home")
    for name in ("artifacts/pretrain/S-16-5e6f7a8b", "artifacts/shard/my photos-1a2b3c4d"):
        (folder / name).mkdir(parents=True)
    (folder / "artifacts/pretrain/S-16-5e6f7a8b/run.json").write_text("{")
    (folder / "artifacts/shard/my photos-1a2b3c4d/artifact.json").write_text("{")
    for step in (500, 20_000):
        (folder / f"artifacts/pretrain/S-16-5e6f7a8b/checkpoints/{step}").mkdir(parents=True)
    (folder / "pictures").mkdir()
    started = Shell(request.param, folder)
    yield started
    started.stop()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "becomes"),
    [
        ("show S-16@5", "[show][S-16@500]"),
        ("pretrain --set model.head=g", "[pretrain][--set][model.head=gap]"),
        ("plan --topology v3:", "[plan][--topology][v3:2x2]"),
        ("pretrain --model g/1", "[pretrain][--model][g/14]"),
        ("subset --data my", "[subset][--data][my photos-1a2b3c4d]"),
        ("shard pict", "[shard][pictures]"),
    ],
)
def test_a_tab_completes(shell, typed, becomes):
    # zsh takes the slash behind a folder away when the line goes on.
    assert shell.completed(f"vitctl {typed}").replace("/]", "]") == becomes


@pytest.mark.slow
def test_a_value_goes_on_behind_its_key(shell):
    """No blank stands behind `KEY=`."""
    assert shell.completed("vitctl pretrain --set optim.wd_h\t2").endswith("[optim.wd_head=2]")
