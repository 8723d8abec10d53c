"""Which images are the shots.

As in big_vision `evaluators/fewshot_lsr.py`: draw i takes `numpy.random.default_rng(seed + i)`, and
for the classes in order permutes the positions of that class's images; k shots are the first k. So
the shots of a draw are nested: its 5 shots are the first 5 of its 10.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vitctl.errors import InputError
from vitctl.text.quoting import quoted

_SHOWN = 3


def single_labels(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """int32[n]: the class of the images in `labels` [n, l] that have exactly one, else -1.

    Only those can be shots: regression on ±1 targets takes one class an image. (Images of several
    classes can still be scored.)
    """
    return np.where((labels >= 0).sum(axis=1) == 1, labels.max(axis=1), np.int32(-1))


def positions_by_class(labels: NDArray[np.int32], *, classes: int) -> list[NDArray[np.int64]]:
    """For each class, the ascending positions in `labels` [n] that have it; -1 is no class."""
    order = np.argsort(labels, kind="stable")
    bounds = np.searchsorted(labels[order], np.arange(classes + 1))
    return [order[low:high] for low, high in pairwise(bounds)]


def classes_with_enough(
    positions: Sequence[NDArray[np.int64]],
    *,
    names: Sequence[str],
    shots: int,
    leave_out: bool = False,
) -> NDArray[np.int64]:
    """The classes, ascending, that have as many images as shots.

    Raises InputError, naming classes, if one has fewer (with `leave_out`: if less than two have
    enough).
    """
    few = [(name, len(at)) for name, at in zip(names, positions, strict=True) if len(at) < shots]
    enough = np.array([i for i, at in enumerate(positions) if len(at) >= shots], np.int64)
    if not few or (leave_out and len(enough) > 1):
        return enough
    shown = ", ".join(f"{quoted(name)} has {count}" for name, count in few[:_SHOWN])
    more = f"; too few in {len(few)} of {len(names)} classes" if len(few) > _SHOWN else ""
    most = min(count for _, count in few)
    hints = [f"every class has enough for --shots {most}"] if most else []
    if len(enough) > 1:
        hints.append(f"--too-few leave-out probes the {len(enough):,} classes that have enough")
    raise InputError(
        f"{shots} shots need {shots} images of one class each to draw from, but {shown}{more}",
        hint="; ".join(hints) or "fewer --shots, or a dataset with more images of each class",
    )


class DrawnShots(NamedTuple):
    """The shots of all draws.

    Attributes:
      classes: int64[c], which classes are probed, ascending.
      positions: int64[draws, c, shots], rows of the labels they were drawn by, padded with -1.
    """

    classes: NDArray[np.int64]
    positions: NDArray[np.int64]


def all_draws(
    labels: NDArray[np.int32],
    *,
    names: Sequence[str],
    shots: int,
    draws: int,
    seed: int,
    leave_out: bool = False,
) -> DrawnShots:
    """Shots from the images that have one of `labels` [n, l]; draw i is by seed + i.

    Raises InputError if there is one class only, or too few images of one; with `leave_out` such
    classes are not probed.
    """
    if len(names) < 2:
        raise InputError("a probe needs two classes or more, and the dataset has one")
    positions = positions_by_class(single_labels(labels), classes=len(names))
    classes = classes_with_enough(positions, names=names, shots=shots, leave_out=leave_out)
    own = [positions[i] for i in classes]
    return DrawnShots(
        classes, np.stack([draw(own, shots=shots, seed=seed + i) for i in range(draws)])
    )


def everything(
    labels: NDArray[np.int32], *, names: Sequence[str], seed: int, leave_out: bool = False
) -> DrawnShots:
    """One draw of all images that have one of `labels` [n, l]; as many shots as the largest class
    has images, and -1 where another has fewer.

    Raises InputError if there is one class only, or one has no image (`leave_out`: is not probed).
    """
    if len(names) < 2:
        raise InputError("a probe needs two classes or more, and the dataset has one")
    positions = positions_by_class(single_labels(labels), classes=len(names))
    classes = classes_with_enough(positions, names=names, shots=1, leave_out=leave_out)
    most = max(len(positions[i]) for i in classes)
    drawn = np.full((1, len(classes), most), -1, np.int64)
    rng = np.random.default_rng(seed)
    for row, i in zip(drawn[0], classes, strict=True):
        row[: len(positions[i])] = rng.permutation(positions[i])
    return DrawnShots(classes, drawn)


def draw(positions: Sequence[NDArray[np.int64]], *, shots: int, seed: int) -> NDArray[np.int64]:
    """int64[classes, shots]: positions of the shots of each class, in the order drawn.

    The first k columns are the draw of k shots. Every class must have enough images; see
    `classes_with_enough`.
    """
    rng = np.random.default_rng(seed)
    # The whole class is permuted, whatever the shots: that keeps draws nested, and the same as the
    # reference's.
    return np.stack([rng.permutation(at)[:shots] for at in positions])
