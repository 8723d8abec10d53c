"""The choice of a form by held-out runs."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from vitctl.errors import InputError
from vitctl.scaling.compare import Extrapolation, Forecast, budgets_of, compare_forms, extrapolate
from vitctl.scaling.fit import Bounds, LawTask, fit_law, fit_laws
from vitctl.scaling.form_choice import FormScore, choose, scores, with_wins
from vitctl.scaling.frontier import frontier
from vitctl.scaling.laws import Law
from vitctl.scaling.names import FREE
from vitctl.scaling.points import Points
from vitctl.scaling.solver import Objective
from vitctl.scaling.study import StudySettings, cautions, study

COMMON = {"objective": Objective(), "bounds": Bounds()}
LAWS = {
    "saturating": Law(a=0.6, b=0.4, c=0.15, d=2.0),
    "floor": Law(a=0.6, b=0.4, c=0.15),
    "shift": Law(a=0.8, b=0.3, d=2.0),
    "power": Law(a=0.8, b=0.2),
}


def table(law: Law, *, noise: float = 0.002, seed: int = 0, n: int = 40) -> Points:
    compute = np.geomspace(0.5, 1e4, n)
    error = law.error(compute) + noise * np.random.default_rng(seed).standard_normal(n)
    return Points(compute=compute, error=error, row=np.arange(1, n + 1))


def held_out(points: Points, below: tuple[float, ...] = (1000.0, 100.0)):
    arguments = {"rule": "running-minimum", **COMMON}
    tests = extrapolate(points.compute, points.error, below=below, **arguments)
    return scores(tests), tests


def test_fits_in_one_batch_are_those_alone(paper) -> None:
    """Tables of unequal lengths, and every form: padding and neighbours change nothing."""
    runs = paper()
    on = frontier(runs.compute, runs.error)
    tasks = [
        LawTask(runs.compute[on[:n]], runs.error[on[:n]], form)
        for n, form in ((32, "saturating"), (12, "floor"), (20, "shift"), (6, "power"))
    ]
    for space in ("error", "log"):
        for task, fit in zip(tasks, fit_laws(tasks, objective=Objective(space=space)), strict=True):
            alone = fit_law(
                task.compute, task.error, form=task.form, objective=Objective(space=space)
            )
            assert fit.cost == pytest.approx(alone.cost, rel=1e-9)
            assert (fit.points, fit.starts, fit.form) == (alone.points, alone.starts, alone.form)
            assert fit.law.error(task.compute) == pytest.approx(alone.law.error(task.compute))
    assert fit_laws([]) == []


@pytest.mark.parametrize("form", list(LAWS))
def test_the_form_that_made_the_runs_predicts_best(form: str) -> None:
    """Forms that lack an end predict badly; one with an end too many at most as well."""
    points = table(LAWS[form])
    outcome = study(points, StudySettings(form="auto", draws=100, rule="all", pairs=()))
    assert outcome.choice is not None
    assert outcome.choice.by == "held-out runs"
    assert outcome.fit.form == outcome.choice.form == outcome.held_out[0].form
    assert set(FREE[form]) <= set(FREE[outcome.fit.form])
    by_form = {one.form: one for one in outcome.held_out}
    for other, score in by_form.items():
        if not set(FREE[form]) <= set(FREE[other]):
            assert score.rmse > 2 * by_form[form].rmse
    assert sum(one.wins for one in outcome.held_out) == pytest.approx(1)


def test_a_given_form_stays_and_says_nothing_of_a_choice() -> None:
    outcome = study(table(LAWS["power"]), StudySettings(form="saturating", draws=100, rule="all"))
    assert outcome.fit.form == "saturating"
    assert outcome.choice is None
    assert len(outcome.held_out) == 4


def test_scores_are_the_root_mean_square_over_all_folds() -> None:
    points = table(LAWS["saturating"])
    ranked, tests = held_out(points)
    for score in ranked:
        squares = []
        for test in tests:
            (fit,) = (one.fit for one in test.forecasts if one.form == score.form)
            on = frontier(points.compute, points.error)
            later = on[points.compute[on] > test.below]
            squares += list((fit.law.error(points.compute[later]) - points.error[later]) ** 2)
        assert score.predicted == len(squares)
        assert score.rmse == pytest.approx(np.sqrt(np.mean(squares)))
    for better, worse in pairwise(ranked):
        assert better.rmse <= 1.001 * worse.rmse


def test_of_equal_predictions_the_simplest_form_is_first() -> None:
    """Without noise every form can draw a straight line."""
    ranked, _ = held_out(table(LAWS["power"], noise=0.0))
    best = ranked[0].rmse
    tests = [
        Extrapolation(
            below=1.0,
            fitted=9,
            predicted=4,
            forecasts=tuple(
                Forecast(form=form, fit=None, rmse=rmse, bias=0.0)
                for form, rmse in zip(FREE, (0.02, 0.02001, 0.03, 0.020001), strict=True)
            ),
        )
    ]
    assert [one.form for one in scores(tests)] == ["power", "floor", "saturating", "shift"]
    assert best < 1e-5


def test_a_fold_too_small_for_a_form_is_not_counted() -> None:
    """Four runs below the smaller budget fit two forms only, which would be scored on more."""
    points = table(LAWS["saturating"], n=14)
    small, large = points.compute[3] * 1.01, points.compute[9] * 1.01
    ranked, tests = held_out(points, (large, small))
    assert [one.rmse is None for one in tests[1].forecasts].count(True) == 1
    assert len(ranked) == 4
    assert len({one.predicted for one in ranked}) == 1
    only, _ = held_out(points, (small,))
    assert {one.form for one in only} == {"floor", "shift", "power"}


def test_wins_tell_a_clear_choice_from_a_toss(monkeypatch: pytest.MonkeyPatch) -> None:
    points = table(LAWS["saturating"], noise=0.001)
    ranked, tests = held_out(points)
    arguments = {"rule": "running-minimum", "draws": 100, "seed": 0}
    clear = with_wins(ranked, tests, points.compute, points.error, **arguments)
    assert clear[0].wins > 0.9
    monkeypatch.setattr("vitctl.scaling.bootstrap._CELLS", 17 * len(points))
    parts = with_wins(ranked, tests, points.compute, points.error, **arguments)
    assert [one.form for one in parts] == [one.form for one in clear]
    assert parts[0].wins > 0.9
    monkeypatch.undo()
    noisy = table(LAWS["floor"], noise=0.03, seed=1)
    ranked, tests = held_out(noisy)
    toss = with_wins(ranked, tests, noisy.compute, noisy.error, **arguments)
    assert max(one.wins or 0 for one in toss) < 0.9
    assert [one.rmse for one in toss] == [one.rmse for one in ranked]


def test_of_a_small_table_seeds_alone_are_drawn() -> None:
    """Nine cells: most draws of cells have too few on one side. Without seeds nothing is told."""
    points = table(LAWS["power"], noise=0.0, n=9)
    ranked, tests = held_out(points, (100.0,))
    arguments = {"rule": "running-minimum", "draws": 100, "seed": 0}
    alone = with_wins(ranked, tests, points.compute, points.error, **arguments)
    assert [one.wins for one in alone] == [None] * len(ranked)
    rng = np.random.default_rng(0)
    runs = tuple(value + 0.004 * rng.standard_normal(3) for value in points.error)
    seeds = with_wins(ranked, tests, points.compute, points.error, by_seed=runs, **arguments)
    assert sum(one.wins for one in seeds) == pytest.approx(1)
    assert max(one.wins for one in seeds) < 1


def test_an_unsure_choice_is_a_caution() -> None:
    settings = StudySettings(form="auto", draws=100, rule="all", pairs=())
    outcome = study(table(LAWS["floor"], noise=0.02, seed=1), settings)
    assert any("is not sure: it predicts best in" in sentence for sentence in cautions(outcome))
    sure = study(table(LAWS["saturating"], noise=0.0005), settings)
    assert not any("the choice of the form" in sentence for sentence in cautions(sure))


def test_where_nothing_can_be_held_out_the_aicc_chooses_and_it_is_said() -> None:
    compute = np.geomspace(1, 30, 8)
    points = replace(
        table(LAWS["power"], n=8), compute=compute, error=LAWS["power"].error(compute) + 0.001
    )
    settings = StudySettings(form="auto", draws=100, rule="all", below=(), pairs=())
    outcome = study(points, settings)
    assert outcome.choice is not None
    assert outcome.choice.by == "AICc"
    assert outcome.choice.form == compare_forms(points.compute, points.error, **COMMON)[0].form
    assert any("no runs could be held out" in sentence for sentence in cautions(outcome))


def test_a_table_too_small_for_any_choice_is_refused() -> None:
    compute = np.array([1.0, 10, 100])
    points = Points(compute=compute, error=np.array([0.6, 0.4, 0.3]), row=np.arange(1, 4))
    with pytest.raises(InputError, match="no form of the law can be chosen") as refused:
        study(points, StudySettings(form="auto", draws=100))
    assert "--form power" in str(refused.value.hint)
    assert choose((), (), points=3) is None
    few = (FormScore("saturating", 0.1, 3), FormScore("power", 0.2, 3))
    assert choose(few, (), points=4).form == "power"


def test_a_narrow_table_holds_out_its_dearest_third() -> None:
    """A tenth of the largest compute is below every run; so that forms are scored at all."""
    compute = np.geomspace(1, 8, 9)
    error = LAWS["power"].error(compute)
    (budget,) = budgets_of(compute, error, rule="all")
    assert np.sum(compute > budget) == 3
    assert budgets_of(compute[:5], error[:5], rule="all") == ()
    wide = table(LAWS["power"])
    assert budgets_of(wide.compute, wide.error, rule="all") == (1e3, 1e2)
