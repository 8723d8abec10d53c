"""The whole study of one table: frontier, law, intervals, rivals, bottlenecks, what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from vitctl.errors import InputError
from vitctl.scaling.allocation import Allocation, allocate
from vitctl.scaling.bootstrap import Refits, bootstrap
from vitctl.scaling.bottlenecks import Best, by_data, by_model, by_model_and_data
from vitctl.scaling.compare import (
    ComparedForm,
    Extrapolation,
    budgets_of,
    compare_forms,
    extrapolate,
)
from vitctl.scaling.efficiency import SampleEfficiency, sample_efficiencies
from vitctl.scaling.fit import USUAL_BOUNDS, Bounds, Fit, enough_points, fit_law, standardised
from vitctl.scaling.form_choice import FormChoice, FormScore, choose, scores, with_wins
from vitctl.scaling.frontier import frontier
from vitctl.scaling.laws import Floats, Law
from vitctl.scaling.names import FREE, Form, FormSetting, FrontierRule, Parameter, Resampling
from vitctl.scaling.points import Points, check
from vitctl.scaling.profile import Interval, profile_intervals
from vitctl.scaling.repeats import Repeats, repeats
from vitctl.scaling.selection import Selection, selection, widened
from vitctl.scaling.solver import LEAST_SQUARES, Objective
from vitctl.text.quoting import quoted

_SURE = 0.8  # share of drawn tables from which the choice of a form is no matter of luck
OFF_LAW = 2.0  # standard deviations from which a point of the frontier counts as off the law


@dataclass(frozen=True)
class StudySettings:
    """What decides the study. `form` auto takes the one that predicts held-out runs best; `pairs`
    None compares all models; `below` None takes the budgets of `budgets_of`; `noise` is the known
    standard deviation of one run's error, None if not; `metric` is what the table's column holds.
    """

    form: FormSetting = "saturating"
    rule: FrontierRule = "running-minimum"
    objective: Objective = LEAST_SQUARES
    bounds: Bounds = USUAL_BOUNDS
    level: float = 0.95
    draws: int = 1000
    seed: int = 0
    resampling: Resampling = "rows"
    noise: float | None = None
    budgets: tuple[float, ...] = ()
    below: tuple[float, ...] | None = None
    pairs: tuple[tuple[str, str], ...] | None = None
    metric: Literal["error", "accuracy"] = "error"


@dataclass(frozen=True)
class Study:
    """All results of a study. `residual` and `off` are by row of `points`: measured minus law,
    and the same in units of the scatter; `without_largest` is fitted without the frontier's last
    point, None where too few remain. `choice` says why the form was chosen, None where it was
    given; `held_out` are all forms by their predictions, the best first."""

    points: Points
    settings: StudySettings
    frontier: np.ndarray
    choice: FormChoice | None
    fit: Fit
    profile: dict[Parameter, Interval]
    selection: Selection | None
    intervals: dict[Parameter, Interval]
    drawn: Refits
    without_largest: Law | None
    residual: Floats
    off: Floats
    variants: tuple[ComparedForm, ...]
    extrapolations: tuple[Extrapolation, ...]
    held_out: tuple[FormScore, ...]
    repeats: Repeats | None
    by_model: tuple[Best, ...]
    by_data: tuple[Best, ...]
    by_model_and_data: tuple[Best, ...]
    efficiencies: tuple[SampleEfficiency, ...]
    allocations: tuple[Allocation, ...]

    @property
    def law(self) -> Law:
        return self.fit.law

    @property
    def on_frontier(self) -> np.ndarray:
        mask = np.zeros(len(self.points), bool)
        mask[self.frontier] = True
        return mask


def study(points: Points, settings: StudySettings) -> Study:
    """Study a table of runs. Raises InputError where no law can be fitted, saying what can."""
    check(points, metric=settings.metric)
    if np.any(points.error == 0) and (settings.objective.space == "log" or settings.rule == "hull"):
        raise InputError(
            "a run has error 0, which has no logarithm",
            hint="use least squares in error and the running minimum, or leave the run out",
        )
    s, compute, error = settings, points.compute, points.error
    chosen = frontier(compute, error, rule=s.rule)
    # Of the form with the fewest parameters at least, if it is still to be chosen.
    _enough(len(chosen), len(points), form="power" if s.form == "auto" else s.form)
    x, y = compute[chosen], error[chosen]

    below = budgets_of(compute, error, rule=s.rule) if s.below is None else s.below
    extrapolations = extrapolate(
        compute, error, below=below, rule=s.rule, objective=s.objective, bounds=s.bounds
    )
    held_out = scores(extrapolations)
    variants = compare_forms(x, y, objective=s.objective, bounds=s.bounds)
    choice = choose(held_out, variants, points=len(x)) if s.form == "auto" else None
    form = _form(s.form, choice)

    fit = fit_law(x, y, form=form, objective=s.objective, bounds=s.bounds)
    profile = profile_intervals(fit, x, y, level=s.level)
    selected = selection(
        fit,
        compute,
        error,
        rule=s.rule,
        draws=max(100, s.draws // 5),
        seed=s.seed,
        noise=s.noise,
    )
    drawn = _bootstrap(fit, points, s)
    return Study(
        points=points,
        settings=s,
        frontier=chosen,
        choice=choice,
        fit=fit,
        profile=profile,
        selection=selected,
        intervals=widened(profile, fit, selected),
        drawn=drawn,
        without_largest=_without_largest(x, y, form, s),
        residual=error - fit.law.error(compute),
        off=standardised(fit, compute, error),
        variants=variants,
        extrapolations=extrapolations,
        held_out=with_wins(
            held_out,
            extrapolations,
            compute,
            error,
            rule=s.rule,
            draws=max(100, s.draws // 10),
            seed=s.seed,
            by_seed=points.by_seed if s.resampling == "seeds" else None,
        ),
        repeats=repeats(
            points,
            form=form,
            objective=s.objective,
            bounds=s.bounds,
            level=s.level,
            below=below,
            draws=max(60, s.draws // 10),
            seed=s.seed,
            noise=s.noise,
        ),
        by_model=by_model(points),
        by_data=by_data(points),
        by_model_and_data=by_model_and_data(points),
        efficiencies=_efficiencies(points, s),
        allocations=tuple(
            allocate(
                points,
                fit,
                chosen,
                budget=budget,
                drawn=drawn,
                unlucky_law=selected.law if selected else None,
                draws=s.draws,
                seed=s.seed,
                level=s.level,
                noise=s.noise,
            )
            for budget in s.budgets
        ),
    )


def cautions(result: Study) -> list[str]:
    """What a reader of the numbers should know, one sentence each."""
    fit, sentences = result.fit, []
    if result.points.model is not None and len(result.points.models) == 1:
        sentences.append(
            f"one model only ({result.points.models[0]}): this is its own curve, not the frontier "
            "over models; a larger one may lie below, and no bottleneck or best model can be named"
        )
    if fit.points < 2 * len(fit.free):
        sentences.append(
            f"{fit.points} points for {len(fit.free)} parameters: the intervals are wide and rest "
            "on the form being right"
        )
    for name in fit.at_bound:
        value = getattr(fit.law, name)
        why = {"c": "no floor shows", "d": "no levelling at the low end shows"}
        meaning = why.get(name, "") if value == 0 else "the data do not determine it"
        sentences.append(f"{name} rests on its bound {value:g}: {meaning}".removesuffix(": "))
    for name, (low, high) in result.intervals.items():
        if low is None or high is None:
            side = "below" if low is None else "above"
            sentences.append(f"the data do not bound {name} from {side}")
    if fit.starts_at_minimum < max(2, fit.starts // 10):
        sentences.append(
            f"only {fit.starts_at_minimum} of {fit.starts} starts reached this minimum; others are "
            "nearly as good"
        )
    best = result.variants[0]
    own = next(variant for variant in result.variants if variant.form == fit.form)
    if best.form != fit.form and own.delta_aicc is not None and own.delta_aicc > 2:
        simpler = "simpler " if len(FREE[best.form]) < len(fit.free) else ""
        sentences.append(
            f"the {simpler}form {quoted(best.form)} explains these points better (AICc lower by "
            f"{own.delta_aicc:.1f})"
        )
    held_out = result.held_out
    if len(held_out) > 1 and held_out[0].form != fit.form:
        own_score = next((one for one in held_out if one.form == fit.form), None)
        if own_score is not None and own_score.rmse > 1.2 * held_out[0].rmse:
            sentences.append(
                f"the form {quoted(held_out[0].form)}, fitted to the cheap runs, predicts the "
                f"others better than {quoted(fit.form)} does"
            )
    sentences += _doubts(result)
    if result.drawn.resampling != result.settings.resampling:
        sentences.append(
            "most tables of runs drawn again had too few frontier runs to fit, so the bootstrap "
            "draws residuals instead"
        )
    return sentences


def _doubts(result: Study) -> list[str]:
    """How sure the choice of a form is, where it was not given."""
    choice, held_out = result.choice, result.held_out
    if choice is None:
        return []
    if choice.by == "AICc":
        return [
            f"no runs could be held out, so the form {quoted(choice.form)} was chosen by its AICc, "
            "which says little of other compute"
        ]
    wins = next((one.wins for one in held_out if one.form == choice.form), None)
    if wins is None:
        return [
            f"how sure the choice of the form {quoted(choice.form)} is cannot be told: most drawn "
            "tables have too few runs to hold any out"
        ]
    if wins >= _SURE:
        return []
    other_wins, rival = max(
        (one.wins or 0.0, one.form) for one in held_out if one.form != choice.form
    )
    return [
        f"the choice of the form {quoted(choice.form)} is not sure: it predicts best in "
        f"{100 * wins:.0f} % of drawn tables, {quoted(rival)} in {100 * other_wins:.0f} %"
    ]


def _bootstrap(fit: Fit, points: Points, s: StudySettings) -> Refits:
    """As set, or of residuals where most drawn tables of few runs can't be fitted."""

    def draw(resampling: Resampling) -> Refits:
        return bootstrap(
            fit,
            points.compute,
            points.error,
            rule=s.rule,
            draws=s.draws,
            seed=s.seed,
            resampling=resampling,
            by_seed=points.by_seed,
        )

    drawn = draw(s.resampling)
    return drawn if drawn.usable else draw("residuals")


def _without_largest(
    compute: Floats, error: Floats, form: Form, settings: StudySettings
) -> Law | None:
    """The law of the frontier [n] but for its last point, which then is a prediction."""
    s = settings
    if not enough_points(len(compute) - 1, form):
        return None
    x, y = compute[:-1], error[:-1]
    return fit_law(x, y, form=form, objective=s.objective, bounds=s.bounds).law


def _form(setting: FormSetting, choice: FormChoice | None) -> Form:
    """The form to fit. Raises InputError where it is to be chosen and nothing tells."""
    if setting != "auto":
        return setting
    if choice is None:
        raise InputError(
            "no form of the law can be chosen: too few runs are on the frontier to hold any out, "
            "and too few for an AICc",
            hint="--form power or --form floor fits one all the same",
        )
    return choice.form


def _efficiencies(points: Points, settings: StudySettings) -> tuple[SampleEfficiency, ...]:
    if points.model is None:
        return ()
    return sample_efficiencies(
        points,
        pairs=settings.pairs,
        draws=max(100, settings.draws // 4),
        seed=settings.seed,
        level=settings.level,
        noise=settings.noise,
    )


def _enough(n: int, total: int, *, form: Form) -> None:
    if enough_points(n, form):
        return
    possible = [other for other in FREE if enough_points(n, other)]
    raise InputError(
        f"{n} of {total} runs are on the frontier; the form {quoted(form)} has {len(FREE[form])} "
        f"parameters and needs {len(FREE[form]) + 1} points or more",
        hint=f"{' or '.join('--form ' + other for other in possible)} can be fitted to so few"
        if possible
        else "no form can be fitted to so few points; add runs at other compute",
    )
