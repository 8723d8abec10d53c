"""One branch of a grid: its images selected, its trunk trained so far, cooled down, and probed.

Each by the command that a person would type, so that each is found again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from stages.sweep import rates
from stages.sweep.spec import Inputs, ProbeConfig, SweepConfig, SweepRuntime
from stages.sweep.trunks import GridBranch, GridTrunk, RateSearch, as_settings
from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.kinds.sweep import RateOfSweep
from vitctl.artifacts.store import slug
from vitctl.errors import DivergedError, InterruptedRun, VitctlError
from vitctl.events import Emit
from vitctl.recipes.composed import drawn
from vitctl.settings.trees import from_keys
from vitctl.text.quantities import show_count
from vitctl.train.config import TrainConfig

_LOOKS = ("devices", "workers", "cache_dir")
"""Of how training runs, what holds for probes, too."""


@dataclass(frozen=True)
class BranchResult:
    """What came of a branch; all that there is where it failed."""

    trunk: GridTrunk
    branch: GridBranch
    rate: float | None = None
    dataset: Artifact | None = None
    trunk_checkpoint: Artifact | None = None
    checkpoint: Artifact | None = None
    probes: tuple[Artifact, ...] = ()
    failure: VitctlError | None = None

    def made_since(self, time: str) -> bool:
        """Whether the model was trained after this time, as artifacts have it; else it was in the
        store."""
        return self.checkpoint is not None and (
            self.checkpoint.manifest.provenance.finished >= time
        )


@dataclass
class SweepTraining:
    """All that is trained in a call; datasets, rates and failures are remembered."""

    cfg: SweepConfig
    inputs: Inputs
    store: Store
    runtime: SweepRuntime
    emit: Emit
    chosen: dict[str, RateOfSweep] = field(default_factory=dict)
    _failed_searches: dict[str, VitctlError] = field(default_factory=dict)
    _failed_trunks: dict[str, VitctlError] = field(default_factory=dict)

    def result(self, trunk: GridTrunk, branch: GridBranch) -> BranchResult:
        """Train and measure a branch. What goes wrong is in the result; InterruptedRun ends all."""
        known: dict[str, Any] = {}
        try:
            known["dataset"] = self._dataset(trunk.cfg, trunk.size)
            known["rate"] = self._rate(trunk)
            known |= self.trained(trunk, branch, dataset=known["dataset"], rate=known["rate"])
            known["probes"] = tuple(probe() for probe in self.probes_of(known["checkpoint"]))
        except InterruptedRun:
            raise
        except VitctlError as error:
            return BranchResult(trunk, branch, **known, failure=error)
        return BranchResult(trunk, branch, **known)

    def ready(self, trunk: GridTrunk) -> dict[str, Any]:
        """What a trunk is trained with: its `dataset` and its `rate`."""
        return {"dataset": self._dataset(trunk.cfg, trunk.size), "rate": self._rate(trunk)}

    def rate_failed(self, search: RateSearch, error: VitctlError) -> None:
        """No rate was found for the trunks of this search, and none is looked for again."""
        self._failed_searches[search.key] = error

    # Images

    def draw(self, trunk: GridTrunk) -> None:
        """Make the dataset of a trunk's images, where it is not in the store."""
        self._dataset(trunk.cfg, trunk.size)

    def _dataset(self, cfg: TrainConfig, size: int) -> Artifact:
        """So many images of the split to train on; the smaller sizes lie inside the larger."""
        return drawn(
            self.inputs.dataset,
            images=size,
            split=cfg.data.split,
            seed=self.cfg.subset_seed,
            subset=self.inputs.commands.subset,
            store=self.store,
            emit=self.emit,
        )

    # Learning rates

    def _rate(self, trunk: GridTrunk) -> float | None:
        """The rate that was chosen for a trunk; None where it is given."""
        search = trunk.search
        if search is None:
            return None
        if search.key in self._failed_searches:
            raise self._failed_searches[search.key]
        if search.key not in self.chosen:
            try:
                self.chosen[search.key] = self.searched(search)
            except InterruptedRun:
                raise
            except VitctlError as error:
                self._failed_searches[search.key] = error
                raise
        rate = self.chosen[search.key].lr
        assert rate is not None  # else the search had failed
        return rate

    def searched(self, search: RateSearch) -> RateOfSweep:
        """Train the candidates and choose. Raises DivergedError if all diverge."""
        dataset = self._dataset(search.candidates[0], search.size)

        def train(cfg: TrainConfig) -> Artifact:
            name = f"{search.model}-{show_count(search.size)}-lr{cfg.schedule.peak_lr:g}"
            return self._pretrained(cfg, dataset, name=name)

        return rates.choose(search, train=train, emit=self.emit)

    # Training

    def trained(
        self, trunk: GridTrunk, branch: GridBranch, *, dataset: Artifact, rate: float | None
    ) -> dict[str, Artifact]:
        """The finished model, and the checkpoint of the trunk that it branched off."""
        if trunk.label in self._failed_trunks:
            before = self._failed_trunks[trunk.label]
            raise type(before)(f"its trunk failed before: {before.message}", hint=before.hint)
        name = f"{trunk.model}-{show_count(trunk.size)}"
        try:
            checkpoint = self._pretrained(trunk.with_rate(branch, rate), dataset, name=name)
        except DivergedError as error:
            if trunk.is_shared:  # a longer run would come to the same step
                self._failed_trunks[trunk.label] = error
            raise
        if not trunk.is_shared:
            return {"checkpoint": checkpoint}
        cooled = self.inputs.commands.cooldown(
            checkpoint,
            steps=branch.cooldown,
            shape=branch.shape,
            weights="raw",
            runtime=self.runtime.of_each(steps=branch.steps),
            store=self.store,
            emit=self.emit,
        )
        return {"checkpoint": cooled, "trunk_checkpoint": checkpoint}

    def _pretrained(self, cfg: TrainConfig, dataset: Artifact, *, name: str) -> Artifact:
        return self.inputs.commands.pretrain(
            data=dataset,
            steps=cfg.steps,
            set=as_settings(cfg),
            runtime=self.runtime.of_each(steps=cfg.steps),
            name=slug(name, default="sweep"),
            store=self.store,
            emit=self.emit,
        )

    # Measuring

    def probes_of(self, checkpoint: Artifact) -> Iterator[Callable[[], Artifact]]:
        """The measurements of a finished model, each made when it is called."""
        for probe, dataset in zip(self.cfg.probes or (), self.inputs.probe_data, strict=True):
            yield partial(self._probe, probe, checkpoint, dataset)

    def _probe(self, probe: ProbeConfig, checkpoint: Artifact, dataset: Artifact) -> Artifact:
        return self.inputs.commands.probes[probe.command](
            checkpoint,
            data=dataset,
            set=from_keys(probe.settings),
            runtime=self.runtime.model_dump(include={*_LOOKS}),
            store=self.store,
            emit=self.emit,
        )
