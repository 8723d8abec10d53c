"""Which images of the dataset match which of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitctl.duplicates.bands import MOST_IN_BUCKET
from vitctl.duplicates.matching import HOW, NONE, Against, Matches, Rules, within
from vitctl.duplicates.stored import StoredPrints
from vitctl.events import Caution, Emit, Progress
from vitctl.text.quantities import counted


@dataclass(frozen=True)
class Compared:
    """Of n images, what each matches.

    Attributes:
      matches: of each image the best match, its rows those of `which`.
      which: int16[n], the set of images that has the match, -1 where there is none.
      every: of each set, how many images match any of its images.
    """

    matches: Matches
    which: NDArray[np.int16]
    every: tuple[int, ...]

    def left_out(self) -> dict[str, int]:
        """How they are equal -> images; kinds that did not occur are left out."""
        counts = np.bincount(self.matches.how[self.matches.any], minlength=len(HOW))
        return {name: int(count) for name, count in zip(HOW, counts, strict=True) if count}

    def curve(self, distances: int) -> list[int]:
        """Images that match at each distance or a smaller one, from 0 on, to `distances`."""
        counts = np.bincount(self.matches.nearest, minlength=distances + 1)
        return np.cumsum(counts[: distances + 1]).tolist()


def with_others(
    own: StoredPrints, others: Sequence[StoredPrints], rules: Rules, *, emit: Emit
) -> Compared:
    """Compare a part of the dataset at a time with all of the others, which are in memory."""
    sets = [Against(other.whole(), rules) for other in others]
    examples = own.info.examples
    best = Matches.none(examples)
    which = np.full(examples, NONE, np.int16)
    every = [0] * len(sets)
    for first, prints in own.parts():
        rows = slice(first, first + len(prints))
        for number, against in enumerate(sets):
            matches = against.matches(prints)
            every[number] += int(matches.any.sum())
            better = _rank(matches) < _rank(_cut(best, rows))
            best.entry[rows][better] = matches.entry[better]
            best.how[rows][better] = matches.how[better]
            best.bits[rows][better] = matches.bits[better]
            which[rows][better] = number
            np.minimum(best.nearest[rows], matches.nearest, out=best.nearest[rows])
        emit(Progress("compare", rows.stop, examples, "images"))
    _caution(sum(against.crowded for against in sets), emit=emit)
    return Compared(best, which, tuple(every))


def with_itself(own: StoredPrints, rules: Rules, *, emit: Emit) -> Compared:
    examples = own.info.examples
    matches, crowded = within(
        own.whole(),
        rules,
        progress=lambda done: emit(Progress("compare", done, examples, "images")),
    )
    _caution(crowded, emit=emit)
    which = np.where(matches.any, 0, NONE).astype(np.int16)
    return Compared(matches, which, (int(matches.any.sum()),))


def _cut(matches: Matches, rows: slice) -> Matches:
    return Matches(
        matches.entry[rows], matches.how[rows], matches.bits[rows], matches.nearest[rows]
    )


def _rank(matches: Matches) -> NDArray[np.int64]:
    """Small for the surest: by bytes, by pixels, by distance; all that match before all others."""
    rank = matches.how.astype(np.int64) * 256 + matches.bits
    return np.where(matches.any, rank, 2**16)


def _caution(crowded: int, *, emit: Emit) -> None:
    if crowded:
        emit(
            Caution(
                f"{counted(crowded, 'time')} more than {MOST_IN_BUCKET:,} images had a part "
                "of their hash "
                "in common and were not all compared: some that are near each other may stay"
            )
        )
