"""Measured runs as columns, and the tables to which no law can be fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from vitctl.errors import InputError
from vitctl.scaling.laws import CEILING, Floats
from vitctl.scaling.names import Measure
from vitctl.text.quantities import plural


@dataclass(frozen=True)
class Points:
    """Runs by row: compute > 0 in any one unit, error as a fraction in 0..1 or a loss, and what is
    known besides. `row` is the place in the user's table, counted from 1 without the header.

    Of cells of repeated runs `error` is the mean and `by_seed` the errors of each cell's runs."""

    compute: Floats
    error: Floats
    row: np.ndarray
    model: np.ndarray | None = None  # names
    data_size: Floats | None = None  # images in the training set
    images: Floats | None = None  # images seen in training, each epoch counted
    measure: Measure = "error"
    by_seed: tuple[Floats, ...] | None = None

    def __len__(self) -> int:
        return len(self.compute)

    @property
    def models(self) -> list[str]:
        """Model names, the cheapest to run an image through first where images are known, else
        by the table's order."""
        if self.model is None:
            return []
        names = list(dict.fromkeys(self.model.tolist()))
        if self.images is None:
            return names
        return sorted(names, key=lambda name: (self.cost_per_image(name), names.index(name)))

    def cost_per_image(self, model: str) -> float:
        """Compute one training image of a model takes: the median over its runs."""
        assert self.model is not None
        assert self.images is not None
        own = self.model == model
        return float(np.median(self.compute[own] / self.images[own]))


def check(points: Points, *, metric: Literal["error", "accuracy"] = "error") -> None:
    """Raise InputError for points that no law can describe. `metric` is what the user called the
    column, for the hint.

    Checked: positive finite compute, errors in 0..1 (a loss only not below 0), more than one
    compute, and that error falls as compute grows (rank correlation, one-sided at 5 %).
    """
    noun, ceiling = points.measure, CEILING[points.measure]
    compute, error = points.compute, points.error
    _refuse(~np.isfinite(compute), points, "compute is not a number")
    _refuse(~np.isfinite(error), points, f"the {noun} is not a number")
    _refuse(compute <= 0, points, "compute is not positive")
    if ceiling is None:
        _refuse(error < 0, points, f"the {noun} is negative")
    else:
        _refuse((error < 0) | (error > ceiling), points, f"the {noun} is outside 0..{ceiling:g}")
    if (values := len(np.unique(compute))) < 3:
        raise InputError(
            f"no law can be fitted to {plural(len(points), 'run')} at {plural(values, 'value')} "
            "of compute",
            hint="give runs at six or more different values; --where may leave out too many",
        )
    if np.ptp(error) == 0:
        raise InputError(
            f"the curve is flat: every run has {noun} {error[0]:g}, so there is no law to fit",
            hint="the only result is that constant",
        )
    trend, threshold = rank_correlation(compute, error), _significant(len(points))
    if trend >= threshold:
        raise InputError(
            f"the {noun} grows with compute (rank correlation {trend:+.2f}), so no law fits",
            hint="the runs overfit, or the column holds something that grows as models improve"
            if noun == "loss"
            else "is the column an accuracy? then --accuracy COLUMN; if not, the runs overfit"
            if metric == "error"
            else "is the column an error? then --error COLUMN; if not, the runs overfit",
        )
    if trend > -threshold:
        raise InputError(
            f"the {noun} does not fall with compute (rank correlation {trend:+.2f} over "
            f"{len(points)} runs; a trend needs {-threshold:+.2f}): the curve is flat or noise",
            hint="more runs, or runs further apart in compute, may show a trend",
        )


def rank_correlation(x: Floats, y: Floats) -> float:
    """Spearman's: Pearson's correlation of the ranks, ties at their mean rank."""
    a, b = _ranks(x), _ranks(y)
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0


def _ranks(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def _significant(n: int) -> float:
    """The rank correlation that chance passes once in twenty (normal approximation)."""
    return min(1.0, 1.645 / np.sqrt(n - 1))


def _refuse(bad: np.ndarray, points: Points, what: str) -> None:
    if bad.any():
        rows = points.row[bad]
        more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
        raise InputError(
            f"{what} in row {rows[0]}{more}",
            hint="correct the table, or skip such rows with --where",
        )
