"""What a sweep will train, in which order and at which cost: the answer of `--dry-run`, whose JSON
is docs/schemas/sweep_plan.schema.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from stages.sweep.cost import Costs, core_days
from stages.sweep.in_store import BranchInStore, GridInStore, key_of
from stages.sweep.trunks import (
    GridBranch,
    GridTrunk,
    RateSearch,
    branches_by_cost,
    flops_of,
    searches_of,
)
from vitctl.model import accounting
from vitctl.train.program.footprint import checkpoint_bytes


@dataclass(frozen=True)
class PlannedRun:
    """A row of the table to come, and what it adds: a branch takes of its trunk only what no
    shorter branch has trained before. `in_store` is None where that was not looked up."""

    trunk: GridTrunk
    branch: GridBranch
    flops: float
    bytes: int
    seconds: float | None
    basis: str | None
    in_store: BranchInStore | None

    @property
    def is_trained(self) -> bool:
        return self.in_store is not None and self.in_store.trained

    @property
    def is_finished(self) -> bool:
        """Trained and measured."""
        return self.in_store is not None and self.in_store.is_finished

    @property
    def axes(self) -> dict[str, Any]:
        """By column."""
        return self.trunk.columns_of(self.branch)

    def as_json(self) -> dict[str, Any]:
        cfg, branch = self.branch.cfg, self.branch
        days = core_days(cfg, images=branch.images)
        return {
            "model": self.trunk.model,
            "data_size": self.trunk.size,
            "axes": self.axes,
            "seed": cfg.seed,
            "steps": branch.steps,
            "trunk_steps": branch.trunk_steps,
            "cooldown_steps": branch.cooldown,
            "images_seen": branch.images,
            "epochs": branch.images / self.trunk.size,
            "batch": cfg.data.batch,
            "resolution": cfg.model.resolution,
            "recipe": cfg.recipe,
            "lr": None if self.trunk.search else cfg.schedule.peak_lr,
            "parameters": accounting.parameters(cfg.model).total,
            "flops": branch.flops,
            "core_days": None if days is None else days[0],
            "core_days_basis": None if days is None else days[1],
            "adds": {
                "flops": self.flops,
                "bytes": self.bytes,
                "seconds": self.seconds,
                "seconds_basis": self.basis,
            },
            "in_store": None if self.in_store is None else self.in_store.as_json(),
        }


@dataclass(frozen=True)
class SweepPlan:
    """What will be trained: `trunks` in the order of the grid; `part` as in 2/8, None of all;
    `in_store` what of it was found, where it was looked up."""

    trunks: tuple[GridTrunk, ...]
    costs: Costs
    part: str | None
    in_store: GridInStore = field(default_factory=GridInStore)

    @cached_property
    def searches(self) -> tuple[RateSearch, ...]:
        return tuple(searches_of(self.trunks).values())

    @cached_property
    def runs(self) -> tuple[PlannedRun, ...]:
        """In the order in which they are trained."""
        return tuple(self._planned(*pair) for pair in branches_by_cost(self.trunks))

    def _planned(self, trunk: GridTrunk, branch: GridBranch) -> PlannedRun:
        steps, checkpoints = branch.steps, 1
        if trunk.is_shared:
            place = trunk.branches.index(branch)
            before = trunk.branches[place - 1].trunk_steps if place else 0
            steps = branch.steps - before
            checkpoints = 1 if before == branch.trunk_steps else 2
        cfg = branch.cfg
        images = steps * cfg.data.batch
        return PlannedRun(
            trunk=trunk,
            branch=branch,
            flops=flops_of(cfg, images=images),
            bytes=checkpoints * checkpoint_bytes(cfg),
            seconds=self.costs.seconds(cfg, images=images),
            basis=self.costs.basis(cfg),
            in_store=self.in_store.branches.get(key_of(trunk, branch)),
        )

    @property
    def flops(self) -> float:
        """Of all training: trunks once, learning rates chosen."""
        return sum(trunk.flops for trunk in self.trunks) + self.flops_of_rates

    @property
    def flops_of_rates(self) -> float:
        return sum(search.flops for search in self.searches)

    @property
    def flops_apart(self) -> float:
        """Of the same rows with a run each."""
        return sum(trunk.flops_apart for trunk in self.trunks) + self.flops_of_rates

    @property
    def bytes(self) -> int:
        """Of checkpoints in the store."""
        candidates = sum(
            len(one.candidates) * checkpoint_bytes(one.candidates[0]) for one in self.searches
        )
        return sum(run.bytes for run in self.runs) + candidates

    @property
    def seconds(self) -> float | None:
        """Of training steps on this machine; None if the speed of a model is not known."""
        parts = [run.seconds for run in self.runs]
        return _sum([*parts, *(self.seconds_of(search) for search in self.searches)])

    @property
    def searches_left(self) -> tuple[RateSearch, ...]:
        """Those that are not in the store whole."""
        return tuple(one for one in self.searches if one.key not in self.in_store.searches)

    @property
    def flops_left(self) -> float:
        """Without what is in the store finished; what was begun counts whole."""
        runs = sum(run.flops for run in self.runs if not run.is_trained)
        return runs + sum(search.flops for search in self.searches_left)

    @property
    def seconds_left(self) -> float | None:
        """Of `flops_left`, as `seconds`."""
        parts = [run.seconds for run in self.runs if not run.is_trained]
        return _sum([*parts, *(self.seconds_of(search) for search in self.searches_left)])

    def seconds_of(self, search: RateSearch) -> float | None:
        first = search.candidates[0]
        images = len(search.candidates) * first.steps * first.data.batch
        return self.costs.seconds(first, images=images)

    def as_json(self) -> dict[str, Any]:
        """The object of `vitctl sweep --dry-run --json`."""
        return {
            "kind": "sweep-plan",
            "part": self.part,
            "trunks": len(self.trunks),
            "runs": [run.as_json() for run in self.runs],
            "rates": [_rates_as_json(search, self) for search in self.searches],
            "flops": self.flops,
            "flops_apart": self.flops_apart,
            "bytes": self.bytes,
            "free_bytes": self.costs.free_bytes,
            "seconds": self.seconds,
            "flops_left": self.flops_left,
            "seconds_left": self.seconds_left,
        }


def _sum(parts: Sequence[float | None]) -> float | None:
    """None if one is not known."""
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _rates_as_json(search: RateSearch, plan: SweepPlan) -> dict[str, Any]:
    first = search.candidates[0]
    rates: Sequence[float] = [one.schedule.peak_lr for one in search.candidates]
    return {
        "model": search.model,
        "data_size": search.size,
        "steps": first.steps,
        "held_out": first.data.held_out,
        "candidates": rates,
        "flops": search.flops,
        "seconds": plan.seconds_of(search),
    }
