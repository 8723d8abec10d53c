"""The examples are run as they are, shorter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.compiling import QUICK
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_digits(tmp_path):
    commands = tmp_path / "bin"
    commands.mkdir()
    # No links: through one Python would not find the environment it belongs to.
    for name, argv in {"python3": "", "vitctl": "-m stages.app "}.items():
        command = commands / name
        command.write_text(f'#!/bin/sh\nexec {sys.executable} {argv}"$@"\n')
        command.chmod(0o755)
    answer = subprocess.run(
        ["bash", str(ROOT / "examples" / "digits.sh"), str(tmp_path / "store")],
        env={
            **os.environ,
            "PATH": f"{commands}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "XLA_FLAGS": QUICK,
            "TRUNK": "8",
            "SHORT": "2",
            "LONG": "4",
            "EPOCHS": "1",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_S,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    for word in ("0-5 (seen)", "6-9 (held out)", "raw pixels", "ViT, untrained", "Fine-tuned"):
        assert word in answer.stdout
