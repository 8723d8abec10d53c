"""How far losses may lie apart when the same sums are made in another order.

Devices and processes only change the order in which a batch is summed. That shows in two ways:
- A loss is a sum of n terms of one sign: in any two orders it differs by at most 2 (n - 1) u of
  itself, u = 2⁻²⁴ in fp32 (Higham, Accuracy and Stability of Numerical Algorithms, section 4.2).
- Gradients differ alike, and so do the weights from then on. How the optimizer and the next losses
  carry that on has no closed form, so it is sampled where it can be: training once more with every
  batch turned by some rows, which changes the order of each sum and, mixup's pairs being neighbors,
  nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vitctl.data import pipeline
from vitctl.data.batches import TrainBatch

U = 2.0**-24
_FEW = 10.0
"""The largest of a few draws says the size of such differences, not their bound."""

# For a process of its own.
TURNED = """
from tests import rounding
from vitctl.data import pipeline
pipeline.train_batches = rounding.turned({rows})
"""


def turned(rows: int) -> Callable[..., Iterator[TrainBatch]]:
    """What stands for `pipeline.train_batches` and turns every batch by `rows` rows."""
    train_batches = pipeline.train_batches

    def batches(*args: Any, **options: Any) -> Iterator[TrainBatch]:
        for batch in train_batches(*args, **options):
            images, labels = (np.roll(each, rows, axis=0) for each in (batch.images, batch.labels))
            yield replace(batch, images=images, labels=labels)

    return batches


def tolerance(
    losses: Sequence[float], turned: Sequence[Sequence[float]], *, terms: int
) -> np.ndarray:
    """For each step the relative difference that the order of sums explains. `losses`: (steps,) of
    one run; `turned`: of runs whose batches were turned; `terms`: batch x classes."""
    carried = np.abs(np.asarray(turned) / np.asarray(losses) - 1.0).max(axis=0)
    assert carried.any(), "turning the batches changed no sum"
    return 2 * (terms - 1) * U + _FEW * np.maximum.accumulate(carried)


def check(
    measured_losses: Sequence[float],
    losses: Sequence[float],
    turned: Sequence[Sequence[float]],
    *,
    terms: int,
) -> None:
    """Raises AssertionError where `measured_losses` differ from `losses` by more than that."""
    apart = np.abs(np.asarray(measured_losses) / np.asarray(losses) - 1.0)
    allowed = tolerance(losses, turned, terms=terms)
    assert (apart <= allowed).all(), f"{apart} apart, of {allowed} allowed"
