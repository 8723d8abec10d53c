"""The four commands the toolkit was asked for, word for word; only settings make them tiny."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.compiling import QUICK
from tests.forking import COMMAND, DECODING, FORKED_WORKERS, shell_command
from tests.waiting import PATIENCE_S

TINY = (
    "--set model.width=16 --set model.depth=1 --set model.mlp_dim=32 --set model.heads=2 "
    "--set model.patch=8 --set model.resolution=16 --set data.batch=64 "
    "--set data.augment.randaugment=none --set data.augment.mixup_alpha=none "
    "--set schedule.warmup_steps=2 --set schedule.total_steps=6"
)
SCRIPT = f"""
set -euo pipefail
vitctl shard
vitctl pretrain --model g14 {TINY}
vitctl cooldown --from ckpt --set schedule.total_steps=9 --set schedule.cooldown_steps=3
vitctl fewshot --shots 10 --json --set draws=3
"""


@pytest.mark.smoke
def test_the_card(tmp_path: Path):
    commands = tmp_path / "bin"
    commands.mkdir()
    vitctl = commands / "vitctl"
    command = shell_command(f"{FORKED_WORKERS}{COMMAND}", preload=DECODING)
    vitctl.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    vitctl.chmod(0o755)
    root = Path(__file__).resolve().parents[2]
    environment = {
        **os.environ,
        "PATH": f"{commands}:{os.environ['PATH']}",
        "PYTHONPATH": str(root),
        "XLA_FLAGS": QUICK,  # and one device
    }
    answer = subprocess.run(
        ["bash", "-c", SCRIPT],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    dataset, trunk, cooled, probe = answer.stdout.splitlines()
    assert (tmp_path / dataset / "artifact.json").exists()
    assert Path(trunk).name == "6"
    assert Path(cooled).name == "9"
    summary = json.loads(probe)["summary"]
    (row,) = summary["shots"]
    assert (row["shots"], row["draws"]) == (10, 3)
    assert 0 <= row["interval"][0] <= row["accuracy_mean"] <= row["interval"][1] <= 1
    assert summary["step"] == 9
    for said in ("the newest dataset", "custom (width 16, depth 1, patch 8)", "recipe small"):
        assert said in answer.stderr
