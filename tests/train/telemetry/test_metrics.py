"""Numbers that JSON has no words for."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from tests import schemas
from vitctl.artifacts.runs import run_of
from vitctl.events import Caution, Scored
from vitctl.inference import scoring
from vitctl.train.telemetry import tensorboard
from vitctl.train.telemetry.metrics import Metrics, read


def test_a_number_that_is_not_finite_is_null(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with Metrics(path, keep_to=0, tensorboard=True) as metrics:
        metrics.row("eval", 2, split="val", loss=math.inf, ema_loss=math.nan, top1=0.5, examples=3)
    (row,) = read(path)
    assert row == {
        "kind": "eval",
        "step": 2,
        "split": "val",
        "loss": None,
        "ema_loss": None,
        "top1": 0.5,
        "examples": 3,
    }
    (events,) = tensorboard.files(tmp_path)
    assert b"eval/top1" in events.read_bytes()
    assert b"loss" not in events.read_bytes()


def test_a_row_of_a_literal_that_is_no_json_is_read_and_mended(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"kind": "eval", "step": 1, "loss": Infinity}\n')
    with Metrics(path, keep_to=1):
        pass
    assert json.loads(path.read_text(), parse_constant=pytest.fail)["loss"] is None


@pytest.mark.parametrize("which", ["raw", "ema"])
def test_training_goes_on_where_held_out_images_score_infinity(pretrain, monkeypatch, which):
    """Of the weights or of their average; at step 4, not at 8."""
    honest, seen = scoring.score, []

    def score(*given, **more):
        found = honest(*given, **more)
        if [e for e in seen if isinstance(e, Scored)]:
            return found
        lost = dataclasses.replace(getattr(found, which), loss=math.inf)
        return dataclasses.replace(found, **{which: lost})

    monkeypatch.setattr(scoring, "score", score)
    done = pretrain(8, emit=seen.append, runtime={"eval_every": 4}, optim={"ema": 0.5})
    run = run_of(done)
    name = {"raw": "loss", "ema": "ema_loss"}[which]
    scored = [row for row in read(run.metrics) if row["kind"] == "eval"]
    assert [(row["step"], row[name] is None) for row in scored] == [(4, True), (8, False)]
    told = [e.text for e in seen if isinstance(e, Caution) and "held-out" in e.text]
    assert len(told) == 1
    assert "not finite at step 4" in told[0]
    for step in (4, 8):
        saved = run.checkpoint(step)
        schemas.check(saved.as_json(), "artifact")
        kept = saved.summary[{"raw": "eval", "ema": "eval_ema"}[which]]
        assert (kept["loss"] is None) == (step == 4)
        assert kept["top1"] is not None
