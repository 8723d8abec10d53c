"""The form of the law that predicts best: fitted to the cheap runs, scored on the others.

A spare parameter always fits the runs at hand better, and a missing one bends the law where nobody
looks; the runs that a fit has not seen tell which. How sure the choice is, drawn tables tell: in
how many of them each form predicts best.

Forms within a thousandth of each other predict the same, as those do whose spare parameter rests at
zero; of such the one with the fewest parameters counts as the better one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vitctl.scaling.bootstrap import DrawnTables, blocks, draw_tables, refit_each
from vitctl.scaling.compare import ComparedForm, Extrapolation
from vitctl.scaling.fit import enough_points
from vitctl.scaling.frontier import frontier_masks
from vitctl.scaling.laws import Floats, predict
from vitctl.scaling.names import FREE, Form, FormEvidence, FrontierRule

_SAME = 1e-3  # relative difference of errors that is none


@dataclass(frozen=True)
class FormScore:
    """A form's root mean square error over `predicted` points of all extrapolations together, and
    the share of drawn tables in which it predicts best, None if too few could be fitted."""

    form: Form
    rmse: float
    predicted: int
    wins: float | None = None


@dataclass(frozen=True)
class FormChoice:
    """The chosen form, and by what."""

    form: Form
    by: FormEvidence


def scores(extrapolations: Sequence[Extrapolation]) -> tuple[FormScore, ...]:
    """Every form's score on the same runs, the best first.

    Extrapolations from too few runs for some form are left out, unless no other is there: then the
    forms that all of them allow are scored.
    """
    scored = _scored(extrapolations)
    total = sum(one.predicted for one in scored)
    out = []
    for form in FREE if scored else ():
        squares = [
            one.predicted * forecast.rmse**2
            for one in scored
            for forecast in one.forecasts
            if forecast.form == form and forecast.rmse is not None
        ]
        if len(squares) == len(scored):
            out.append(FormScore(form=form, rmse=math.sqrt(sum(squares) / total), predicted=total))
    return tuple(_ranked(out))


def _ranked(out: Sequence[FormScore]) -> list[FormScore]:
    """The best first; of those that predict the same, the one with the fewest parameters."""
    left, ranked = sorted(out, key=lambda one: one.rmse), []
    while left:
        same = [one for one in left if one.rmse <= (1 + _SAME) * left[0].rmse]
        ranked += sorted(same, key=lambda one: (len(FREE[one.form]), list(FREE).index(one.form)))
        left = left[len(same) :]
    return ranked


def choose(
    held_out: Sequence[FormScore], variants: Sequence[ComparedForm], *, points: int
) -> FormChoice | None:
    """The form with the best score; without a score, that of the lowest AICc. None where neither is
    known. Forms that a frontier of so many `points` is too small for are left out."""
    able = [one.form for one in held_out if enough_points(points, one.form)]
    if able:
        return FormChoice(able[0], "held-out runs")
    by_aicc = [one.form for one in variants if one.delta_aicc is not None]
    return FormChoice(by_aicc[0], "AICc") if by_aicc else None


def with_wins(
    held_out: Sequence[FormScore],
    extrapolations: Sequence[Extrapolation],
    compute: Floats,
    error: Floats,
    *,
    rule: FrontierRule,
    draws: int,
    seed: int,
    by_seed: Sequence[Floats] | None = None,
) -> tuple[FormScore, ...]:
    """The scores with the share of `draws` drawn tables [n] in which each form predicts best.

    Of a table so small that most drawn ones have too few runs only the seeds are drawn, if some are
    repeated.
    """
    scored = _scored(extrapolations)
    forms = [one.form for one in held_out]
    if len(forms) < 2:
        return tuple(held_out)
    repeated = by_seed is not None and any(len(errors) > 1 for errors in by_seed)
    for drawn_cells in (True, False) if repeated else (True,):
        rng = np.random.default_rng(seed)
        won, usable = np.zeros(len(forms)), 0
        for block in blocks(draws, len(compute)):
            drawn, present = draw_tables(error, draws=block, rng=rng, by_seed=by_seed)
            present = present if drawn_cells else np.ones_like(present)
            rmse = _errors_of_draws(scored, forms, compute, drawn, present, rule=rule)
            usable += rmse.shape[1]
            won += np.bincount(_best(rmse, forms), minlength=len(forms))
        if usable > draws / 2:
            return tuple(
                replace(one, wins=float(share))
                for one, share in zip(held_out, won / usable, strict=True)
            )
    return tuple(held_out)


def _scored(extrapolations: Sequence[Extrapolation]) -> list[Extrapolation]:
    """Those that predict something, by every form if there are such."""
    predicted = [one for one in extrapolations if one.predicted]
    whole = [one for one in predicted if all(f.rmse is not None for f in one.forecasts)]
    return whole or predicted


def _errors_of_draws(
    folds: Sequence[Extrapolation],
    forms: Sequence[Form],
    compute: Floats,
    error: Floats,
    present: np.ndarray,
    *,
    rule: FrontierRule,
) -> Floats:
    """Root mean square errors [forms, usable] over all folds, of those of the drawn tables [draws,
    n] that have runs enough on both sides of each."""
    whole = frontier_masks(compute, error, present, rule=rule)
    early = [
        frontier_masks(compute, error, present & (compute <= fold.below), rule=rule)
        for fold in folds
    ]
    late = [whole & (compute > fold.below) for fold in folds]
    needed = max(len(FREE[form]) for form in forms) + 1
    usable = np.all(
        [(e.sum(1) >= needed) & x.any(1) for e, x in zip(early, late, strict=True)], axis=0
    )
    error = error[usable]
    tasks: list[tuple[int, Form, DrawnTables]] = []
    for i, fold in enumerate(folds):
        known = compute <= fold.below
        weight = early[i][usable][:, known].astype(np.float64)
        tasks += [
            (i, one.form, DrawnTables(one.fit, compute[known], error[:, known], weight))
            for one in fold.forecasts
            if one.form in forms and one.fit is not None
        ]
    squares = np.zeros((len(forms), len(error)))
    for (i, form, task), theta in zip(tasks, refit_each([task for *_, task in tasks]), strict=True):
        off = predict(theta, compute / task.fit.unit) - error
        squares[forms.index(form)] += np.sum(late[i][usable] * off**2, axis=1)
    count = np.sum([x[usable].sum(1) for x in late], axis=0)
    out: Floats = np.sqrt(squares / np.maximum(count, 1))
    return out


def _best(rmse: Floats, forms: Sequence[Form]) -> np.ndarray:
    """The number of the best form [draws] by errors [forms, draws]; of equals, the simplest."""
    same = rmse <= (1 + _SAME) * rmse.min(0, initial=np.inf)
    size = np.array([len(FREE[form]) for form in forms])[:, None]
    return np.argmin(np.where(same, size, len(FREE["saturating"]) + 1), axis=0)
