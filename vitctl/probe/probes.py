"""The probes: how a class is told from frozen features. A new one is a class here, a name in
`vitctl.summaries.ProbeName`, and what the type checker then asks for in the stage.

ridge     ridge regression, the paper's protocol          parameter: l2
knn       k nearest neighbours, DINO's protocol           parameter: neighbours
logistic  multinomial logistic regression                 parameter: l2

Each learns from nested shots and says which test images it answers rightly. Where its parameter is
None, it chooses one for each draw and number of shots (`held_out`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vitctl.errors import UsageError
from vitctl.probe import held_out, logistic, neighbours, ridge
from vitctl.probe.held_out import Rows
from vitctl.probe.neighbours import NEIGHBOURS, TEMPERATURE
from vitctl.probe.scoring import Scorer

_RIDGE_L2S = tuple(2.0**i for i in range(-10, 21, 2))
"""The range of scenic `train_lib/transfer/fewshot_utils.py`, every second power of two."""
_LOGISTIC_L2S = tuple(10.0**i for i in range(3, -4, -1))
_NEIGHBOURS = (1, 2, 5, 10, 20, 50, 100, 200)


@dataclass(frozen=True)
class ProbeAnswer:
    """What a probe answers.

    Attributes:
      right: bool[m], whether a class of each test image is answered.
      parameter: the penalty, or the number of neighbours.
      chosen: whether the parameter was chosen on held-out shots.
      converged: whether an iterative solution ended as it should.
    """

    right: NDArray[np.bool_]
    parameter: float
    chosen: bool = False
    converged: bool = True


class Probe(Protocol):
    """Learns classes from features."""

    def answers(
        self, train: NDArray[np.floating], rows: Rows, *, shots: Sequence[int], scorer: Scorer
    ) -> Iterator[ProbeAnswer]:
        """For each of the ascending `shots`: learned from the first so many columns of `rows`,
        which are rows of `train` [n, d] by class, which images of `scorer` are answered rightly."""


@dataclass(frozen=True)
class Ridge:
    """`l2` None: chosen."""

    l2: float | None = ridge.L2

    def answers(
        self, train: NDArray[np.floating], rows: Rows, *, shots: Sequence[int], scorer: Scorer
    ) -> Iterator[ProbeAnswer]:
        def right(learned: Rows, held: Rows) -> NDArray[np.int64]:
            [equations] = ridge.nested(train, learned, shots=[rows.shape[1]])
            images, classes = ridge.examples(held)
            scored = Scorer.of(train[images], classes, like=train)
            return scored.answers(equations.solved(_RIDGE_L2S)).right.sum(axis=1)

        classifiers, choices = [], []
        for k, equations in zip(shots, ridge.nested(train, rows, shots=shots), strict=True):
            chosen = self.l2 is None and held_out.can_choose(rows[:, :k])
            l2 = self.l2 or ridge.L2
            if chosen:
                l2 = held_out.choose(_RIDGE_L2S, rows[:, :k], right=right, usual=ridge.L2)
            classifiers += equations.solved([l2])
            choices.append((l2, chosen))
        # All at once, so that test images are prepared once a draw.
        for row, (l2, chosen) in zip(scorer.answers(classifiers).right, choices, strict=True):
            yield ProbeAnswer(row, l2, chosen)


@dataclass(frozen=True)
class Knn:
    """`neighbours` None: chosen."""

    neighbours: int | None = NEIGHBOURS
    temperature: float = TEMPERATURE

    def answers(
        self, train: NDArray[np.floating], rows: Rows, *, shots: Sequence[int], scorer: Scorer
    ) -> Iterator[ProbeAnswer]:
        def voted(
            learned: Rows, test: NDArray[np.floating], counts: Sequence[int]
        ) -> NDArray[np.int64]:
            images, labels = ridge.examples(learned)
            return neighbours.answers(
                train[images],
                labels,
                test,
                classes=len(rows),
                counts=counts,
                temperature=self.temperature,
            )

        for k in shots:
            own = rows[:, :k]
            count = self.neighbours or NEIGHBOURS
            chosen = self.neighbours is None and held_out.can_choose(own)
            if chosen:
                fewest = min(int((learned >= 0).sum()) for learned, _ in held_out.folds(own))
                counts = [c for c in _NEIGHBOURS if c <= fewest]

                def right(
                    learned: Rows, held: Rows, counts: Sequence[int] = counts
                ) -> NDArray[np.int64]:
                    images, classes = ridge.examples(held)
                    return (voted(learned, train[images], counts) == classes).sum(axis=1)

                count = int(held_out.choose(counts, own, right=right, usual=count))
            available = int((own >= 0).sum())
            if self.neighbours is None:
                count = min(count, available)
            check_neighbours(count, examples=available)
            [classes] = voted(own, scorer.features, [count])
            yield ProbeAnswer((scorer.labels == classes[:, None]).any(axis=1), count, chosen)


@dataclass(frozen=True)
class Logistic:
    """`l2` None: chosen."""

    l2: float | None = None

    def answers(
        self, train: NDArray[np.floating], rows: Rows, *, shots: Sequence[int], scorer: Scorer
    ) -> Iterator[ProbeAnswer]:
        def fitted(learned: Rows, l2s: Sequence[float], **how: float) -> list[logistic.LogisticFit]:
            images, labels = ridge.examples(learned)
            return list(logistic.fit(train[images], labels, classes=len(rows), l2s=l2s, **how))

        def right(learned: Rows, held: Rows) -> NDArray[np.int64]:
            images, classes = ridge.examples(held)
            classifiers = [
                one.classifier for one in fitted(learned, _LOGISTIC_L2S, tolerance=logistic.ROUGHLY)
            ]
            scored = Scorer.of(train[images], classes, like=train)
            return scored.answers(classifiers).right.sum(axis=1)

        for k in shots:
            own = rows[:, :k]
            chosen = self.l2 is None and held_out.can_choose(own)
            l2 = self.l2 or logistic.L2
            if chosen:
                l2 = held_out.choose(_LOGISTIC_L2S, own, right=right, usual=logistic.L2)
            [one] = fitted(own, [l2])
            [row] = scorer.answers([one.classifier]).right
            yield ProbeAnswer(row, l2, chosen, one.converged)


def check_neighbours(count: int, *, examples: int) -> None:
    """Raise UsageError if there are fewer examples than neighbours."""
    if count > examples:
        raise UsageError(
            f"{count} neighbours need {count} images to learn from, and there are {examples}",
            hint=f"--neighbours {examples} or fewer, --neighbours auto, or more --shots",
        )
