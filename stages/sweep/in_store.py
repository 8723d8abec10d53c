"""What of a grid is in the store already: its runs and their probes are looked up by the commands
that would make them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stages.sweep.cells import SweepTraining
from stages.sweep.spec import Inputs, SweepConfig, SweepRuntime
from stages.sweep.trunks import GridBranch, GridTrunk
from vitctl import processes
from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.lookup import LookupStore, NotMadeError
from vitctl.errors import VitctlError
from vitctl.events import silent
from vitctl.text.quantities import plural, show_count


@dataclass(frozen=True)
class BranchInStore:
    """Whether the finished model of a branch is in the store; else the step of the newest
    checkpoint that training goes on from, None if all of it is to be trained but what a shorter
    branch of its trunk trains. `probes` are those of the grid, in order: whether each measurement
    is in the store, which none of a model can be that is not."""

    trained: bool
    step: int | None = None
    probes: tuple[bool, ...] = ()

    @property
    def is_finished(self) -> bool:
        """Whether nothing of its row is left to do."""
        return self.trained and all(self.probes)

    def in_words(self) -> str:
        if self.is_finished:
            return "finished"
        if self.trained:
            return f"trained, {sum(self.probes)} of {plural(len(self.probes), 'probe')}"
        return "new" if self.step is None else f"step {show_count(self.step)}"

    def as_json(self) -> dict[str, Any]:
        return {"trained": self.trained, "step": self.step, "probes": [*self.probes]}


@dataclass(frozen=True)
class GridInStore:
    """By `key_of`, and the keys of the choices of a learning rate that are in the store whole."""

    branches: Mapping[str, BranchInStore] = field(default_factory=dict)
    searches: frozenset[str] = frozenset()


def key_of(trunk: GridTrunk, branch: GridBranch) -> str:
    return f"{trunk.label_of(branch)}, {branch.steps}"


def look_up(
    trunks: Sequence[GridTrunk],
    cfg: SweepConfig,
    inputs: Inputs,
    *,
    store: Store,
    runtime: SweepRuntime,
) -> GridInStore:
    """Of all branches. Of several processes, which share what they make, nothing is looked up.

    A choice of a learning rate of which a candidate diverged leaves nothing to be found, so what it
    decides counts as new.
    """
    if processes.count() > 1:
        return GridInStore()
    training = SweepTraining(cfg, inputs, LookupStore(store.root), runtime, silent)
    branches = {
        key_of(trunk, branch): _branch(training, trunk, branch)
        for trunk in trunks
        for branch in trunk.branches
    }
    return GridInStore(branches, frozenset(training.chosen))


def _branch(training: SweepTraining, trunk: GridTrunk, branch: GridBranch) -> BranchInStore:
    no_probe = tuple(False for _ in training.cfg.probes or ())
    try:
        known = training.ready(trunk)
    except VitctlError:
        return BranchInStore(trained=False, probes=no_probe)
    try:
        checkpoint = training.trained(trunk, branch, **known)["checkpoint"]
    except NotMadeError as missing:
        place, step = trunk.branches.index(branch), missing.step
        before = trunk.branches[place - 1].trunk_steps if trunk.is_shared and place else 0
        if step is None and missing.recipe.stage == "cooldown":
            step = branch.trunk_steps
        begun = step is not None and step > before
        return BranchInStore(trained=False, step=step if begun else None, probes=no_probe)
    except VitctlError:
        return BranchInStore(trained=False, probes=no_probe)
    probes = tuple(_is_measured(probe) for probe in training.probes_of(checkpoint))
    return BranchInStore(trained=True, probes=probes)


def _is_measured(probe: Callable[[], Artifact]) -> bool:
    """Whether a measurement is in the store; one that would fail is not."""
    try:
        probe()
    except VitctlError:
        return False
    return True
