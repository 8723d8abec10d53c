from __future__ import annotations

import numpy as np
import pytest

from vitctl.scaling.efficiency import sample_efficiencies
from vitctl.scaling.laws import Law
from vitctl.scaling.points import Points


def two_models(factor: float, *, noise: float = 0.0, seed: int = 0) -> Points:
    """`small` learns as `large` does, from `factor` times the images."""
    rng = np.random.default_rng(seed)
    images = np.geomspace(1e6, 1e9, 10)
    law = Law(a=0.6 * 1e6**0.3, b=0.3, c=0.1, d=1e5)
    error = law.error(images)
    return Points(
        compute=np.concatenate([images * 1e-6, images * factor * 1e-7]),
        error=np.concatenate([error, error]) + noise * rng.standard_normal(20),
        row=np.arange(1, 21),
        model=np.array(["large"] * 10 + ["small"] * 10),
        images=np.concatenate([images, images * factor]),
    )


@pytest.mark.parametrize("factor", [3.0, 40.0])
def test_a_known_factor_is_found(factor: float) -> None:
    (one,) = sample_efficiencies(two_models(factor), pairs=[("small", "large")], draws=100, seed=0)
    assert one.factor == pytest.approx(factor)
    assert one.at_lowest == pytest.approx(factor)
    assert one.at_highest == pytest.approx(factor)


def test_the_factor_turns_round_with_the_pair() -> None:
    forth, back = sample_efficiencies(
        two_models(7.0), pairs=[("small", "large"), ("large", "small")], draws=100, seed=0
    )
    assert forth.factor * back.factor == pytest.approx(1)


def test_the_interval_holds_the_truth_and_grows_with_noise() -> None:
    held, widths = 0, []
    for noise in (0.002, 0.006):
        for seed in range(10):
            (one,) = sample_efficiencies(
                two_models(5.0, noise=noise, seed=seed),
                pairs=[("small", "large")],
                draws=200,
                seed=seed,
            )
            low, high = one.interval
            held += low <= 5.0 <= high
            widths.append(high / low)
    assert held >= 17  # of 20 at 95 %; fewer happen once in 400
    assert np.mean(widths[10:]) > 2 * np.mean(widths[:10]) - 1


def test_the_papers_hundredfold(paper) -> None:
    """Section 2.3: Ti/16 needs about 100 times the images of L/16 for equal 10-shot error."""
    (one,) = sample_efficiencies(paper(), pairs=[("Ti/16", "L/16")], draws=500, seed=0)
    assert 60 < one.factor < 150
    assert one.interval[0] < 100 < one.interval[1]
    assert one.at_highest < one.factor < one.at_lowest  # it grows as Ti/16 saturates


def test_models_that_share_no_error_are_not_compared(paper) -> None:
    (one,) = sample_efficiencies(paper(), pairs=[("s/28", "L/16")], draws=100, seed=0)
    assert one.factor is None
    assert one.interval == (None, None)
    assert "do not overlap: s/28 60.5 to 80.9 %, L/16 18.5 to 49.4 %" in one.reason


def test_too_few_points_give_a_factor_without_an_interval() -> None:
    points = two_models(5.0)
    keep = np.r_[0:4, 10:14]
    few = Points(
        points.compute[keep],
        points.error[keep],
        points.row[keep],
        model=points.model[keep],
        images=points.images[keep],
    )
    (one,) = sample_efficiencies(few, pairs=[("small", "large")], draws=100, seed=0)
    assert one.factor == pytest.approx(5.0)
    assert one.interval == (None, None)
    assert "too few" in one.reason
    (one,) = sample_efficiencies(few, pairs=[("small", "large")], draws=100, seed=0, noise=0.01)
    assert one.interval[0] < 5 < one.interval[1]


def test_without_images_it_says_so() -> None:
    points = two_models(5.0)
    bare = Points(points.compute, points.error, points.row, model=points.model)
    (one,) = sample_efficiencies(bare, draws=100, seed=0)
    assert one.reason == "the table has no images seen"
