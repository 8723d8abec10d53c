"""What `vitctl show` prints for people."""

from __future__ import annotations

from stages.inspect.show import text
from tests.artifacts.making import dataset_summary, made, recipe
from tests.sweeps import FAILED, row, summary, sweep


def summary_lines(artifact):
    lines = list(text.of_artifact(artifact))
    begin = lines.index("summary")
    return [line.split()[0] for line in lines[begin + 1 : lines.index("", begin)]]


def test_of_a_subset_only_what_it_has_is_shown(store):
    nothing = {"bytes": 0, "shards": {"train": 0}, "selected_from": {"train": 24}}
    subset = made(store, recipe("subset"), summary=dataset_summary({"train": 6}, **nothing))
    assert summary_lines(subset) == ["classes", "examples", "train", "selected_from", "train"]


def test_of_a_dataset_its_files_are_shown_also_none(store):
    photos = made(store, recipe(), summary=dataset_summary({"train": 6}, bytes=0))
    assert summary_lines(photos) == [
        "classes", "examples", "train", "shards", "train", "bytes", "rejected",
    ]  # fmt: skip


def test_an_interval_that_is_one_number_is_not_shown(store):
    metrics = {
        "per_class": {"value": 0.1, "interval": [0.1, 0.1]},
        "ece": {"value": 0.1, "interval": [0.05, 0.2]},
        "map": {"value": 0.1, "interval": None},
    }
    shown = text._with_metrics_in_lines({"metrics": metrics})["metrics"]
    assert shown == {"per_class": "0.1", "ece": "0.1 (0.05 to 0.2)", "map": "0.1"}


def test_a_sweep_has_a_line_for_each_run(store):
    """With its cell, its first metrics, and the reason of one that has none."""
    cells = [
        row("one", 100, 400, 4e8, axes={"wd_head": 3.0}),
        row("two", 1000, 400, 8e9, axes={"wd_head": 0.1}, **FAILED),
    ]
    lines = list(text.of_artifact(sweep(store, summary(cells, part="1/2"))))
    begin = lines.index("runs")
    assert [line.split() for line in lines[begin + 1 : begin + 4]] == [
        ["model", "images", "wd_head", "seen", "lr", "top1", "loss", "failure"],
        ["one", "100", "3.0", "400", "0.01", "0.2807", "1.719"],
        ["two", "1k", "0.1", "400", "0.01", "the", "loss", "is", "NaN"],
    ]
    assert any(line.split() == ["part", "1/2"] for line in lines[:begin])
