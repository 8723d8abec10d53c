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
from dataclasses import dataclass

import numpy as np

from vitctl.scaling.bootstrap import blocks, draw_tables, refit
from vitctl.scaling.compare import ComparedForm, Extrapolation
from vitctl.scaling.fit import enough_points
from vitctl.scaling.frontier import frontier_masks
from vitctl.scaling.laws import FREE, Floats, predict
from vitctl.scaling.names import Form, FormEvidence, FrontierRule

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
    """The scores with the share of `draws` drawn tables [n] in which each form predicts best."""
    scored = _scored(extrapolations)
    forms = [one.form for one in held_out]
    rng = np.random.default_rng(seed)
    won, usable = np.zeros(len(forms)), 0
    for block in blocks(draws, len(compute)) if len(forms) > 1 else ():
        drawn, present = draw_tables(error, draws=block, rng=rng, by_seed=by_seed)
        whole = frontier_masks(compute, drawn, present, rule=rule)
        squares, count = np.zeros((len(forms), block)), np.zeros(block)
        good = np.ones(block, bool)
        for fold in scored:
            known = compute <= fold.below
            early = frontier_masks(compute, drawn, present & known, rule=rule).astype(np.float64)
            late = whole & ~known
            fits = [one.fit for one in fold.forecasts if one.form in forms]
            needed = max(len(FREE[form]) for form in forms) + 1
            good &= (early.sum(1) >= needed) & late.any(1)
            count += late.sum(1)
            for fit in fits:
                assert fit is not None
                theta = refit(fit, compute[known], drawn[good][:, known], early[good][:, known])
                off = predict(theta, compute / fit.unit) - drawn[good]
                squares[forms.index(fit.form), good] += np.sum(late[good] * off**2, axis=1)
        rmse = np.sqrt(squares[:, good] / np.maximum(count[good], 1))
        usable += int(good.sum())
        won += np.bincount(_best(rmse, forms), minlength=len(forms))
    if usable <= draws / 2:
        return tuple(held_out)
    return tuple(
        FormScore(one.form, one.rmse, one.predicted, float(share))
        for one, share in zip(held_out, won / usable, strict=True)
    )


def _scored(extrapolations: Sequence[Extrapolation]) -> list[Extrapolation]:
    """Those that predict something, by every form if there are such."""
    predicted = [one for one in extrapolations if one.predicted]
    whole = [one for one in predicted if all(f.rmse is not None for f in one.forecasts)]
    return whole or predicted


def _best(rmse: Floats, forms: Sequence[Form]) -> np.ndarray:
    """The number of the best form [draws] by errors [forms, draws]; of equals, the simplest."""
    same = rmse <= (1 + _SAME) * rmse.min(0, initial=np.inf)
    size = np.array([len(FREE[form]) for form in forms])[:, None]
    return np.argmin(np.where(same, size, len(FREE["saturating"]) + 1), axis=0)
