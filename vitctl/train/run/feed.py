"""Batches whose first is under way while weights are made and the step is compiled.

Importing TensorFlow, opening files and tracing the augmentation are Python, the compiler is not:
side by side they take what the longer of them takes, and a little more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from vitctl.data.batches import TrainBatch
from vitctl.signals import BackgroundWork


class Feed(Iterator[TrainBatch]):
    """The same batches, if any; the first is made in a thread of its own from here on."""

    def __init__(self, batches: Iterator[TrainBatch]) -> None:
        self._batches = batches
        self._first: BackgroundWork[list[TrainBatch]] | None = BackgroundWork(
            lambda: list(islice(batches, 1))
        )

    def __next__(self) -> TrainBatch:
        if self._first is not None:
            first, self._first = self._first.result(), None
            yielded = next(iter(first), None)
            if yielded is None:
                raise StopIteration
            return yielded
        return next(self._batches)

    def raise_error(self) -> None:
        """Raise the error of the first batch where it is known already: who is about to compile for
        minutes need not do that first."""
        if self._first is not None:
            self._first.raise_error()

    def abandon(self) -> None:
        """Nobody waits for the first batch any more."""
        if self._first is not None:
            self._first.abandon()


@contextmanager
def begun(batches: Iterator[TrainBatch]) -> Iterator[Feed]:
    """A feed of these batches. Leaving the block does not wait for a first batch that is still
    under way."""
    feed = Feed(batches)
    try:
        yield feed
    finally:
        feed.abandon()
