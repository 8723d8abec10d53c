"""Batches whose first is under way while weights are made and the step is compiled.

Importing TensorFlow, opening files and tracing the augmentation are Python, the compiler is not:
side by side they take what the longer of them takes, and a little more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from vitctl.data.batches import TrainBatch
from vitctl.signals import Beside


@contextmanager
def begun(batches: Iterator[TrainBatch]) -> Iterator[Iterator[TrainBatch]]:
    """The same batches, if any. The first is made in a thread of its own from here on; an error of
    it is raised where it is asked for. Leaving the block before that does not wait for it."""
    first = Beside(lambda: list(islice(batches, 1)))

    def from_the_first() -> Iterator[TrainBatch]:
        yield from first.result()
        yield from batches

    try:
        yield from_the_first()
    finally:
        first.abandon()
