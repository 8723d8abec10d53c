from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vitctl.errors import InputError
from vitctl.scaling.config import ColumnsConfig, ScalingConfig
from vitctl.scaling.fit import fit_law
from vitctl.scaling.frontier import frontier
from vitctl.scaling.laws import Law
from vitctl.scaling.points import Points
from vitctl.scaling.seeds import pool
from vitctl.scaling.settings import settings

TRUTH = Law(a=0.63, b=0.32, c=0.12, d=0.52)


def table(seed: int = 0, *, cells: int = 40, seeds: int = 5, noise: float = 0.01):
    """Runs of each cell, shuffled."""
    rng = np.random.default_rng(seed)
    compute = np.repeat(np.geomspace(1.6, 3e4, cells), seeds)
    order = rng.permutation(len(compute))
    error = TRUTH.error(compute) + noise * rng.standard_normal(len(compute))
    points = Points(
        compute=compute[order],
        error=error[order],
        row=np.arange(1, len(compute) + 1),
        model=np.array(["B/16"] * len(compute)),
        images=1e6 * compute[order],
    )
    return points, np.tile(np.arange(seeds), cells)[order].astype(str)


def test_a_cell_is_the_average_of_its_runs() -> None:
    points, seed = table()
    pooled, noise = pool(points, seed)
    assert (noise.runs, noise.cells, noise.freedom) == (200, 40, 160)
    for i in range(40):
        own = points.compute == pooled.compute[i]
        assert own.sum() == 5
        assert pooled.error[i] == pytest.approx(points.error[own].mean())
        assert pooled.row[i] == points.row[own].min()


def test_the_noise_is_that_of_the_analysis_of_variance() -> None:
    points, seed = table(noise=0.01)
    _, noise = pool(points, seed)
    groups = [points.error[points.compute == c] for c in np.unique(points.compute)]
    assert noise.noise == pytest.approx(np.sqrt(np.mean([group.var(ddof=1) for group in groups])))
    assert noise.noise == pytest.approx(0.01, rel=3 / np.sqrt(2 * 160))  # three standard errors
    assert noise.noise_of_cell == pytest.approx(noise.noise / np.sqrt(5))


def test_the_luckiest_seed_is_no_longer_the_frontier() -> None:
    """Of 20 tables: single runs pull the law down at every compute, averages hardly."""
    pulls: dict[str, list[float]] = {"single": [], "averaged": []}
    for i in range(20):
        points, seed = table(i, cells=20)
        for name, one in (("single", points), ("averaged", pool(points, seed)[0])):
            on = frontier(one.compute, one.error)
            law = fit_law(one.compute[on], one.error[on]).law
            pulls[name].append(float(law.error(300.0) - TRUTH.error(300.0)))
    single, averaged = np.mean(pulls["single"]), np.mean(pulls["averaged"])
    assert single < -0.005
    assert abs(averaged) < abs(single) / 2


def test_measured_compute_may_differ_between_seeds() -> None:
    points, seed = table()
    wobbly = replace(points, compute=points.compute * (1 + 0.01 * np.cos(np.arange(200))))
    pooled, noise = pool(wobbly, seed)
    assert noise.cells == 40
    exact = pooled.images / 1e6
    assert np.all(np.abs(pooled.compute / exact - 1) <= 0.01)
    assert np.any(pooled.compute != exact)


def test_two_rows_of_one_seed_are_refused() -> None:
    points, seed = table()
    seed = seed.copy()
    mine = np.flatnonzero(points.compute == points.compute[7])
    seed[mine[1]] = seed[mine[0]]
    first, second = points.row[mine[:2]]
    with pytest.raises(InputError, match=f"rows {first} and {second} are the same model") as error:
        pool(points, seed)
    assert "--where" in str(error.value.hint)


def test_the_noise_is_used_where_enough_repetitions_tell_it() -> None:
    pooled, noise = pool(*table())
    assert settings(ScalingConfig(), pooled, seeds=noise).noise == noise.noise_of_cell
    assert settings(ScalingConfig(noise=0.2), pooled, seeds=noise).noise == 0.2
    few_points, few = pool(*table(cells=3, seeds=2))
    assert few.freedom == 3
    assert settings(ScalingConfig(), few_points, seeds=few).noise is None
    _, none = pool(*table(seeds=1))
    assert (none.freedom, none.noise, none.known) == (0, 0.0, None)


def test_configurations_made_before_seeds_keep_their_form() -> None:
    """What is fingerprinted says nothing of a setting that is not used."""
    assert "seed" not in ScalingConfig().model_dump(mode="json")["columns"]
    named = ColumnsConfig(seed="seed").model_dump(mode="json")
    assert named["seed"] == "seed"
    assert ColumnsConfig.model_validate(named) == ColumnsConfig(seed="seed")
