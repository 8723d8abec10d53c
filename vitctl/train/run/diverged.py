"""An update that was not finite."""

from __future__ import annotations

from dataclasses import dataclass

from vitctl.artifacts.run_info import MUST_BE_FINITE
from vitctl.data.batches import TrainBatch
from vitctl.events import Spent
from vitctl.train.program.step import StepStats


@dataclass(frozen=True)
class UpdateRecord:
    """One update that was given to the devices: its batch, the rate it used, what came of it."""

    batch: TrainBatch
    rate: float
    stats: StepStats

    @property
    def numbers(self) -> dict[str, str]:
        """Its loss and norms as text, for JSON has no infinity."""
        return {name: repr(float(getattr(self.stats, name))) for name in MUST_BE_FINITE}


class Diverged(Exception):
    """An update was not finite. It and those after it changed nothing (see `TrainState`).

    `spent` is where the time of the run went until then, to be told if it ends here.
    """

    def __init__(self, update: UpdateRecord) -> None:
        super().__init__()
        self.update = update
        self.spent: Spent | None = None
