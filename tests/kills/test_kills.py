"""A few kills of each command; `just kills` does fifty. What hangs is ended within, by the
`PATIENCE_S` of each command."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_killed_and_run_again_every_command_ends_bitwise_equal():
    command = [sys.executable, "-m", "tests.kills", "--kills", "4", "--terms", "2"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, f"{answer.stdout}\n{answer.stderr}"
    rows = answer.stdout.splitlines()[2:]
    times = [row.split(" | ")[2:4] for row in rows]
    assert times == [["4", "0"], ["2", "0"]] * 4 + [["4", "0"]]


def test_killed_before_each_change_of_a_file_and_done_again_all_is_as_if_never_killed():
    command = [sys.executable, "-m", "tests.kills.moments"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    *wrong, counted = answer.stdout.splitlines()
    assert wrong == []
    moments = [int(word) for word in counted.split()[1:]]
    assert len(moments) == 4
    assert all(count > 20 for count in moments)
