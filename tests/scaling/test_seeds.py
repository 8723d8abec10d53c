from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vitctl.errors import InputError
from vitctl.scaling.bootstrap import bootstrap
from vitctl.scaling.config import ColumnsConfig, ScalingConfig
from vitctl.scaling.fit import fit_law
from vitctl.scaling.frontier import frontier
from vitctl.scaling.laws import Law
from vitctl.scaling.points import Points
from vitctl.scaling.seeds import pool, redraw
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


@pytest.mark.parametrize("seeds", [2, 3, 8])
def test_drawn_averages_scatter_as_averages_do(seeds: int) -> None:
    """The variance of a mean of k runs is s^2 / k, with s^2 over k - 1: drawing k of k with
    replacement alone would give (k - 1) / k of it."""
    points, seed = table(cells=6, seeds=seeds, noise=0.01)
    pooled, _ = pool(points, seed)
    assert pooled.by_seed is not None
    assert [len(errors) for errors in pooled.by_seed] == [seeds] * 6
    drawn = redraw(pooled.by_seed, draws=20_000, rng=np.random.default_rng(0))
    expected = [errors.std(ddof=1) / np.sqrt(seeds) for errors in pooled.by_seed]
    # 20,000 draws know a standard deviation to half a percent.
    np.testing.assert_allclose(drawn.std(0), expected, rtol=0.03)
    np.testing.assert_allclose(drawn.mean(0), pooled.error, atol=5e-4)


def test_a_cell_of_one_run_scatters_as_the_others_do() -> None:
    rng = np.random.default_rng(0)
    cells = [0.5 + 0.01 * rng.standard_normal(4) for _ in range(50)]
    drawn = redraw([*cells, np.array([0.3])], draws=20_000, rng=rng)
    noise = np.sqrt(np.mean([errors.var(ddof=1) for errors in cells]))
    assert drawn[:, -1].std() == pytest.approx(noise, rel=0.03)
    assert drawn[:, -1].mean() == pytest.approx(0.3, abs=5e-4)
    alone = redraw([np.array([0.3]), np.array([0.2])], draws=5, rng=rng)
    np.testing.assert_array_equal(alone, [[0.3, 0.2]] * 5)


def test_the_bootstrap_draws_seeds_within_cells() -> None:
    """Cells of equal compute and model differ between draws by their seeds alone."""
    points, seed = table(cells=20)
    pooled, _ = pool(points, seed)
    fit = fit_law(pooled.compute, pooled.error)
    arguments = {"rule": "all", "draws": 200, "seed": 1}

    def spread(resampling: str) -> float:
        drawn = bootstrap(
            fit, pooled.compute, pooled.error, resampling=resampling, by_seed=pooled.by_seed,
            **arguments,
        )  # fmt: skip
        return float(drawn.errors(np.array([300.0])).std())

    assert spread("seeds") > 1.1 * spread("rows")


@pytest.mark.slow
@pytest.mark.parametrize("misfit", [0.0, 0.003])
@pytest.mark.parametrize("rule", ["all", "running-minimum"])
def test_drawn_cells_and_seeds_hold_the_truth_at_their_rate(misfit: float, rule: str) -> None:
    """60 tables of 30 cells and three seeds, with and without a misfit of the law beside the noise
    of seeds: cells alone hold the truth in 78 to 93 % of them, cells and seeds in 93 to 100 %
    (measured 2026-11-29), where 95 are stated."""
    held = {"rows": 0, "seeds": 0}
    for number in range(60):
        rng = np.random.default_rng(number)
        points, seed = table(number, cells=30, seeds=3, noise=0.005)
        cell_misfit = dict(
            zip(np.unique(points.compute), misfit * rng.standard_normal(30), strict=True)
        )
        moved = np.array([cell_misfit[c] for c in points.compute])
        pooled, _ = pool(replace(points, error=points.error + moved), seed)
        on = frontier(pooled.compute, pooled.error, rule=rule)
        fit = fit_law(pooled.compute[on], pooled.error[on])
        for resampling in held:
            drawn = bootstrap(
                fit, pooled.compute, pooled.error, rule=rule, draws=200, seed=number,
                resampling=resampling, by_seed=pooled.by_seed,
            )  # fmt: skip
            low, high = drawn.error_interval(3000.0, level=0.95)
            held[resampling] += low <= TRUTH.error(3000.0) <= high
    assert held["seeds"] >= 54
    assert held["seeds"] >= held["rows"]


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
