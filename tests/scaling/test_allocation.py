"""What to train next, on tables whose best answer is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from vitctl.scaling.allocation import allocate
from vitctl.scaling.bootstrap import bootstrap
from vitctl.scaling.fit import fit_law
from vitctl.scaling.frontier import frontier
from vitctl.scaling.points import Points

ALPHA, BETA = 0.35, 0.3


def grid(*, noise: float = 0.0, seed: int = 0) -> Points:
    """Runs with error = 2 N^-alpha + 6 D^-beta + 0.05 for models of N units cost an image and D
    images, so compute N D. The best D for a budget C grows as C^(alpha / (alpha + beta))."""
    sizes, images = np.geomspace(30, 3e5, 14), np.geomspace(1e4, 1e9, 22)
    n, d = (x.ravel() for x in np.meshgrid(sizes, images))
    error = 2 * n**-ALPHA + 6 * d**-BETA + 0.05
    error += noise * np.random.default_rng(seed).standard_normal(len(n))
    return Points(
        compute=n * d,
        error=np.clip(error, 0.0, 1.0),
        row=np.arange(1, len(n) + 1),
        model=np.array([f"N{size:.3g}" for size in n]),
        images=d,
    )


def best_images(budget: float) -> float:
    """The minimum of the error above along N D = budget, set to zero by hand."""
    ratio = (6 * BETA) / (2 * ALPHA)
    return (ratio * budget**ALPHA) ** (1 / (ALPHA + BETA))


def answer(points: Points, budget: float, **more: object):
    on = frontier(points.compute, points.error)
    fit = fit_law(points.compute[on], points.error[on])
    drawn = bootstrap(fit, points.compute, points.error, rule="running-minimum", draws=200, seed=0)
    return allocate(points, fit, on, budget=budget, drawn=drawn, draws=200, seed=0, **more)


def test_between_runs_the_lowest_curve_wins() -> None:
    points = grid()
    answers = answer(points, 1e9)
    assert answers.how == "between runs"
    truth = {
        name: 2 * points.cost_per_image(name) ** -ALPHA
        + 6 * (1e9 / points.cost_per_image(name)) ** -BETA
        + 0.05
        for name in points.models
        if 1e4 <= 1e9 / points.cost_per_image(name) <= 1e9
    }
    assert answers.model == min(truth, key=truth.__getitem__)
    assert answers.candidates[0].model == answers.model
    assert answers.candidates[0].error == pytest.approx(truth[answers.model], abs=2e-3)
    assert answers.images * points.cost_per_image(answers.model) == pytest.approx(1e9)
    assert answers.images_interval[0] < best_images(1e9) < answers.images_interval[1]


def test_beyond_the_runs_the_trend_goes_on() -> None:
    points = grid()
    # The grid's corner ends the frontier before the largest run; stay with what it can show.
    inside = points.compute < 1e11
    cut = Points(
        points.compute[inside],
        points.error[inside],
        points.row[inside],
        model=points.model[inside],
        images=points.images[inside],
    )
    budget = 1e12
    answers = answer(cut, budget)
    assert answers.how == "trend of the frontier"
    low, high = answers.trend.exponent_interval
    assert low < ALPHA / (ALPHA + BETA) < high
    assert answers.images_interval[0] < best_images(budget) < answers.images_interval[1]
    assert answers.cost_per_image * answers.images == pytest.approx(budget)
    nearest = cut.cost_per_image(answers.model)
    assert answers.size_factor == pytest.approx(answers.cost_per_image / nearest)


def test_noise_makes_the_choice_uncertain() -> None:
    sure = answer(grid(), 1e9, noise=1e-5)
    unsure = answer(grid(), 1e9, noise=0.01)
    assert sure.candidates[0].share > 0.99 > unsure.candidates[0].share
    assert sum(candidate.share for candidate in unsure.candidates) == pytest.approx(1)


def test_the_papers_points(paper) -> None:
    """At 5000 core-days g/14 is best; past G/14's run the trend names it as the nearest model."""
    assert answer(paper(), 5000).model == "g/14"
    beyond = answer(paper(), 50_000)
    assert (beyond.how, beyond.model) == ("trend of the frontier", "G/14")
    assert beyond.size_factor > 1
    assert beyond.error_interval[0] < beyond.error < beyond.error_interval[1]


@pytest.mark.parametrize(
    ("column", "says"), [("model", "the table has no models"), ("images", "no images seen")]
)
def test_missing_columns_leave_the_error_only(column: str, says: str) -> None:
    points = grid()
    known = {"model": points.model, "images": points.images} | {column: None}
    answers = answer(Points(points.compute, points.error, points.row, **known), 1e9)
    assert answers.how is None
    assert answers.images is None
    assert says in answers.reason
    assert answers.error > 0
