"""Laws of single models, against a simulated truth, SciPy's least squares and sums by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import least_squares

from vitctl.scaling.model_fit import LEAST_RUNS, foretold, model_laws
from vitctl.scaling.model_law import counted, repeated
from vitctl.scaling.points import Points

TRUTH = {"small": (30.0, 0.3, 0.35, 2e6, 400.0), "large": (300.0, 0.42, 0.2, 4e6, 20.0)}
LENGTHS = np.geomspace(1e7, 2e9, 8)
SIZES = (5e6, 3e7, 1e9)


def truth(model, images, size):
    a, b, c, d, r = TRUTH[model]
    epochs = np.maximum(images / size - 1, 0)
    new = np.minimum(images, size) + size * r * (1 - np.exp(-epochs / r))
    return a * (new + d) ** -b + c


def table(models=tuple(TRUTH), sizes=SIZES, lengths=LENGTHS, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    rows = [(m, n, s) for m in models for s in sizes for n in lengths]
    error = np.array([truth(*row) for row in rows])
    images = np.array([n for _, n, _ in rows])
    return Points(
        compute=images,
        error=error + noise * rng.standard_normal(len(rows)),
        row=np.arange(1, len(rows) + 1),
        model=np.array([m for m, _, _ in rows]),
        data_size=np.array([s for _, _, s in rows]),
        images=images,
    )


@pytest.fixture(scope="module")
def laws():
    return model_laws(table(noise=0.003), draws=150, seed=1)


def test_counted_images_by_hand():
    # Two epochs and a half of a million: 1 + 8 (1 - e^(-1.5 / 8)) of them.
    by_hand = 1e6 * (1 + 8 * (1 - math.exp(-1.5 / 8)))
    assert counted(2.5e6, examples=1e6, worth=8) == pytest.approx(by_hand)
    assert counted(2.5e6, examples=1e6, worth=math.inf) == pytest.approx(2.5e6)
    assert counted(5e5, examples=1e6, worth=8) == pytest.approx(5e5)


@pytest.mark.parametrize("seen_images", [1e5, 1e6, 7e6, 4e7])
def test_repeated_is_the_inverse(seen_images):
    new = counted(seen_images, examples=1e6, worth=12)
    assert repeated(new, examples=1e6, worth=12) == pytest.approx(seen_images)


def test_no_number_of_repeats_is_worth_more_than_r_epochs():
    assert repeated(1e6 * 13, examples=1e6, worth=12) is None
    assert repeated(1e6 * 13, examples=1e6, worth=math.inf) == 13e6


@pytest.mark.parametrize("model", TRUTH)
def test_an_exact_law_is_recovered(model):
    law = model_laws(table(), draws=20, seed=0)[model]
    for images in (1e7, 3e8, 2e9):
        for size in SIZES:
            expected = float(truth(model, images, size))
            assert law.error(images, examples=size) == pytest.approx(expected, abs=3e-4)
    assert law.worth == pytest.approx(TRUTH[model][4], rel=0.1)


@pytest.mark.parametrize("model", TRUTH)
def test_as_good_as_scipy_on_noise(model, laws):
    """The sum of squares is SciPy's, which begins at the truth, to a percent."""
    points = table(noise=0.003)
    own = points.model == model
    images, size = points.images[own], points.data_size[own]
    error = points.error[own].copy()
    for s in SIZES:
        error[size == s] = np.minimum.accumulate(error[size == s])

    def residuals(theta):
        log_a, b, c, log_d, log_r = theta
        r = math.exp(log_r)
        epochs = np.maximum(images / size - 1, 0)
        new = np.minimum(images, size) + size * r * (1 - np.exp(-epochs / r))
        return np.exp(log_a) * (new + math.exp(log_d)) ** -b + c - error

    a, b, c, d, r = TRUTH[model]
    theirs = least_squares(residuals, [math.log(a), b, c, math.log(d), math.log(r)], x_scale="jac")
    ours = np.array(
        [laws[model].error(n, examples=s) - e for n, s, e in zip(images, size, error, strict=True)]
    )
    assert (ours @ ours) < 2 * theirs.cost * 1.01


def test_intervals_hold_a_new_run(laws):
    """Of new runs between the measured ones, 95 % in expectation; 40 of 48 are missed by chance
    once in 10^5."""
    rng = np.random.default_rng(5)
    inside = 0
    cases = [(m, n, s) for m in TRUTH for s in SIZES for n in np.geomspace(2e7, 1e9, 8)]
    for model, images, size in cases:
        low, high = laws[model].interval(images, examples=size, level=0.95)
        run = truth(model, images, size) + 0.003 * rng.standard_normal()
        inside += low <= run <= high
    assert inside >= 40


def test_errors_fall_with_images_and_with_the_training_set(laws):
    for law in laws.values():
        curve = [law.error(n, examples=3e7) for n in np.geomspace(1e7, 1e11, 30)]
        assert all(np.diff(curve) <= 1e-12)
        sizes = [law.error(1e9, examples=s) for s in np.geomspace(1e6, 1e10, 20)]
        assert all(np.diff(sizes) <= 1e-12)


def test_images_is_the_inverse_of_error(laws):
    for law in laws.values():
        error = law.error(4e8, examples=3e7)
        assert law.images(error, examples=3e7) == pytest.approx(4e8, rel=1e-6)
        assert law.images(law.law.c, examples=3e7) is None


def test_repeats_that_were_not_measured_are_those_of_the_worst_model():
    both = table()
    once = (both.model == "small") | (both.data_size > 5e8)  # large: on one set only
    points = Points(
        compute=both.compute[once],
        error=both.error[once],
        row=both.row[once],
        model=both.model[once],
        data_size=both.data_size[once],
        images=both.images[once],
    )
    laws = model_laws(points, draws=20, seed=0)
    assert laws["small"].determined
    assert not laws["large"].determined
    assert laws["large"].worth == laws["small"].worth


def test_too_few_lengths_make_no_law():
    laws = model_laws(table(lengths=LENGTHS[: LEAST_RUNS - 1]), draws=20, seed=0)
    assert laws == {}


def test_four_runs_on_one_set_make_one_without_a_shift():
    law = model_laws(
        table(models=("small",), sizes=(1e9,), lengths=LENGTHS[::2][:4]), draws=50, seed=0
    )["small"]
    assert law.law.d == 0
    assert math.isinf(law.worth)
    assert law.runs == 4


def test_overfitting_is_seen_and_ends_a_run():
    points = table(noise=0.0005)
    error = points.error.copy()
    overfit = (points.model == "large") & (points.data_size == 5e6) & (points.images > 2e8)
    error[overfit] += 0.05
    laws = model_laws(
        Points(points.compute, error, points.row, points.model, points.data_size, points.images),
        draws=20,
        seed=0,
    )
    ((size, epochs),) = laws["large"].overfits
    best = LENGTHS[LENGTHS <= 2e8][-1]
    assert (size, epochs) == (5e6, pytest.approx(best / 5e6))
    assert laws["large"].most_images(1e6) == pytest.approx(best / 5)
    assert math.isinf(laws["small"].most_images(1e6))


def test_the_shorter_runs_foretell_the_longer_ones():
    assert foretold(table()) == pytest.approx(0, abs=2e-3)
    assert foretold(table(lengths=LENGTHS[:4])) is None  # three shorter ones make no law


def test_a_set_of_few_images_teaches_less_than_any_run():
    law = model_laws(table(), draws=20, seed=0)["large"]
    assert math.isinf(law.least_images(1e5))
    assert law.least_images(1e9) == pytest.approx(1e7)
