from __future__ import annotations

import numpy as np
import pytest

from vitctl.scaling.bottlenecks import by_data, by_model, by_model_and_data
from vitctl.scaling.points import Points


def test_the_papers_best_ten_shot_accuracy_by_model(paper) -> None:
    """Tables 4 to 7 of the paper, the best of each model."""
    best = {one.model: round(100 * (1 - one.error), 1) for one in by_model(paper())}
    assert best == {
        "s/28": 39.5,
        "s/16": 48.2,
        "Ti/16": 52.2,
        "S/32": 59.1,
        "S/16": 67.6,
        "B/32": 70.7,
        "B/28": 70.9,
        "B/16": 76.8,
        "L/16": 81.5,
        "g/14": 84.5,
        "G/14": 84.9,
    }


def test_the_papers_imagenet_21k_grid(paper) -> None:
    """Best 10-shot errors by model and images, read off the paper's figure 4."""
    runs = paper("inet10_error_pct", "paper_i21k.csv")
    grid = {
        (one.model, one.data_size / 1e6): round(100 * one.error, 1)
        for one in by_model_and_data(runs)
    }
    expected = {
        "Ti/16": (55.9, 52.8, 51.9, 51.6, 51.4),
        "S/16": (52.4, 42.8, 38.1, 36.8, 36.6),
        "B/32": (59.1, 48.7, 39.9, 36.2, 35.6),
        "B/16": (51.9, 42.5, 34.7, 28.9, 28.2),
    }
    for model, errors in expected.items():
        for size, error in zip((1.3, 2.6, 5.1, 10.2, 13), errors, strict=True):
            assert grid[model, size] == error


def test_data_limits_large_models_only(paper) -> None:
    cells = {(one.model, one.data_size): one.error for one in by_model_and_data(paper())}
    assert cells["L/16", 3e7] - cells["L/16", 3e9] > 0.09
    assert abs(cells["Ti/16", 3e7] - cells["Ti/16", 3e9]) < 0.01
    assert [round(one.error, 3) for one in by_data(paper())] == [0.278, 0.205, 0.19, 0.151]


def test_pairs_with_short_runs_only_are_marked(paper) -> None:
    """s/28, s/16 and B/28 were run on 3B images for 30k steps at most."""
    short = {(one.model, one.data_size) for one in by_model_and_data(paper()) if one.short}
    assert short == {("s/28", 3e9), ("s/16", 3e9), ("B/28", 3e9)}


def test_without_names_there_are_no_tables() -> None:
    bare = Points(np.array([1.0, 2.0]), np.array([0.5, 0.4]), np.array([1, 2]))
    assert by_model(bare) == by_data(bare) == by_model_and_data(bare) == ()


def test_the_index_points_at_the_best_run(paper) -> None:
    runs = paper()
    for best in by_model(runs):
        assert runs.model[best.index] == best.model
        assert runs.error[best.index] == pytest.approx(best.error)
