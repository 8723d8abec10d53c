"""Repeated runs: several seeds of one cell are one measurement, and give an estimate of its noise.

A running minimum over single runs picks the luckiest seed of each cell. So the runs of a cell are
averaged, and their scatter about the averages is the noise of a run, without any law:
sigma^2 = sum (E - mean)^2 / sum (k - 1) over cells of k runs. An average has sigma / sqrt(k).

A drawn table (`redraw`) takes as many runs of a cell as it has, with replacement. Their mean
scatters by (k - 1) / k of the true variance, which is made up for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vitctl.errors import InputError
from vitctl.scaling.laws import SMALLEST_ERROR, Floats
from vitctl.scaling.points import Points

_ENOUGH = 4  # degrees of freedom from which the noise is believed: to about a third


@dataclass(frozen=True)
class Seeds:
    """Estimates from repeats: `noise` is the standard deviation of one run's error, `noise_of_cell`
    that of an average (root mean square over cells), `freedom` what they are estimated with."""

    runs: int
    cells: int
    noise: float
    noise_of_cell: float
    freedom: int

    @property
    def known(self) -> float | None:
        """The noise of a cell, None with too few repetitions."""
        return self.noise_of_cell if self.freedom >= _ENOUGH and self.noise > 0 else None


def pool(points: Points, seed: np.ndarray) -> tuple[Points, Seeds]:
    """One point a cell, from runs and their seeds [n].

    A cell is a model on a training set for a number of images; where images are unknown, for a
    compute. Its compute is the mean, as a measured one differs between seeds; its row is the first.
    Raises InputError where a cell has a seed twice: then runs differ in something else.
    """
    n = len(points)
    length = points.compute if points.images is None else points.images
    columns = [points.model, points.data_size, length]
    keys = [tuple(c[i] for c in columns if c is not None) for i in range(n)]
    cells: dict[tuple[object, ...], list[int]] = {}
    for i, key in enumerate(keys):
        cells.setdefault(key, []).append(i)
    for rows in cells.values():
        _refuse_twins(points, seed, rows)

    first = np.array([rows[0] for rows in cells.values()])
    count = np.array([len(rows) for rows in cells.values()])
    error = np.array([points.error[rows].mean() for rows in cells.values()])
    compute = np.array([_mean(points.compute[rows]) for rows in cells.values()])
    missed = sum(
        float(np.sum((points.error[r] - points.error[r].mean()) ** 2)) for r in cells.values()
    )
    freedom = n - len(cells)
    noise = float(np.sqrt(missed / freedom)) if freedom else 0.0
    pooled = replace(
        points,
        compute=compute,
        error=np.round(error, 12),
        row=points.row[first],
        model=None if points.model is None else points.model[first],
        data_size=None if points.data_size is None else points.data_size[first],
        images=None if points.images is None else points.images[first],
        by_seed=tuple(points.error[rows] for rows in cells.values()),
    )
    return pooled, Seeds(
        runs=n,
        cells=len(cells),
        noise=noise,
        noise_of_cell=noise * float(np.sqrt(np.mean(1 / count))),
        freedom=freedom,
    )


def redraw(by_seed: Sequence[Floats], *, draws: int, rng: np.random.Generator) -> Floats:
    """Errors [draws, cells] of tables whose cells are averages of drawn seeds.

    Nothing is known of a cell with one run but what the others tell: its error moves by one of
    their residuals.
    """
    out = np.empty((draws, len(by_seed)))
    groups: dict[int, list[int]] = {}
    for i, errors in enumerate(by_seed):
        groups.setdefault(len(errors), []).append(i)
    pooled: list[Floats] = []
    for k, cells in groups.items():
        errors = np.stack([by_seed[i] for i in cells])  # [cells, k]
        mean = errors.mean(1)
        out[:, cells] = mean
        if k > 1:
            widened = (errors - mean[:, None]) * math.sqrt(k / (k - 1))
            picked = rng.integers(0, k, (draws, *errors.shape))
            out[:, cells] += np.take_along_axis(widened[None], picked, axis=2).mean(2)
            pooled.append(widened.ravel())
    alone = groups.get(1, [])
    if alone and pooled:
        out[:, alone] += rng.choice(np.concatenate(pooled), (draws, len(alone)))
    return np.maximum(out, SMALLEST_ERROR)


def _mean(values: Floats) -> float:
    """The mean; of equal values exactly theirs, which runs at equal compute are known by."""
    return float(values[0] if np.ptp(values) == 0 else values.mean())


def _refuse_twins(points: Points, seed: np.ndarray, rows: list[int]) -> None:
    row_of_seed: dict[object, int] = {}
    for i in rows:
        if (before := row_of_seed.setdefault(seed[i], i)) != i:
            raise InputError(
                f"rows {points.row[before]} and {points.row[i]} are the same model, data and "
                f"duration with the same seed ({seed[i]})",
                hint="they differ in something else: choose among them with --where, or take every "
                "row for itself: --set 'columns.seed=\"\"'",
            )
