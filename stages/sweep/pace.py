"""How long the rest of a sweep takes, at the pace of what this call has trained."""

from __future__ import annotations

from stages.sweep.plan import PlannedRun, SweepPlan


class SweepPace:
    """Runs that were in the store take no time, so they say nothing of those that are left."""

    def __init__(self, plan: SweepPlan) -> None:
        self._searches = {search.key: search.flops for search in plan.searches}
        self._left = sum(run.flops for run in plan.runs) + plan.flops_of_rates
        self._flops = self._seconds = 0.0

    def passed(self, run: PlannedRun, *, seconds: float, trained: bool) -> None:
        """A run is over, and the choice of its learning rate, if it was the first to need it.

        trained   in this call, which took so many seconds; False: it was there, or it failed
        """
        search = run.trunk.search
        flops = run.flops + (0.0 if search is None else self._searches.pop(search.key, 0.0))
        self._left -= flops
        if trained:
            self._flops += flops
            self._seconds += seconds

    @property
    def seconds_left(self) -> float | None:
        """If nothing of the rest is in the store; None before anything was trained."""
        return None if self._flops == 0 else self._seconds * self._left / self._flops
