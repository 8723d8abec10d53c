"""The packages of the experiment trackers, without a network; what arrived, read by their code."""

from __future__ import annotations

import getpass
import os
import platform
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S
from vitctl.errors import UsageError
from vitctl.places import place
from vitctl.train.telemetry.metrics import Metrics
from vitctl.train.telemetry.tracker import Tracked

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.slow
RUN = Tracked("S-16", "pretrain", "ab" * 32, {"seed": 0, "model": {"width": 16}})


@pytest.fixture(autouse=True)
def working_folder(tmp_path, monkeypatch):
    """Both write below it, unless their variables say otherwise."""
    for name in ("WANDB_DIR", "WANDB_PROJECT", "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.chdir(tmp_path)


def leveldb_records(content):
    """Of a log of LevelDB's format, behind the seven bytes of a header of its own: blocks of 32 KiB
    of chunks, each with checksum, length and type (whole, first, middle, last).
    https://github.com/google/leveldb/blob/main/doc/log_format.md"""
    at, parts = 7, []
    while at < len(content):
        if (left := -at % 2**15) < 7 and left:
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        parts.append(content[at + 7 : at + 7 + length])
        at += 7 + length
        if kind in (1, 4):
            yield b"".join(parts)
            parts = []


def two_starts(folder, name):
    path = place(folder) / "metrics.jsonl"
    for steps, keep_to in ((range(1, 5), 0), (range(5, 8), 4)):
        with Metrics(path, keep_to=keep_to, run=RUN, track=(name,)) as metrics:
            for step in steps:
                metrics.row("train", step, loss=1 / step, lr=1e-3, host="secret")
            metrics.row("eval", max(steps), loss=0.5, top1=0.25, split="val")


def test_wandb_has_every_row_of_both_starts_and_nothing_of_this_machine(tmp_path):
    pytest.importorskip("wandb", reason="pip install 'vitctl[wandb]'")
    from wandb.proto import wandb_internal_pb2

    two_starts(tmp_path, "wandb")
    files = sorted((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
    assert len({path.name for path in files}) == 1  # one run, in two pieces
    rows, settings = [], {}
    for path in files:
        for data in leveldb_records(path.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            match record.WhichOneof("record_type"):
                case "history":
                    rows.append(
                        {i.key or i.nested_key[0]: i.value_json for i in record.history.item}
                    )
                case "run":
                    settings |= {i.key: i.value_json for i in record.run.config.update}
                    assert record.run.host == "hidden"
        content = path.read_bytes()
        for private in (platform.node(), getpass.getuser(), str(tmp_path), "secret"):
            assert len(private) < 4 or private.encode() not in content
    steps = [int(row["step"]) for row in rows if "train/loss" in row]
    assert steps == list(range(1, 8))
    assert [float(row["train/loss"]) for row in rows if "train/loss" in row] == [
        1 / step for step in range(1, 8)
    ]
    assert [int(row["step"]) for row in rows if "eval/top1" in row] == [4, 7]
    assert settings["seed"] == "0"


def test_a_wandb_run_that_is_abandoned_holds_no_process_up(tmp_path):
    """Its service is gone, and the hook that would wait for it."""
    pytest.importorskip("wandb", reason="pip install 'vitctl[wandb]'")
    code = (
        "from tests.train.telemetry.test_trackers import RUN\n"
        "from tests.waiting import PATIENCE_S\n"
        "from vitctl.train.telemetry.wandb_runs import WandbRun\n"
        "run = WandbRun()\n"
        "run.begin(RUN, known=None)\n"
        "run.send([{'kind': 'train', 'step': 1, 'loss': 1.0}])\n"
        "run.abandon()\n"
        "import wandb\n"
        "assert wandb.setup()._connection._proc._process.wait(PATIENCE_S) == -9\n"
        "print('the end')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        # A service of its own, not that of another test.
        env={k: v for k, v in os.environ.items() if k != "WANDB_SERVICE"}
        | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert done.stdout == "the end\n"
    assert "Traceback" not in done.stderr


def test_a_run_that_was_deleted_at_mlflow_begins_anew(tmp_path):
    pytest.importorskip("sqlalchemy", reason="pip install 'vitctl[mlflow]'")
    mlflow = pytest.importorskip("mlflow", reason="pip install 'vitctl[mlflow]'")
    from vitctl.train.telemetry.mlflow_runs import MlflowRun

    first = MlflowRun().begin(RUN, known=None)
    assert MlflowRun().begin(RUN, known=first) == first
    client = mlflow.MlflowClient()
    client.delete_run(first)
    assert MlflowRun().begin(RUN, known=first) != first
    client.delete_experiment(client.get_run(first).info.experiment_id)
    with pytest.raises(UsageError, match="experiment vitctl was deleted"):
        MlflowRun().begin(RUN, known=None)


def test_mlflow_has_every_row_of_both_starts(tmp_path):
    pytest.importorskip("sqlalchemy", reason="pip install 'vitctl[mlflow]'")
    mlflow = pytest.importorskip("mlflow", reason="pip install 'vitctl[mlflow]'")

    two_starts(tmp_path, "mlflow")
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("vitctl")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params == {"seed": "0", "model.width": "16"}
    assert run.data.tags["vitctl.id"] == RUN.id
    losses = client.get_metric_history(run.info.run_id, "train/loss")
    assert [(metric.step, metric.value) for metric in losses] == [(s, 1 / s) for s in range(1, 8)]
    assert [m.step for m in client.get_metric_history(run.info.run_id, "eval/top1")] == [4, 7]
    assert not client.get_metric_history(run.info.run_id, "train/host")
