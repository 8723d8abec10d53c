"""Ctrl-C where Python can raise nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[1]

CODE = """
import gc, signal, sys, time
from vitctl.signals import keep_interrupts
if {kept}:
    keep_interrupts()

sent = 0

def callback(phase, info):
    global sent
    if sent < {times}:
        sent += 1
        signal.raise_signal(signal.SIGINT)

gc.callbacks.append(callback)
try:
    for _ in range({times}):
        gc.collect()
        time.sleep(0.2)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("handled", [True, False])
def test_an_interrupt_in_a_callback_of_the_collector_is_not_lost(handled):
    """Without us Python reports it and goes on: that is what would have to change."""
    code = CODE.format(kept=handled, times=2)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S
    )
    if handled:
        assert (done.returncode, done.stderr) == (130, "")
    else:
        assert done.returncode == 0
        assert "Exception ignored" in done.stderr
