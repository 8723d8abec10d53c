"""Least squares in error by variable projection: a search over (b, d) only.

Given b and d the law a (C + d)^-b + c is linear in a and c, so their best values are a small linear
problem with bounds, solved exactly. What is left is a search in two dimensions (Golub and Pereyra
1973), by Levenberg-Marquardt with Kaufman's Jacobian (1975): the derivatives by b and d, less what
a and c can take up. A search in all four would follow a valley in which a and c trade against b,
thousands of times longer than it is wide.

Compute enters through log(C + d) less its mean, so its unit does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from vitctl.scaling.laws import Floats

_MAX_STEPS = 300
_COST_TOLERANCE = 1e-13  # relative; two orders above what float64 resolves in a sum of squares
_EXACT = 1e-29  # of the sum of squares of the errors: no residual is left but rounding
_MAX_DAMPING = 1e10
_MAX_EXPONENT = 150.0  # of an amplitude or a basis: the square of their product is still finite
_TINY = 1e-300


@dataclass(frozen=True)
class _Problem:
    """A batch of tables [batch, n]; `middle` [batch] is the mean of log C, `bounds` lower and upper
    [2, batch, 4] of (log a, b, c, d)."""

    compute: Floats
    error: Floats
    weight: Floats
    middle: Floats
    bounds: Floats

    def take(self, index: np.ndarray) -> _Problem:
        return _Problem(
            self.compute[index],
            self.error[index],
            self.weight[index],
            self.middle[index],
            self.bounds[:, index],
        )


@dataclass(frozen=True)
class _Projected:
    """What (b, d) come to: the best amplitude (a at the middle of compute) and floor [batch],
    whether each is inside its bounds, the residuals [batch, n], the basis that the amplitude
    multiplies, log(C + d) less the middle, and half the sum of squares [batch]."""

    amplitude: Floats
    floor: Floats
    inner_amplitude: np.ndarray
    inner_floor: np.ndarray
    residual: Floats
    basis: Floats
    log_shifted: Floats
    cost: Floats

    def take(self, index: np.ndarray) -> _Projected:
        return _Projected(*(getattr(self, one.name)[index] for one in fields(self)))

    def put(self, index: np.ndarray, other: _Projected) -> None:
        for one in fields(self):
            getattr(self, one.name)[index] = getattr(other, one.name)


def search(
    compute: Floats, error: Floats, weight: Floats, initial: Floats, lower: Floats, upper: Floats
) -> tuple[Floats, np.ndarray]:
    """theta [batch, 4] = (log a, b, c, d) of the least squares, and which problems converged.

    Shapes: compute, error, weight [batch, n]; start, lower, upper [batch, 4]. Of the start only b
    and d matter.
    """
    total = np.maximum(weight.sum(1), _TINY)
    middle = np.sum(weight * np.log(compute), axis=1) / total
    problem = _Problem(compute, error, weight, middle, np.stack([lower, upper]))
    low, high = lower[:, [1, 3]], upper[:, [1, 3]]
    shape = np.clip(initial[:, [1, 3]], low, high)  # (b, d)
    at = _project(problem, shape)
    damping = np.full(len(initial), 1e-3)
    least = _EXACT * np.sum(weight * error**2, axis=1)
    running = np.ones(len(initial), bool)
    for _ in range(_MAX_STEPS):
        i = np.flatnonzero(running)
        if not len(i):
            break
        part = problem.take(i)
        step, promised = _step(part, at.take(i), shape[i], low[i], high[i], damping[i])
        trial = np.clip(shape[i] + step, low[i], high[i])
        tried = _project(part, trial)
        better = tried.cost < at.cost[i]
        gain = np.where(better, at.cost[i] - tried.cost, promised)
        settled = (gain <= _COST_TOLERANCE * at.cost[i]) | (at.cost[i] <= least[i])
        shape[i[better]] = trial[better]
        at.put(i[better], tried.take(better))
        damping[i] = np.where(better, np.maximum(damping[i] * 0.3, 1e-12), damping[i] * 4.0)
        # Where no smaller step helps either, this is the minimum to the precision of float64.
        running[i] = ~(settled | (damping[i] > _MAX_DAMPING))
    log_a = np.log(np.maximum(at.amplitude, _TINY)) + shape[:, 0] * middle
    theta = np.stack([log_a, shape[:, 0], at.floor, shape[:, 1]], axis=1)
    return np.clip(theta, lower, upper), ~running


def _project(problem: _Problem, shape: Floats) -> _Projected:
    """The best amplitude and floor of each (b, d) within their bounds: of a convex quadratic in a
    box, either the free minimum or the best of the four edges."""
    y, w = problem.error, problem.weight
    b, d = shape[:, :1], shape[:, 1:]
    log_shifted = np.log(problem.compute + d) - problem.middle[:, None]
    basis = np.exp(np.clip(-b * log_shifted, -_MAX_EXPONENT, _MAX_EXPONENT))
    exponent = problem.bounds[:, :, 0] - shape[:, 0] * problem.middle
    low_a, high_a = np.exp(np.clip(exponent, -_MAX_EXPONENT, _MAX_EXPONENT))
    low_c, high_c = problem.bounds[:, :, 2]

    total = np.maximum(w.sum(1), _TINY)
    mean_y, mean_basis = (np.sum(w * x, axis=1) / total for x in (y, basis))
    off_basis, off_y = basis - mean_basis[:, None], y - mean_y[:, None]
    free_a = np.sum(w * off_basis * off_y, axis=1) / np.maximum(
        np.sum(w * off_basis**2, axis=1), _TINY
    )
    free_c = mean_y - free_a * mean_basis
    inside_a = (free_a > low_a) & (free_a < high_a)
    inside = inside_a & (free_c > low_c) & (free_c < high_c)

    amplitude, floor = free_a, free_c
    if len(edge := np.flatnonzero(~inside)):
        on = (edge, slice(None))
        amplitude[edge], floor[edge] = _best_edge(
            basis[on], y[on], w[on], low_a[edge], high_a[edge], low_c[edge], high_c[edge]
        )
    residual = amplitude[:, None] * basis + floor[:, None] - y
    return _Projected(
        amplitude=amplitude,
        floor=floor,
        inner_amplitude=(amplitude > low_a) & (amplitude < high_a),
        inner_floor=(floor > low_c) & (floor < high_c),
        residual=residual,
        basis=basis,
        log_shifted=log_shifted,
        cost=0.5 * np.sum(w * residual**2, axis=1),
    )


def _best_edge(
    basis: Floats,
    y: Floats,
    w: Floats,
    low_a: Floats,
    high_a: Floats,
    low_c: Floats,
    high_c: Floats,
) -> tuple[Floats, Floats]:
    """Amplitude and floor [batch] of the lowest cost on the edges of their box."""
    total = np.maximum(w.sum(1), _TINY)
    mean_y, mean_basis = (np.sum(w * x, axis=1) / total for x in (y, basis))
    squares = np.maximum(np.sum(w * basis**2, axis=1), _TINY)

    def best_a(c: Floats) -> Floats:
        return np.clip(np.sum(w * basis * (y - c[:, None]), axis=1) / squares, low_a, high_a)

    def best_c(a: Floats) -> Floats:
        return np.clip(mean_y - a * mean_basis, low_c, high_c)

    top = np.minimum(high_c, np.maximum(low_c, y.max(1)))
    amplitude = np.stack([best_a(low_c), best_a(top), low_a, high_a])
    # A ceiling of c may be infinite; all y lie below the one that stands for it.
    floor = np.stack([low_c, top, best_c(low_a), best_c(high_a)])
    cost = np.sum(w * (amplitude[..., None] * basis + floor[..., None] - y) ** 2, axis=-1)
    chosen, every = np.argmin(cost, axis=0), np.arange(len(y))
    return amplitude[chosen, every], floor[chosen, every]


def _step(
    problem: _Problem,
    at: _Projected,
    shape: Floats,
    low: Floats,
    high: Floats,
    damping: Floats,
) -> tuple[Floats, Floats]:
    """One damped step [batch, 2] in (b, d) from `shape`, where the projection is `at`; and by how
    much the undamped one would lower the cost [batch], if the residuals were linear."""
    root = np.sqrt(problem.weight)
    excess = at.amplitude[:, None] * at.basis
    # An amplitude on its bound is a bound of a itself, which moves with b away from the middle.
    lever = np.where(at.inner_amplitude, 0.0, problem.middle)[:, None]
    by_b = -root * excess * (at.log_shifted + lever)
    by_d = -root * shape[:, :1] * excess / (problem.compute + shape[:, 1:])
    for axis in _linear_axes(root, at):
        by_b -= axis * _dot(axis, by_b)[:, None]
        by_d -= axis * _dot(axis, by_d)[:, None]
    residual = root * at.residual
    gradient = np.stack([_dot(by_b, residual), _dot(by_d, residual)], axis=1)
    diagonal = np.stack([_dot(by_b, by_b), _dot(by_d, by_d)], axis=1)

    blocked = ((shape <= low) & (gradient > 0)) | ((shape >= high) & (gradient < 0))
    free = (high > low) & ~blocked
    scale = np.where(free & (diagonal > 0), np.sqrt(np.maximum(diagonal, _TINY)), 1.0)
    gradient = np.where(free, gradient, 0.0) / scale
    off = np.where(free.all(1), _dot(by_b, by_d) / (scale[:, 0] * scale[:, 1]), 0.0)
    along = 1.0 + damping
    # The inverse of [[along, off], [off, along]], with |off| at most 1.
    turned = along[:, None] * gradient - off[:, None] * gradient[:, ::-1]
    step = -turned / (along**2 - off**2)[:, None] / scale
    with np.errstate(over="ignore", invalid="ignore"):
        newton = np.sum(gradient**2, axis=1) - 2 * off * gradient[:, 0] * gradient[:, 1]
        promised = 0.5 * newton / np.maximum(1.0 - off**2, _TINY)
    return np.where(free & np.isfinite(step), step, 0.0), promised


def _linear_axes(root: Floats, at: _Projected) -> tuple[Floats, Floats]:
    """Orthonormal directions [batch, n] along which the floor and the amplitude move the law,
    weighted; zero where one rests on its bound."""
    floor = root / np.sqrt(np.maximum(_dot(root, root), _TINY))[:, None]
    floor = np.where(at.inner_floor[:, None], floor, 0.0)
    amplitude = root * at.basis
    amplitude -= floor * _dot(floor, amplitude)[:, None]
    amplitude /= np.sqrt(np.maximum(_dot(amplitude, amplitude), _TINY))[:, None]
    return floor, np.where(at.inner_amplitude[:, None], amplitude, 0.0)


def _dot(x: Floats, y: Floats) -> Floats:
    """Products of rows: [batch] of two [batch, n]."""
    out: Floats = np.einsum("kn,kn->k", x, y)
    return out
