"""What a worker of xdist leaves behind that dies in the middle of a test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.deaths import ending
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[1]
SESSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
DEATHS = """
import os, signal, pytest

@pytest.mark.parametrize("death", [None, lambda: {death}, None, None])
def test_it(death):
    if death is not None:
        death()
"""


@pytest.mark.parametrize(
    ("death", "sentences"),
    [
        ("os._exit(7)", ["os._exit(7) ends the test process", "ended with exit code 7"]),
        pytest.param(
            "os.kill(os.getpid(), signal.SIGTERM)",
            ["was ended by SIGTERM"],
            marks=pytest.mark.slow,  # another run of pytest, as the one above: 2 s each
        ),
    ],
    ids=["exit", "signal"],
)
def test_a_dead_worker_fails_the_run_and_says_how_it_ended(tmp_path, death, sentences):
    """Restarted, xdist 3.8 would give what the dead one had finished, no test at all, to those that
    are alive, which then wait for ever (LoadScopeScheduling.remove_node)."""
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["tests.deaths"]\n')
    (tmp_path / "test_a.py").write_text(DEATHS.format(death="None"))
    (tmp_path / "test_b.py").write_text(DEATHS.format(death=death))
    settings = [word for word in SESSION["addopts"].split() if "restart" in word]
    command = ["-n", "1", "--dist", "loadfile", *settings, "-p", "xdist", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *command, str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "crashed while running 'test_b.py::test_it" in done.stdout
    for sentence in sentences:
        assert sentence in done.stdout + done.stderr
    assert 'test_b.py", line 7 in test_it' in done.stderr, "the stack, which names what ended it"


def test_how_a_process_ended():
    process = subprocess.Popen(["sleep", "600"])
    process.kill()
    assert ending(process).startswith(
        f"process {process.pid} was ended by {signal.SIGKILL.name}; of memory the system has "
    )
    assert ending(subprocess.Popen(["false"])).endswith("ended with exit code 1")
