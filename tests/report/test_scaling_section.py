"""The section on a law: forms by their predictions, the noise of seeds, repeated data."""

from __future__ import annotations

import numpy as np
import pytest

from stages.inspect.show import laws
from vitctl.report.sections import scaling_fit
from vitctl.scaling import report as reports
from vitctl.scaling.laws import Law
from vitctl.scaling.points import Points
from vitctl.scaling.repeats import share
from vitctl.scaling.seeds import pool
from vitctl.scaling.study import StudySettings, study
from vitctl.scaling.summary import FitReport, FitSummary


@pytest.fixture(scope="module")
def fitted() -> FitReport:
    """A law of 28 cells of two seeds each, on two training sets, its form chosen."""
    size, images = (x.ravel() for x in np.meshgrid([1e6, 1e8], np.geomspace(1e5, 3e8, 14)))
    size, images = np.repeat(size, 2), np.repeat(images, 2)
    compute = images / 1e6
    law = Law(a=0.5, b=0.35, c=0.1, d=0.3)
    noise = 0.002 * np.random.default_rng(0).standard_normal(len(size))
    points = Points(
        compute=compute,
        error=law.error(compute * share(images / size, 10.0)) + noise,
        row=np.arange(1, len(size) + 1),
        data_size=size,
        images=images,
    )
    pooled, seeds = pool(points, np.tile(np.array(["0", "1"]), 28))
    outcome = study(pooled, StudySettings(form="auto", draws=100, resampling="seeds"))
    summary = reports.summary(outcome, unit="hours", against=None, seeds=seeds)
    return FitReport(**dict(summary), band=reports.band(outcome))


def test_every_form_has_its_score_and_the_fitted_one_is_marked(fitted: FitReport) -> None:
    shown = str(scaling_fit._forms(fitted))
    assert f"{fitted.form} (fitted)" in shown
    assert all(one.form in shown for one in fitted.held_out)
    assert "best in draws" in shown
    assert "chosen by held-out runs (--form auto)" in shown
    given = fitted.model_copy(update={"form_chosen": None})
    assert "--form auto" not in str(scaling_fit._forms(given))


def test_the_forms_are_drawn_over_what_they_predict(fitted: FitReport) -> None:
    shown = str(scaling_fit._forecast_chart(fitted))
    assert "frontier, held out" in shown
    assert all(f"{form}, fitted up to" in shown for form in ("saturating", "power"))
    tests = tuple(
        test.model_copy(
            update={"forecasts": tuple(f.model_copy(update={"law": None}) for f in test.forecasts)}
        )
        for test in fitted.extrapolation
    )
    old = fitted.model_copy(update={"extrapolation": tests})  # made before laws were recorded
    assert scaling_fit._forecast_chart(old) is None


def test_what_seeds_and_repeats_tell_is_shown(fitted: FitReport) -> None:
    shown = str(scaling_fit._noise(fitted))
    assert "56 to 28" in shown
    assert "noise of a run, by repeated seeds" in shown
    assert "epochs of new images that all repeats are worth" in shown
    assert scaling_fit._noise(fitted.model_copy(update={"seeds": None, "repeats": None})) is None


def test_show_says_the_law_in_lines(fitted: FitReport) -> None:
    summary = FitSummary.model_validate(fitted.as_json())
    shown = "\n".join(laws.lines(summary))
    assert "error = a (C + d)^-b + c, C in hours" in shown
    assert f"form chosen by held-out runs: {summary.form}" in shown
    assert shown.count("predictions, best in") == 4
    assert "56 runs averaged to 28 cells" in shown
    assert "so many epochs of new ones" in shown
    assert set(laws.of_interest(fitted.as_json())) == set(laws.SHOWN)
