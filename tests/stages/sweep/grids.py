"""Small grids, and commands that stand in for those that train: they publish at once what the real
ones would."""

from __future__ import annotations

import math
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from stages import api
from stages.evaluate.spec import EvaluateConfig
from stages.fewshot.spec import FewshotConfig
from stages.sweep.spec import SweepCommands, SweepConfig
from tests.artifacts.making import checkpoint_summary, recipe
from tests.report.studies import EVALUATION, FEWSHOT
from vitctl.artifacts import Recipe
from vitctl.artifacts.provenance import now
from vitctl.recipes.pretraining import ImageFacts
from vitctl.settings.overrides import build
from vitctl.settings.trees import from_keys, merge
from vitctl.train.carried_over import trained_with
from vitctl.train.config import TrainConfig

IMAGES = ImageFacts(examples=1000, classes=4, eval_split="val")

GRID: dict[str, Any] = {
    "models": [
        {"name": "one", "width": 16, "depth": 1, "mlp_dim": 16, "heads": 2, "patch": 4},
        {"name": "two", "width": 32, "depth": 2, "mlp_dim": 64, "heads": 2, "patch": 4},
    ],
    "sizes": [100, "all"],
    "durations": {"steps": [10, 40]},
    "cooldown": 0.2,
    "settings": {
        "precision": "float32",
        "data": {"batch": 10},
        "model": {"resolution": 8},
        "schedule": {"warmup_steps": 1},
    },
}


def grid(**changes: Any) -> dict[str, Any]:
    """The small grid with other tables; those that are None are left out."""
    return {key: value for key, value in {**GRID, **changes}.items() if value is not None}


def config(**changes: Any) -> SweepConfig:
    return build(SweepConfig, grid(**changes))


_BY_ID: WeakValueDictionary[int, StandIns] = WeakValueDictionary()


def _commands_of(stand_ins: int) -> SweepCommands:
    """For workers in this process."""
    return _BY_ID[stand_ins].commands()


class StandIns:
    """`failures`: errors by the name of a command and a part of what it is called with. `calls` are
    what was asked for, in order. The scores of a model are better the closer its learning rate is
    to `best_rate`."""

    def __init__(self, *, best_rate: float = 0.01) -> None:
        self.failures: dict[tuple[str, str], Exception] = {}
        self.calls: list[tuple[str, str]] = []
        self.best_rate = best_rate

    def commands(self) -> SweepCommands:
        _BY_ID[id(self)] = self
        return SweepCommands(
            subset=api.subset,
            pretrain=self.pretrain,
            cooldown=self.cooldown,
            probes={"fewshot": self.fewshot, "evaluate": self.evaluate},
            settings={"fewshot": FewshotConfig, "evaluate": EvaluateConfig},
            made_by=partial(_commands_of, id(self)),
        )

    def _called(self, command: str, text: str) -> None:
        self.calls.append((command, text))
        for (failing, part), error in self.failures.items():
            if failing == command and part in text:
                raise error

    def pretrain(self, *, data, steps, set, runtime, name, store, emit):
        self._called("pretrain", f"{name} to {steps}")
        tree = merge({}, set, from_keys({"schedule.total_steps": steps}))
        rate = tree["schedule"]["peak_lr"]
        loss = 0.5 + abs(math.log(rate / self.best_rate))
        scores = {"top1": 0.5, "top5": 1.0, "loss": loss, "examples": 6}
        cfg = TrainConfig.model_validate(tree)
        return self._checkpoint("pretrain", cfg, (data.as_parent("data"),), store, eval=scores)

    def cooldown(self, source, *, steps, shape, weights, runtime, store, emit):
        self._called("cooldown", f"{source.path.parent.parent.name}@{source.step} for {steps}")
        whole = (source.step or 0) + steps
        schedule = {"total_steps": whole, "cooldown_steps": steps, "cooldown_shape": shape}
        tree = trained_with(source).model_dump(mode="json")
        cfg = TrainConfig.model_validate(merge({}, tree, {"schedule": schedule}))
        return self._checkpoint("cooldown", cfg, (source.as_parent("from"),), store)

    def _checkpoint(self, stage, cfg, parents, store, **summary):
        config = cfg.identity()
        wanted = Recipe(stage=stage, version=1, kind="run", config=config, parents=parents)
        if (before := store.earlier_result(wanted, cfg.steps, name="made")) is not None:
            return before
        with store.open_run(wanted, name="made") as run:
            if cfg.steps in run.steps():
                return run.checkpoint(cfg.steps)
            place = run.empty_place(cfg.steps)
            (place / "position.json").write_text("{}")
            recorded = checkpoint_summary(cfg.steps, **summary)
            return run.publish(cfg.steps, summary=recorded, started=now())

    def fewshot(self, source, *, data, set, runtime, store, emit):
        self._called("fewshot", str(source.step))
        return self._result("fewshot", FEWSHOT, source, store)

    def evaluate(self, source, *, data, set, runtime, store, emit):
        self._called("evaluate", str(source.step))
        width = source.config["model"]["width"]
        top1 = 1 - 1 / (1 + width * (source.step or 0)) ** 0.25
        summary = {**EVALUATION, "top1": top1, "top5": 1.0, "metrics": {}}
        return self._result("evaluation", summary, source, store)

    def _result(self, kind, summary, source, store):
        stage = {"evaluation": "evaluate"}.get(kind, kind)
        parents = (source.as_parent("from"),)
        with store.open(recipe(stage, kind, parents=parents), name="m") as draft:
            return draft.finished or draft.publish(summary=summary)
