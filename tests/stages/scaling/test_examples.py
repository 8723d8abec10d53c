"""The example runs as it is given to users."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")


@pytest.mark.slow
def test_the_paper(tmp_path: Path, examples: Path) -> None:
    """examples/scaling/paper.sh, with `vitctl` this checkout's."""
    command = tmp_path / "bin" / "vitctl"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m stages.app "$@"\n')
    command.chmod(0o755)
    path = os.pathsep.join([str(command.parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", str(examples / "paper.sh"), str(tmp_path / "store")],
        env={**os.environ, "PATH": path, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    plots = done.stdout.split()
    assert len(plots) == 3
    assert (Path(plots[0]) / "images-seen-dark.png").exists()
    assert (Path(plots[1]) / "data-size-light.svg").exists()
    assert (Path(plots[2]) / "weight-decay-light.svg").exists()
    assert "G/14 at 27510" in done.stderr
