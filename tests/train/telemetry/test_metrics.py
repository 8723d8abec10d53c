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
from vitctl.places import place
from vitctl.train.telemetry import metrics as telemetry
from vitctl.train.telemetry import tensorboard
from vitctl.train.telemetry.metrics import Metrics, damaged_lines, newest, read, read_counting


def test_a_number_that_is_not_finite_is_null(tmp_path):
    path = place(tmp_path) / "metrics.jsonl"
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
    path = place(tmp_path) / "metrics.jsonl"
    path.write_text('{"kind": "eval", "step": 1, "loss": Infinity}\n')
    with Metrics(path, keep_to=1):
        pass
    assert json.loads(path.read_text(), parse_constant=pytest.fail)["loss"] is None


@pytest.mark.parametrize("which", ["raw", "ema"])
def test_training_goes_on_where_held_out_images_score_infinity(pretrain, monkeypatch, which):
    """Of the weights or of their average; at step 4, not at 8."""
    honest, events = scoring.score, []

    def score(*given, **more):
        result = honest(*given, **more)
        if [e for e in events if isinstance(e, Scored)]:
            return result
        scores = getattr(result, which)
        infinite = dataclasses.replace(scores, means={**scores.means, "loss": math.inf})
        return dataclasses.replace(result, **{which: infinite})

    monkeypatch.setattr(scoring, "score", score)
    done = pretrain(8, emit=events.append, runtime={"eval_every": 4}, optim={"ema": 0.9})
    run = run_of(done)
    name = {"raw": "loss", "ema": "ema_loss"}[which]
    scored = [row for row in read(run.metrics) if row["kind"] == "eval"]
    assert [(row["step"], row[name] is None) for row in scored] == [(4, True), (8, False)]
    texts = [e.text for e in events if isinstance(e, Caution) and "held-out" in e.text]
    assert len(texts) == 1
    assert "not finite at step 4" in texts[0]
    for step in (4, 8):
        saved = run.checkpoint(step)
        schemas.check(saved.as_json(), "artifact")
        recorded = saved.summary[{"raw": "eval", "ema": "eval_ema"}[which]]
        assert (recorded["loss"] is None) == (step == 4)
        assert recorded["top1"] is not None


ROWS = [
    {"kind": "train", "step": 1, "loss": 2.5, "lr": 0.1},
    {"kind": "train", "step": 2, "loss": 2.0, "lr": 0.1},
    {"kind": "eval", "step": 2, "loss": 2.1, "top1": 0.5, "split": "val"},
    {"kind": "save", "step": 2, "stall_s": 0.1},
]


def test_a_flipped_bit_costs_a_line_and_is_counted(tmp_path):
    """Each byte of a file with its highest bit set: the rest is read, and the run goes on."""
    path = place(tmp_path) / "metrics.jsonl"
    whole = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    for at, byte in enumerate(whole):
        path.write_bytes(whole[:at] + bytes([byte | 0x80]) + whole[at + 1 :])
        rows, damaged = read_counting(path)
        joined = byte == ord("\n")  # two lines become one
        assert len(rows) >= len(ROWS) - 1 - joined
        assert damaged == (1 if len(rows) < len(ROWS) and at < len(whole) - 1 else 0)
        assert all(row in ROWS or row["step"] <= 2 for row in rows)


@pytest.mark.parametrize(
    "line",
    ['{"kind": "train", "step": 1}', '{"kind": [], "step": 1}', '{"kind": "train", "step": true}',
     '{"kind": "train", "step": 1, "loss": "low", "lr": 1}', "[" * 9999, "3", "\udcff"],
    ids=lambda line: line[:30],
)  # fmt: skip
def test_a_row_of_another_shape_is_damaged(tmp_path, line):
    path = place(tmp_path) / "metrics.jsonl"
    path.write_bytes(line.encode("utf-8", "surrogateescape") + b"\n")
    assert read_counting(path) == ([], 1)


def test_a_run_goes_on_with_a_damaged_line(tmp_path):
    """A flipped bit leaves bytes that are no text; the file is written anew without the line."""
    path = place(tmp_path) / "metrics.jsonl"
    lines = [(json.dumps(row) + "\n").encode() for row in ROWS]
    damaged = bytes([lines[0][3] | 0x80])
    path.write_bytes(lines[0][:3] + damaged + lines[0][4:] + b"".join(lines[1:]))
    with Metrics(path, keep_to=10**6) as metrics:
        assert metrics.damaged == 1
        metrics.row("train", 10**6, loss=1.0)
    rows, left = read_counting(path)
    assert left == 0
    assert rows[:-1] == [json.loads(line) for line in lines[1:]]


@pytest.mark.parametrize("block", [1, 7, 64, 10**6])
def test_the_newest_rows_are_those_of_the_whole_file(tmp_path, monkeypatch, block):
    """Whatever the blocks in which it is read from its end."""
    monkeypatch.setattr(telemetry, "_BLOCK_BYTES", block)
    path = place(tmp_path) / "metrics.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS) + '{"kind": "tra')
    assert newest(path) == {row["kind"]: row for row in read(path)}
    path.write_text("")
    assert newest(path) == {}
    assert newest(place(tmp_path) / "none.jsonl") == {}


@pytest.mark.parametrize("others", [False, True])
def test_of_many_rows_few_are_parsed(tmp_path, monkeypatch, others):
    """Parsing is what takes time: of 64 MiB of rows of one kind, 5 s."""
    path = place(tmp_path) / "metrics.jsonl"
    many = [json.dumps({"kind": "train", "step": step, "loss": 1.0}) for step in range(20_000)]
    first = [json.dumps(row) for row in ROWS if row["kind"] != "train"] if others else []
    path.write_text("\n".join([*first, *many, ""]))
    parsed, parse = [], telemetry._row
    monkeypatch.setattr(telemetry, "_row", lambda line: parsed.append(line) or parse(line))
    rows = newest(path)
    assert rows["train"]["step"] == 19_999
    assert rows.keys() == ({"train", "eval", "save"} if others else {"train"})
    assert len(parsed) < 10


def test_a_file_without_line_ends_takes_no_memory_for_each_block(tmp_path, monkeypatch):
    monkeypatch.setattr(telemetry, "_BLOCK_BYTES", 2**10)
    monkeypatch.setattr(telemetry, "_LONGEST_LINE", 2**10)
    lengths, parse = [], telemetry._row
    monkeypatch.setattr(telemetry, "_row", lambda line: lengths.append(len(line)) or parse(line))
    path = place(tmp_path) / "metrics.jsonl"
    path.write_bytes(b"\0" * 2**20)
    assert newest(path) == {}
    assert max(lengths) <= 2**11


def test_damaged_lines_are_numbered(tmp_path):
    path = place(tmp_path) / "metrics.jsonl"
    lines = [json.dumps(row).encode() for row in ROWS]
    path.write_bytes(b"\n".join([lines[0], b"\xff", *lines[1:], b"{}", b'{"kind": "tra']))
    assert damaged_lines(path) == [2, 6]
    assert damaged_lines(place(tmp_path) / "none") == []
