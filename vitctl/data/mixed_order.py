"""Orders that draw some examples more often than others, as arithmetic: no state, no buffer.

    Mixed     parts by weights: after n draws each part has been drawn n times its weight, within 1
    Balanced  classes evenly: every round of draws takes each class once

What a draw takes is a function of (seed, draw), so the global batches are the same for any number
of hosts, resuming takes one integer, and any batch can be replayed, as of a plain dataset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitctl.data.order import (
    I64,
    BatchIndices,
    Order,
    hash64,
    permute,
    permute_each,
)

_TAG_PART, _TAG_ROUND = 3, 4


@dataclass(frozen=True)
class Mixed:
    """Examples of several parts, numbered one part after the other. Of every sum(weights) draws,
    weights[k] take part k, in that part's own order, which goes on from where it was."""

    parts: tuple[Order, ...]
    weights: tuple[int, ...]

    @property
    def examples(self) -> int:
        return sum(part.examples for part in self.parts)

    def at(self, draws: I64, *, seed: int) -> BatchIndices:
        sequence, before = interleaved(self.weights)
        rounds, slots = np.divmod(draws, len(sequence))
        part_of = sequence[slots]
        own = rounds * np.array(self.weights, np.int64)[part_of] + before[slots]
        epochs, indices = np.empty_like(draws), np.empty_like(draws)
        offset = 0
        for number, part in enumerate(self.parts):
            mine = part_of == number
            if mine.any():
                taken = part.at(own[mine], seed=int(hash64(seed, number, tag=_TAG_PART)))
                epochs[mine], indices[mine] = taken.epochs, taken.indices + offset
            offset += part.examples
        return BatchIndices(epochs, indices)

    def restricted(self, rows: NDArray[Any]) -> Order:
        """Parts of which nothing is left give their draws to the others."""
        parts, weights, offset = [], [], 0
        for part, weight in zip(self.parts, self.weights, strict=True):
            begin, stop = np.searchsorted(rows, [offset, offset + part.examples])
            if stop > begin:
                parts.append(part.restricted(rows[begin:stop].astype(np.int64) - offset))
                weights.append(weight)
            offset += part.examples
        return Mixed(tuple(parts), tuple(weights))


@lru_cache(maxsize=16)
def interleaved(weights: tuple[int, ...]) -> tuple[I64, I64]:
    """int64[sum(weights)] the part of each draw of a round, and how often the round took that part
    before.

    After every n draws part k has been taken n * weights[k] / sum(weights) times, within
    1 - 1 / (2 K - 2) for K parts: R. Tijdeman, "The chairman assignment problem", Discrete
    Mathematics 32 (1980). So a round ends even, and the next one is like it.
    """
    total, parts = sum(weights), len(weights)
    if parts == 1:
        return np.zeros(total, np.int64), np.arange(total, dtype=np.int64)
    slack = 2 * parts - 2
    owed, counts = [0] * parts, [0] * parts
    sequence, before = np.empty(total, np.int64), np.empty(total, np.int64)
    for draw in range(total):
        for part, weight in enumerate(weights):
            owed[part] += weight
        # Of the parts that may be taken already, the one that has to be taken soonest.
        chosen = min(
            (part for part in range(parts) if slack * owed[part] >= total),
            key=lambda part: ((slack - 1) * total - slack * owed[part]) / weights[part],
        )
        sequence[draw], before[draw] = chosen, counts[chosen]
        owed[chosen] -= total
        counts[chosen] += 1
    return sequence, before


class Balanced:
    """Every class equally often: each round of draws takes every class that has examples once, in
    a permutation of its own, and of a class its examples in permutations of theirs."""

    def __init__(self, labels: NDArray[np.int32]) -> None:
        """`labels` int32[n]: the class of each example."""
        self._labels = labels

    @property
    def examples(self) -> int:
        return len(self._labels)

    @cached_property
    def _classes(self) -> tuple[I64, I64, I64]:
        """int64[n] positions class by class, int64[C] where each class begins, and its size."""
        positions = np.argsort(self._labels, kind="stable")
        _, begins, sizes = np.unique(self._labels[positions], return_index=True, return_counts=True)
        return positions, begins.astype(np.int64), sizes.astype(np.int64)

    def at(self, draws: I64, *, seed: int) -> BatchIndices:
        positions, begins, sizes = self._classes
        rounds, slots = np.divmod(draws, len(sizes))
        classes = permute(
            slots,
            examples=len(sizes),
            seed=int(hash64(seed, 0, tag=_TAG_ROUND)),
            epochs=rounds,
        )
        epochs, within = np.divmod(rounds, sizes[classes])
        chosen = permute_each(
            within, examples=sizes[classes], streams=classes, seed=seed, epochs=epochs
        )
        return BatchIndices(epochs, positions[begins[classes] + chosen])

    def restricted(self, rows: NDArray[Any]) -> Balanced:
        return Balanced(self._labels[rows])


def shares(weights: Sequence[int]) -> list[float]:
    """Each part's share of the draws."""
    return [weight / sum(weights) for weight in weights]
