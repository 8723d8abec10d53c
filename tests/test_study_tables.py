"""The tables of the scaling study, from sweeps whose numbers are known."""

from __future__ import annotations

import importlib.util
import re
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.sweeps import FAILED, row, summary, sweep
from vitctl.artifacts import Store
from vitctl.artifacts.documents import json_bytes
from vitctl.artifacts.kinds.sweep import CSV, SweepTable
from vitctl.text.delimited import csv_text
from vitctl.text.tables import read_table

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "examples" / "scaling_study"
PAGE = ROOT / "docs" / "guide" / "study.md"
RESULTS = sorted((FOLDER / "results").glob("*.csv"))

spec = importlib.util.spec_from_file_location("study_tables", FOLDER / "tables.py")
tables = importlib.util.module_from_spec(spec)
sys.modules["study_tables"] = tables
spec.loader.exec_module(tables)

SEEDS = {"map": (0.50, 0.53, 0.56), "gap": (0.70, 0.71, 0.75), "token": (0.52, 0.53, 0.57)}


def head(name: str, seed: int, top1: float, *, images: int = 24_000) -> dict:
    probes = ("new_10shot", "atom_10shot", "digits_10shot")
    metrics = {
        "top1": {"value": top1, "interval": [top1 - 0.04, top1 + 0.04]},
        "loss": {"value": 1.5, "interval": None},
        **{probe: {"value": 0.2, "interval": [0.1, 0.3]} for probe in probes},
    }
    return row("w64", 8000, images, 1e9, axes={"head": name}, seed=seed, metrics=metrics)


def heads() -> list[dict]:
    return [
        head(name, seed, top1) for name, values in SEEDS.items() for seed, top1 in enumerate(values)
    ]


def table_of(rows, tmp_path, *, name="heads"):
    (tmp_path / f"{name}.json").write_bytes(
        json_bytes(SweepTable.model_validate(summary(rows, metrics=[*rows[0]["metrics"]])).table())
    )
    return read_table(tmp_path / f"{name}.json")


def lines(text: str) -> list[list[str]]:
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]


def test_means_over_seeds_with_the_scatter_of_all_runs_of_a_column(tmp_path):
    """By SciPy: the pooled deviation is the root of the mean variance within groups."""
    text = tables.markdown("heads", table_of(heads(), tmp_path))
    shown = lines(text)
    assert shown[0][:4] == ["images seen", "head", "rate", "top-1, %"]
    values = np.array([*SEEDS.values()])
    within = float(np.sqrt(values.var(axis=1, ddof=1).mean()))
    half = stats.t.ppf(0.975, 6) * within / np.sqrt(3)
    for cells, (name, of_seeds) in zip(shown[2:], SEEDS.items(), strict=True):
        mean = np.mean(of_seeds)
        low, high = 100 * (mean - half), 100 * (mean + half)
        # gap alone differs from map: by 19 points, and token by 1.
        difference = stats.t.ppf(0.975, 6) * within * np.sqrt(2 / 3)
        bold = abs(mean - values[0].mean()) > difference
        assert bold == (name == "gap")
        begin = f"**{100 * mean:.1f}**" if bold else f"{100 * mean:.1f}"
        assert cells[:4] == ["24k", name, "0.01", f"{begin} ({low:.1f} to {high:.1f})"]
    assert "Means over 3 seeds" in text
    assert "(6 degrees of freedom)" in text
    assert "top-1 4.0, new contours 10.0" in text


def test_one_seed_has_the_interval_over_test_images(tmp_path):
    cells = product(("w32", "w64"), (500, 2000), (12_000, 24_000))
    rows = [row(model, size, images, 1e6 * images) for model, size, images in cells]
    for one in rows:
        one["metrics"] |= {f"{name}_10shot": one["metrics"]["top1"] for name in ("digits", "atom")}
    text = tables.markdown("study", table_of(rows, tmp_path))
    shown = lines(text)
    assert shown[0] == ["model", "images", "top-1, %, 12k seen", "top-1, %, 24k seen"]
    assert [cells[:2] for cells in shown[2:6]] == [
        ["w32", "500"], ["w32", "2k"], ["w64", "500"], ["w64", "2k"],
    ]  # fmt: skip
    value = rows[0]["metrics"]["top1"]["value"]
    assert shown[2][2] == f"{100 * value:.1f} ({100 * value - 2:.1f} to {100 * value + 2:.1f})"
    assert text.count("one seed") == 3
    assert "**" not in text


def test_failed_runs_are_left_out_and_said(tmp_path):
    rows = heads()
    rows[4] |= FAILED
    text = tables.markdown("heads", table_of(rows, tmp_path))
    assert lines(text)[3][3].startswith("**72.5**")
    assert "Means over 2 to 3 seeds" in text
    assert "1 run of 9 failed" in text


def test_rows_of_another_duration_are_not_compared(tmp_path):
    rows = heads() + [
        head(n, s, v + 0.3, images=48_000) for n, vs in SEEDS.items() for s, v in enumerate(vs)
    ]
    shown = lines(tables.markdown("heads", table_of(rows, tmp_path)))
    assert [cells[3].startswith("**") for cells in shown[2:]] == [False, True, False] * 2


def test_a_grid_of_another_name_shows_all_that_it_has(tmp_path):
    text = tables.markdown("mine", table_of(heads(), tmp_path, name="mine"))
    assert lines(text)[0][:4] == ["model", "images", "head", "images seen"]
    assert len(lines(text)) == 2 + 3


def test_a_page_gets_a_table_between_its_marks(tmp_path, monkeypatch, capsys):
    store = Store(tmp_path / "store")
    recorded = summary(heads(), metrics=[*heads()[0]["metrics"]])
    artifact = sweep(store, recorded, name="heads")
    content = csv_text(SweepTable.model_validate(recorded).table())
    (artifact.path / CSV).write_text(content)
    page = tmp_path / "page.md"
    page.write_text("# A\n\n<!-- table heads -->\nold\n<!-- end of the table -->\n\nafter\n")
    command = ["tables.py", "--into", str(page), "--csv", str(tmp_path / "csv"), str(artifact.path)]
    monkeypatch.setattr(sys, "argv", command)
    tables.main()
    tables.main()
    text = page.read_text()
    assert text.startswith("# A\n\n<!-- table heads -->\n\n| images seen |")
    assert text.endswith("*\n\n<!-- end of the table -->\n\nafter\n")
    assert "\nold\n" not in text
    assert (tmp_path / "csv" / "heads.csv").read_text() == content
    monkeypatch.setattr(sys, "argv", ["tables.py", str(tmp_path / "csv" / "heads.csv")])
    tables.main()
    assert text.partition("-->\n\n")[2].partition("\n\n<!--")[0] in capsys.readouterr().out
    page.write_text("no marks")
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit, match="no line <!-- table heads -->"):
        tables.main()


def test_the_page_has_the_tables_of_the_results_that_are_kept():
    page = PAGE.read_text()
    marked = re.findall(r"<!-- table (\S+) -->", page)
    assert marked == list(dict.fromkeys(marked))
    assert sorted(marked) == [file.stem for file in RESULTS]
    for file in RESULTS:
        assert tables.into(page, file.stem, tables.markdown(file.stem, read_table(file))) == page
