"""The law and its simpler relatives: error as a function of compute.

The paper's form (section 2.2) is E = a (C + d)^-b + c: a power law that bends at both ends. `c` is
the error that no compute removes, `d` the compute that a run of no compute seems to have had (a
model that saw nothing is still right now and then). Leaving out one or both gives the variants:

    saturating   a (C + d)^-b + c     bends at both ends
    floor        a C^-b + c           bends at the high end only
    shift        a (C + d)^-b         bends at the low end only
    power        a C^-b               a straight line in log-log

Of an error rate the floor c is at most 1 (`CEILING`). A loss has no such ceiling: then `saturating`
is the law that studies of losses use with d added, and `floor` is theirs (L_inf + (C_0 / C)^b;
Henighan et al. 2020, arXiv 2010.14701).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitctl.scaling.names import Measure, Parameter

Floats = NDArray[np.float64]

PARAMETERS: tuple[Parameter, ...] = ("a", "b", "c", "d")
CEILING: dict[Measure, float | None] = {"error": 1.0, "loss": None}
"""The largest value there can be: of an error rate 1, of a loss none."""
SMALLEST_ERROR = 1e-9
"""Of a drawn error, so that it stays positive and its logarithm exists."""
_MAX_EXPONENT = 300.0  # e^300: far past any error, short of overflow
_LARGEST_LOG = 700.0  # e^700 is still a number


@dataclass(frozen=True)
class Law:
    """E = a (C + d)^-b + c, `E` a fraction in 0..1 or a loss, `C` in the table's unit."""

    a: float
    b: float
    c: float = 0.0
    d: float = 0.0

    def error(self, compute: Floats | float) -> Floats:
        """Predicted error at each compute."""
        return self.a * (np.asarray(compute, np.float64) + self.d) ** -self.b + self.c

    def compute(self, error: float) -> float | None:
        """Compute at which the law reaches `error`; None where it never does.

        Never: at or below the floor `c`, or above the error at zero compute.
        """
        if error <= self.c or self.b <= 0:
            return None
        log_compute = (np.log(self.a) - np.log(error - self.c)) / self.b
        compute = float(np.exp(min(log_compute, _MAX_EXPONENT))) - self.d
        return compute if compute > 0 else None

    def theta(self) -> Floats:
        """The parameters as the solver has them: (log a, b, c, d)."""
        return np.array([np.log(self.a), self.b, self.c, self.d])

    @staticmethod
    def from_theta(theta: Floats, *, unit: float = 1.0) -> Law:
        """The law of parameters (log a, b, c, d) of compute divided by `unit`."""
        log_a, b, c, d = (float(value) for value in in_unit(theta, 1 / unit))
        return Law(a=amplitude(log_a), b=b, c=c, d=d)

    def rounded(self, decimals: int) -> Law:
        """The law as a figure prints it."""
        return Law(*(round(value, decimals) for value in (self.a, self.b, self.c, self.d)))

    def rounding(self, compute: float, *, decimals: int) -> float:
        """How far rounding each coefficient to `decimals` can move the error at `compute`.

        First order, all four roundings pulling the same way: half a unit of the last decimal times
        the sum of the absolute partial derivatives.
        """
        theta = self.theta()
        gradient = jacobian(theta, np.array([compute]))[0]
        gradient[0] /= self.a  # the solver's parameter is log a
        return float(np.abs(gradient).sum() * 0.5 * 10.0**-decimals)


def amplitude(log_a: float) -> float:
    """e^log_a, kept a number: with compute of 1e49 and an exponent of 5 it nearly isn't one."""
    return float(np.exp(np.clip(log_a, -_LARGEST_LOG, _LARGEST_LOG)))


def in_unit(theta: Floats, unit: float) -> Floats:
    """theta [..., 4] of compute in the user's unit -> of compute divided by `unit`.

    a (C + d)^-b = (a u^-b) (C/u + d/u)^-b.
    """
    out = np.array(theta, np.float64)
    out[..., 0] -= out[..., 1] * np.log(unit)
    out[..., 3] /= unit
    return out


def predict(theta: Floats, compute: Floats) -> Floats:
    """Errors [..., n] of parameters [..., 4] = (log a, b, c, d) at compute [n] or [..., n]."""
    excess, _ = _excess(theta, compute)
    return excess + theta[..., 2, None]


def jacobian(theta: Floats, compute: Floats) -> Floats:
    """Derivatives [..., n, 4] of `predict` by (log a, b, c, d)."""
    return predict_and_jacobian(theta, compute)[1]


def predict_and_jacobian(theta: Floats, compute: Floats) -> tuple[Floats, Floats]:
    """Both at once, [..., n] and [..., n, 4], for the cost of one."""
    excess, log_shifted = _excess(theta, compute)
    slope = np.empty((*excess.shape, 4))
    slope[..., 0] = excess
    slope[..., 1] = -excess * log_shifted
    slope[..., 2] = 1.0
    slope[..., 3] = -theta[..., 1, None] * excess / (compute + theta[..., 3, None])
    return excess + theta[..., 2, None], slope


def _excess(theta: Floats, compute: Floats) -> tuple[Floats, Floats]:
    """a (C + d)^-b and log(C + d), both [..., n]."""
    log_shifted = np.log(compute + theta[..., 3, None])
    exponent = theta[..., 0, None] - theta[..., 1, None] * log_shifted
    return np.exp(np.clip(exponent, -_MAX_EXPONENT, _MAX_EXPONENT)), log_shifted
