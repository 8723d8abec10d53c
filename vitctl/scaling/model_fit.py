"""The laws of single models (`vitctl.scaling.model_law`), fitted to their runs.

Fitted to the best error up to each length on each training set, since a run that overfits can be
ended early: where longer runs do worse, the best one before stands for them, too, and after how
many epochs that was is said beside the law (`ModelLaw.overfits`). Given b, d and r the law is
linear in a and c, so (b, d, r) are searched on a grid that is refined about its best, and hundreds
of drawn tables cost one product of matrices. There is no start to choose and no minimum to be
caught in.

What a model's runs do not determine is not fitted. Without runs that repeat their data on several
sets r, and the epochs after which it overfits, are the least of the other models, since large
models are the first to suffer from repeats; with few runs d is 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vitctl.scaling.laws import Floats, Law
from vitctl.scaling.model_law import DrawnLaws, ModelLaw
from vitctl.scaling.points import Points
from vitctl.scaling.repeats import share

LEAST_RUNS = 4
"""Runs of different lengths that a law takes: a, b, c and one to spare."""
_LEAST_FOR_SHIFT = 6
_REPEATED = 1.5  # epochs from which a run says something of repetition
_LEAST_REPEATED = 3
_WORSE = 2.0  # standard deviations by which the last run is worse than the best, if they overfit

_B = np.geomspace(0.03, 3.0, 32)
_D = np.concatenate(
    [[0.0], np.geomspace(0.03, 10.0, 11)]
)  # in units of the fewest images that count
_R = np.concatenate([np.geomspace(0.5, 1e3, 15), [math.inf]])
_ZOOMS = 7  # each halves the steps of the grid
_SHORT = 1 / 3  # of the longest run: up to here laws are fitted that foretell the rest


def model_laws(points: Points, *, draws: int, seed: int) -> dict[str, ModelLaw]:
    """The law of every model of `points` (with models, images and data sizes) whose runs have
    enough lengths, by rising cost of an image."""
    tables = _tables(points)
    spawned = np.random.SeedSequence(seed).spawn(len(points.models))
    streams = dict(zip(points.models, spawned, strict=True))
    telling = [name for name, table in tables.items() if table.tells_repeats]
    laws = {
        name: _fitted(tables[name], draws=draws, rng=np.random.default_rng(streams[name]))
        for name in telling or tables
    }
    if telling:
        least = min(law.worth for law in laws.values())
        worths = np.min([law.drawn.r for law in laws.values()], axis=0)
        overfits = tuple(row for law in laws.values() for row in law.overfits)
        for name in tables.keys() - laws.keys():
            rng = np.random.default_rng(seed)
            law = _fitted(tables[name], draws=draws, rng=rng, worth=(least, worths))
            laws[name] = replace(law, overfits=law.overfits or overfits)
    return {name: laws[name] for name in tables}


def models_with_laws(points: Points) -> tuple[str, ...]:
    """The models to which `model_laws` would fit one, by rising cost of an image."""
    return tuple(_tables(points))


def foretold(points: Points) -> float | None:
    """How far off laws are that were fitted to the shorter runs of each model, on its longer ones,
    up to three times as long as any of those: a root mean square. None without such runs."""
    assert points.images is not None
    missed: list[float] = []
    for name, whole in _tables(points).items():
        longest = float(whole.images.max())
        shorter = _table(points, name, among=points.images <= _SHORT * longest)
        if shorter is None:
            continue
        law = _fitted(shorter, draws=2, rng=np.random.default_rng(0))
        missed += [
            law.error(images, examples=examples) - error
            for images, examples, error in zip(whole.images, whole.sizes, whole.error, strict=True)
            if images > _SHORT * longest
        ]
    return math.sqrt(float(np.mean(np.square(missed)))) if missed else None


# ---- One model


@dataclass(frozen=True)
class _Runs:
    """A model's runs by training set and length: images seen, images in the training set, error,
    and the least error up to that length on that set [n]."""

    model: str
    images: Floats
    sizes: Floats
    raw: Floats
    error: Floats

    @property
    def tells_repeats(self) -> bool:
        """Whether they show what a repeated image is worth: some repeat, on unequal sets."""
        several = np.sum(self.images / self.sizes > _REPEATED) >= _LEAST_REPEATED
        return bool(several) and len(np.unique(self.sizes)) > 1 and len(self.images) >= 7


def _tables(points: Points) -> dict[str, _Runs]:
    """The runs of every model that has enough lengths for a law."""
    tables = {name: _table(points, name) for name in points.models}
    return {name: table for name, table in tables.items() if table is not None}


def _table(points: Points, model: str, *, among: np.ndarray | None = None) -> _Runs | None:
    """The runs of a model, each with the least error of those on the same training set that are no
    longer; None if they are too few lengths for a law."""
    assert points.images is not None
    assert points.data_size is not None
    assert points.model is not None
    own = np.flatnonzero((points.model == model) & (True if among is None else among))
    if len(np.unique(points.images[own])) < LEAST_RUNS:
        return None
    order: list[np.ndarray] = []
    errors: list[Floats] = []
    for size in np.unique(points.data_size[own]):
        here = own[points.data_size[own] == size]
        here = here[np.lexsort((points.error[here], points.images[here]))]
        order.append(here)
        errors.append(np.minimum.accumulate(points.error[here]))
    index = np.concatenate(order)
    return _Runs(
        model,
        points.images[index],
        points.data_size[index],
        points.error[index],
        np.concatenate(errors),
    )


def _overfits(table: _Runs, *, scatter: float) -> tuple[tuple[float, float], ...]:
    """The sets on which the last run is clearly worse than the best, and the epochs of that."""
    rows = []
    for size in np.unique(table.sizes):
        own = table.sizes == size
        errors, epochs = table.raw[own], table.images[own] / size
        best = int(np.argmin(errors))
        if errors[-1] - errors[best] > _WORSE * scatter:
            rows.append((float(size), float(epochs[best])))
    return tuple(rows)


def _fitted(
    table: _Runs,
    *,
    draws: int,
    rng: np.random.Generator,
    worth: tuple[float, Floats] | None = None,
) -> ModelLaw:
    """The law of a table, and of `draws` drawn from it: the law with noise about it, whose size is
    drawn, too (sigma^2 freedom / chi^2), so that few runs make wide intervals."""
    determined = worth is None and table.tells_repeats
    shifted = len(table.images) >= _LEAST_FOR_SHIFT
    d = _D if shifted else _D[:1]
    r = _R if determined else np.array([math.inf if worth is None else worth[0]])
    unit = math.exp(float(np.mean(np.log(table.images))))
    best = _point(table, _B, d, r, unit=unit)
    free = 3 + shifted + determined
    freedom = max(1, len(table.images) - free)
    scatter = math.sqrt(max(best.cost, 0.0) / freedom)
    expected = best.a * (_new(table, best.r, unit) + best.d) ** -best.b + best.c
    sigma = scatter * np.sqrt(freedom / rng.chisquare(freedom, draws))
    errors = expected + sigma[:, None] * rng.standard_normal((draws, len(expected)))
    drawn = _many(table, errors, _B, d, r, unit=unit)
    if worth is not None:
        drawn = replace(drawn, r=np.resize(worth[1], draws))
    return ModelLaw(
        model=table.model,
        law=Law(a=best.a * unit**best.b, b=best.b, c=best.c, d=best.d * unit),
        worth=best.r,
        determined=determined,
        runs=len(table.images),
        scatter=scatter,
        shortest=float(table.images.min()),
        longest=float(table.images.max()),
        fewest=float(_new(table, best.r, 1.0).min()),
        smallest=float(table.sizes.min()),
        largest=float(table.sizes.max()),
        most_epochs=float((table.images / table.sizes).max()),
        overfits=_overfits(table, scatter=scatter),
        drawn=replace(drawn, sigma=sigma),
    )


# ---- The search


@dataclass(frozen=True)
class _Point:
    a: float
    b: float
    c: float
    d: float
    r: float
    cost: float


def _new(table: _Runs, worth: float, unit: float) -> Floats:
    """Images that count [n], over the unit."""
    return table.images * share(table.images / table.sizes, worth) / unit


def _basis(new: Floats, b: Floats, d: Floats) -> tuple[Floats, Floats, Floats]:
    """(new + d)^-b [g, n] of every pair of b and d, and the pairs [g]; d is in units of the fewest
    images that count."""
    pairs_b, pairs_d = (grid.ravel() for grid in np.meshgrid(b, d * float(new.min())))
    return (new + pairs_d[:, None]) ** -pairs_b[:, None], pairs_b, pairs_d


def _linear(basis: Floats, error: Floats) -> tuple[Floats, Floats, Floats]:
    """The best a >= 0 and c in 0..1 [g, k] of errors [k, n], and the sums of squares left."""
    n = basis.shape[1]
    one, two = basis.sum(1)[:, None], (basis**2).sum(1)[:, None]
    # About the mean, so that nothing small is left of a difference of large numbers.
    mean = error.mean(1)
    centred = error - mean[:, None]
    spread = np.maximum(two - one**2 / n, 1e-12 * two)
    across = basis @ centred.T
    a = np.maximum(across / spread, 0.0)
    c = mean - a * one / n
    inside = (c >= 0) & (c <= 1)
    edge = np.clip(c, 0.0, 1.0)
    a = np.where(inside, a, np.maximum((across + (mean - edge) * one) / two, 0.0))
    left = mean - edge
    squares = (centred**2).sum(1)
    cost = squares + n * left**2 + a**2 * two - 2 * a * (across + left * one)
    return a, edge, cost


def _point(table: _Runs, b: Floats, d: Floats, r: Floats, *, unit: float) -> _Point:
    """The least squares by a grid that closes in on its best."""
    best = _best_of(table, b, d, r, unit=unit)
    step_b = math.log(b[1] / b[0])
    step_d = math.log(d[-1] / d[-2]) if len(d) > 1 else 0.0
    step_r = math.log(r[1] / r[0]) if len(r) > 1 else 0.0
    for _ in range(_ZOOMS):
        smallest = float(_new(table, best.r, unit).min())
        near = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
        around_b = best.b * np.exp(step_b * near)
        own_d = best.d / smallest
        around_d = np.array([0.0]) if not own_d else own_d * np.exp(step_d * near)
        around_r = np.array([best.r])
        if len(r) > 1 and math.isfinite(best.r):
            around_r = best.r * np.exp(step_r * near)
        candidate = _best_of(table, around_b, around_d, around_r, unit=unit)
        best = min(best, candidate, key=lambda point: point.cost)
        step_b, step_d, step_r = step_b / 2, step_d / 2, step_r / 2
    return best


def _best_of(table: _Runs, b: Floats, d: Floats, r: Floats, *, unit: float) -> _Point:
    one = _many(table, table.error[None], b, d, r, unit=unit)
    (a,), (own_b,), (c,), (own_d,), (own_r,), (cost,) = (
        one.a, one.b, one.c, one.d, one.r, one.sigma,
    )  # fmt: skip
    return _Point(float(a), float(own_b), float(c), float(own_d), float(own_r), float(cost))


def _many(
    table: _Runs, errors: Floats, b: Floats, d: Floats, r: Floats, *, unit: float
) -> DrawnLaws:
    """The best point of the grid for each of errors [draws, n]; `sigma` holds the costs."""
    draws = len(errors)
    columns = [np.zeros(draws) for _ in range(5)]
    lowest = np.full(draws, math.inf)
    for worth in r:
        basis, pairs_b, pairs_d = _basis(_new(table, float(worth), unit), b, d)
        slope, floor, cost = _linear(basis, errors)
        at = np.argmin(cost, axis=0)
        here = np.arange(draws)
        better = cost[at, here] < lowest
        lowest = np.where(better, cost[at, here], lowest)
        values: Sequence[Floats] = (
            slope[at, here], pairs_b[at], floor[at, here], pairs_d[at], np.full(draws, worth),
        )  # fmt: skip
        columns = [np.where(better, value, old) for value, old in zip(values, columns, strict=True)]
    a, own_b, c, own_d, own_r = columns
    return DrawnLaws(a=a, b=own_b, c=c, d=own_d, r=own_r, sigma=lowest, unit=unit)
