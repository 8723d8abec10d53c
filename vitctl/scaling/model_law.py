"""One model's own law: error against images seen, of training sets of any size.

    E = a (N n(N / D) + d)^-b + c

of N images seen of a training set of D, with n the part that counts of a run that repeats its data
(`vitctl.scaling.repeats`). The frontier over all models says what compute buys; this says what one
model makes of so many images, which is what a choice between models needs: each device is slow or
fast for another model, so no one unit of compute is fair on all of them.

Numbers that a law predicts are here, how it is fitted is `vitctl.scaling.model_fit`. Intervals
are of one new run: laws of drawn tables, plus the scatter of a run about its law.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vitctl.scaling.bootstrap import percentiles
from vitctl.scaling.laws import Floats, Law
from vitctl.scaling.profile import Interval
from vitctl.scaling.repeats import share


@dataclass(frozen=True)
class DrawnLaws:
    """Parameters [draws] of laws of drawn tables, of images divided by `unit`; `r` is infinite
    where repeating costs nothing, `sigma` the scatter of one run."""

    a: Floats
    b: Floats
    c: Floats
    d: Floats
    r: Floats
    sigma: Floats
    unit: float


@dataclass(frozen=True)
class ModelLaw:
    """The law of one model.

    Attributes:
      law: of images that count.
      worth: r; infinite where repeating costs nothing that shows.
      determined: whether the model's own runs tell r.
      runs: that it was fitted to.
      scatter: standard deviation of one run about the law.
      shortest, longest: images seen in its runs.
      fewest: images that count of the run with the fewest.
      smallest, largest: images in their training sets.
      most_epochs: of any of its runs.
      overfits: sets on which longer runs did worse than the best: images in it, epochs of the best.
    """

    model: str
    law: Law
    worth: float
    determined: bool
    runs: int
    scatter: float
    shortest: float
    longest: float
    fewest: float
    smallest: float
    largest: float
    most_epochs: float
    overfits: tuple[tuple[float, float], ...]
    drawn: DrawnLaws

    def error(self, images: float, *, examples: float) -> float:
        """What to expect after `images` of a training set of `examples`."""
        return float(self.law.error(counted(images, examples=examples, worth=self.worth)))

    def images(self, error: float, *, examples: float) -> float | None:
        """Images after which `error` is expected; None if repeats of these examples never get
        there, and 0 if it is where training begins."""
        if self.law.d > 0 and error >= float(self.law.error(0.0)):
            return 0.0
        new = self.law.compute(error)
        return None if new is None else repeated(new, examples=examples, worth=self.worth)

    def least_images(self, examples: float) -> float:
        """Images to see of a training set of `examples` for a run that is no shorter than any
        measured one, and that teaches no less; infinite if these images never do."""
        needed = repeated(self.fewest, examples=examples, worth=self.worth)
        return math.inf if needed is None else max(self.shortest, needed)

    def most_images(self, examples: float) -> float:
        """Images to see of a training set of `examples` before longer runs do worse, by the epochs
        of the set of nearest size on which they did; infinite if they did on none."""
        if not self.overfits:
            return math.inf
        _, epochs = min(self.overfits, key=lambda row: (abs(math.log(row[0] / examples)), row[1]))
        return epochs * examples

    def errors(self, images: float, *, examples: float) -> Floats:
        """Errors [draws] of the drawn laws."""
        one = self.drawn
        new = images * share(images / examples, one.r) / one.unit
        return one.a * (new + one.d) ** -one.b + one.c

    def new_runs(
        self,
        images: float,
        *,
        examples: float,
        rng: np.random.Generator,
        beside: float = 0.0,
    ) -> Floats:
        """Errors [draws] of one new run by each drawn law; `beside` is a further standard
        deviation, of what the law itself is wrong by out there."""
        laws = self.errors(images, examples=examples)
        deviation = np.hypot(self.drawn.sigma, beside)
        return laws + deviation * rng.standard_normal(len(laws))

    def interval(
        self, images: float, *, examples: float, level: float, beside: float = 0.0, seed: int = 0
    ) -> Interval:
        """Where the error of one new run lies."""
        rng = np.random.default_rng(seed)
        runs = self.new_runs(images, examples=examples, rng=rng, beside=beside)
        low, high = percentiles(runs, level=level)
        if low is None or high is None:
            return low, high
        expected = self.error(images, examples=examples)
        return min(max(low, 0.0), expected), max(min(high, 1.0), expected)


def counted(images: float, *, examples: float, worth: float) -> float:
    """Images that count of so many seen: as many new ones would teach as much."""
    return images * float(share(images / examples, worth))


def repeated(new: float, *, examples: float, worth: float) -> float | None:
    """Images to see so that `new` count: the inverse of `counted`. None where no number of repeats
    will do.

    >>> round(repeated(counted(5e6, examples=1e6, worth=8), examples=1e6, worth=8))
    5000000
    """
    if new <= examples or math.isinf(worth):
        return new
    left = 1.0 - (new / examples - 1.0) / worth
    return None if left <= 0 else examples * (1.0 - worth * math.log(left))
