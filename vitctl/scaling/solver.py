"""Many bounded fits of the law at once.

Every part of the study is many fits: many starts, a thousand bootstrap tables, a profile
along each parameter. So the solver takes a batch of problems, each with its own points, start and
bounds. A weight of zero leaves a point out, equal bounds hold a parameter fixed.

Plain least squares in error go by variable projection, a search over (b, d). In log error, or with
Huber's function, a and c are not linear and all four are searched, by Levenberg-Marquardt.

Cost: half the weighted sum of rho(r^2), r = E_law - E or log E_law - log E, and rho the identity or
Huber's function (Huber 1964): quadratic up to `huber`, linear past it. Bounds are kept by
projection: a parameter on its bound, with the descent pointing outward, sits out the step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vitctl.scaling.laws import Floats, predict, predict_and_jacobian
from vitctl.scaling.names import Space
from vitctl.scaling.projection import search

_MAX_STEPS = 300
_COST_TOLERANCE = 1e-13  # relative; two orders above what float64 resolves in a sum of squares
_MAX_DAMPING = 1e10
_TINY = 1e-300


@dataclass(frozen=True)
class Objective:
    """What is minimised: squares in error or in log error; `huber` in the same unit, or None."""

    space: Space = "error"
    huber: float | None = None


LEAST_SQUARES = Objective()


@dataclass(frozen=True)
class Solution:
    """theta [batch, 4] = (log a, b, c, d), its cost [batch], and which problems converged."""

    theta: Floats
    cost: Floats
    converged: np.ndarray


def residuals(theta: Floats, compute: Floats, error: Floats, *, objective: Objective) -> Floats:
    """Law minus measurement [..., n], in the objective's space. NaN-free for errors above 0."""
    return _missed(predict(theta, compute), error, objective)


def _missed(predicted: Floats, error: Floats, objective: Objective) -> Floats:
    if objective.space == "log":
        return np.log(np.maximum(predicted, _TINY)) - np.log(error)
    return predicted - error


def cost(
    theta: Floats, compute: Floats, error: Floats, weight: Floats, *, objective: Objective
) -> Floats:
    """Half the weighted sum of rho over the points: [...] from theta [..., 4]."""
    r = residuals(theta, compute, error, objective=objective)
    return 0.5 * np.sum(weight * _rho(r, objective.huber), axis=-1)


def solve(
    compute: Floats,
    error: Floats,
    *,
    weight: Floats,
    initial: Floats,
    lower: Floats,
    upper: Floats,
    objective: Objective,
) -> Solution:
    """Minimise each problem of the batch from its start.

    Shapes: compute, error and weight [n] or [batch, n]; start [batch, 4]; bounds [4] or [batch, 4].
    Every problem ends on a cost no higher than its start's.
    """
    batch, n = len(initial), compute.shape[-1]
    compute = np.broadcast_to(compute, (batch, n))
    error, weight = np.broadcast_to(error, (batch, n)), np.broadcast_to(weight, (batch, n))
    lower, upper = np.broadcast_to(lower, (batch, 4)), np.broadcast_to(upper, (batch, 4))
    if objective == LEAST_SQUARES:
        theta, converged = search(compute, error, weight, initial, lower, upper)
        lowest = cost(theta, compute, error, weight, objective=objective)
        return Solution(theta=theta, cost=lowest, converged=converged)
    theta = np.clip(initial, lower, upper)
    value = cost(theta, compute, error, weight, objective=objective)
    damping = np.full(batch, 1e-3)
    running = np.ones(batch, bool)

    for _ in range(_MAX_STEPS):
        i = np.flatnonzero(running)
        if not len(i):
            break
        step = _damped_step(
            theta[i], compute[i], error[i], weight[i], lower[i], upper[i], damping[i], objective
        )
        trial = np.clip(theta[i] + step, lower[i], upper[i])
        trial_value = cost(trial, compute[i], error[i], weight[i], objective=objective)
        better = trial_value < value[i]
        gain = np.where(better, value[i] - trial_value, 0.0)
        settled = better & (gain <= _COST_TOLERANCE * value[i])

        taken = i[better]
        theta[taken], value[taken] = trial[better], trial_value[better]
        damping[i] = np.where(better, np.maximum(damping[i] * 0.3, 1e-12), damping[i] * 4.0)
        # No smaller step helps either: this is the minimum to the precision of float64.
        running[i] = ~(settled | (damping[i] > _MAX_DAMPING))
    return Solution(theta=theta, cost=value, converged=~running)


def _damped_step(
    theta: Floats,
    compute: Floats,
    error: Floats,
    weight: Floats,
    lower: Floats,
    upper: Floats,
    damping: Floats,
    objective: Objective,
) -> Floats:
    """One step [batch, 4]: the damped normal equations over the parameters free to move."""
    predicted, slope = predict_and_jacobian(theta, compute)
    r = _missed(predicted, error, objective)
    if objective.space == "log":
        slope /= np.maximum(predicted, _TINY)[..., None]
    w = weight * _huber_weight(r, objective.huber)
    weighted = np.swapaxes(slope * w[..., None], 1, 2)
    gradient = (weighted @ r[..., None])[..., 0]
    normal = weighted @ slope

    blocked = ((theta <= lower) & (gradient > 0)) | ((theta >= upper) & (gradient < 0))
    free = (upper > lower) & ~blocked
    gradient = np.where(free, gradient, 0.0)
    normal = normal * free[:, :, None] * free[:, None, :]
    diagonal = np.einsum("kpp->kp", normal)
    # Marquardt's scaling makes the step independent of the units of compute.
    scale = np.where(free, np.sqrt(np.maximum(diagonal, _TINY)), 1.0)
    scaled = normal / (scale[:, :, None] * scale[:, None, :])
    damped = scaled + np.where(free, damping[:, None], 1.0)[:, :, None] * np.eye(4)
    step = -np.linalg.solve(damped, (gradient / scale)[..., None])[..., 0] / scale
    return np.where(free & np.isfinite(step), step, 0.0)


def _rho(r: Floats, huber: float | None) -> Floats:
    if huber is None:
        return r**2
    size = np.abs(r)
    return np.where(size <= huber, r**2, 2 * huber * size - huber**2)


def _huber_weight(r: Floats, huber: float | None) -> Floats:
    if huber is None:
        return np.ones_like(r)
    return huber / np.maximum(np.abs(r), huber)
