from __future__ import annotations

from datetime import UTC, datetime

import pytest

from stages.inspect import text
from tests.artifacts.making import checkpoint_summary, dataset_summary
from vitctl.console.tree import fields

MEASURED = {"model": "S/16", "step": 8, "dataset": "digits", "split": "val", "examples": 9}
SHOTS = {
    "shots": 1,
    "accuracy_mean": 0.5,
    "accuracy_std": None,
    "interval": None,
    "test_interval": [0.4, 0.6],
    "draws": 1,
}


@pytest.mark.parametrize(
    ("kind", "summary", "expected"),
    [
        (
            "dataset",
            dataset_summary({"train": 1_281_167, "val": 50_000}, classes=1000, rejected=3),
            "1,000 classes, 1,281,167 train, 50,000 val, 3 rejected",
        ),
        (
            "checkpoint",
            checkpoint_summary(
                8,
                finished_schedule=True,
                loss=1.23456,
                eval={"top1": 0.6123, "top5": 1.0, "loss": None, "examples": 9},
            ),
            "S/16, cooled, loss 1.23, top-1 61.2%",
        ),
        ("checkpoint", checkpoint_summary(8), "S/16"),
        ("checkpoint", checkpoint_summary(8, of_a_later_version=[1]), "S/16"),
        (
            "checkpoint",
            checkpoint_summary(8, loss="low"),
            "step 8, images 32, model S/16, resolution 8",
        ),
        (
            "fewshot",
            {
                **MEASURED,
                "features": "pixels",
                "cooled": True,
                "classes": 10,
                "seen": "all",
                "l2": 1024.0,
                "shots": [SHOTS, {**SHOTS, "shots": 10, "accuracy_mean": 0.75}],
            },
            "S/16 (pixels), on digits, 1-shot 50.0%, 10-shot 75.0%",
        ),
        (
            "evaluation",
            {
                **MEASURED,
                "top1": 0.5,
                "top5": 0.9,
                "loss": 2,
                "top1_interval": [0.4, 0.6],
                "without_label": 0,
            },
            "S/16, on digits, top-1 50.0%, top-5 90.0%, loss 2",
        ),
        ("scaling-fit", {"a": 0.5, "b": 0.25, "c": 0.1, "d": None}, "a 0.5, b 0.25, c 0.1"),
        (
            "scaling-plot",
            {"figures": [dict.fromkeys(("figure", "theme", "format", "file"), "x")] * 2},
            "x",
        ),
        ("dataset", {"classes": "of another version"}, "classes of another version"),
        ("novelty", {"x": 1, "y": [1], "z": {}, "w": "a"}, "x 1, w a"),
        ("checkpoint", {}, ""),
    ],
)
def test_summaries(kind, summary, expected):
    assert text.in_words(kind, summary) == expected


def test_steps():
    assert text.steps(()) == ""
    assert text.steps((10, 2000)) == "10 2k"
    assert text.steps((1, 2, 3, 20_000)) == "1..20k (4)"


NOW = datetime(2026, 3, 10, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("2026-03-10T11:59:30+00:00", "just now"),
        ("2026-03-10T11:57:00+00:00", "3 min ago"),
        ("2026-03-10T09:00:00+00:00", "3 h ago"),
        ("2026-03-01T12:00:00+00:00", "9 d ago"),
        ("2025-03-10T12:00:00+00:00", "2025-03-10"),
        ("2026-03-10T13:00:00+00:00", "2026-03-10"),
        ("2026-03-10T12:00:00", "2026-03-10T12:00:00"),
        ("yesterday", "yesterday"),
    ],
)
def test_times(when, expected):
    assert text.ago(when, now=NOW) == expected


def test_durations():
    assert text.took("2026-01-01T00:00:00+00:00", "2026-01-01T00:00:09+00:00") == "9 s"
    assert text.took("2026-01-01T00:00:00+00:00", "2026-01-01T00:01:09+00:00") == "1 min 9 s"
    assert text.took("2026-01-01T00:00:00+00:00", "2026-01-03T01:02:09+00:00") == "49 h 2 min"
    assert text.took("?", "2026-01-01T00:00:09+00:00") == ""


def test_nested_values_are_readable_and_exact_ones_can_be_pasted():
    tree = {
        "steps": 20_000,
        "rate": 1 / 3,
        "off": None,
        "on": True,
        "optim": {"name": "adam", "empty": {}},
        "classes": ["a\x1b"] + ["b"] * 30_000,
        "draws": [{"shots": 1, "mean": 0.5}],
    }
    assert list(fields(tree)) == [
        "  steps    20,000",
        "  rate     0.333333",
        "  off      none",
        "  on       true",
        "  optim",
        "    name   adam",
        "    empty  {}",
        "  classes  a\\x1b, b, b, b, ... (30,001 in all)",
        "  draws",
        "    shots 1  mean 0.5",
    ]
    assert list(fields({"steps": 20_000, "rate": 1 / 3}, exact=True)) == [
        "  steps  20000",
        f"  rate   {1 / 3!r}",
    ]
