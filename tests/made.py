"""Checkpoints and datasets for tests of what measures them: random weights, nothing trained."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import numpy as np

from tests.artifacts.making import checkpoint_summary
from vitctl.artifacts import Artifact, Recipe, Store
from vitctl.artifacts.provenance import now
from vitctl.checkpoints import arrays
from vitctl.data.dataset import DatasetInfo
from vitctl.data.digest import ConsumedSamples
from vitctl.data.mock import MockDataset
from vitctl.model import vit
from vitctl.model.config import ModelConfig
from vitctl.optim.average import Average
from vitctl.settings.trees import merge
from vitctl.train.config import TrainConfig

CLASSES = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu")

TINY: dict[str, Any] = {
    "name": "tiny",
    "recipe": "small",
    "model": {
        "width": 16,
        "depth": 1,
        "mlp_dim": 16,
        "heads": 2,
        "head": "gap",
        "patch": 4,
        "resolution": 8,
        "classes": len(CLASSES),
    },
    "loss": "sigmoid",
    "data": {"batch": 16, "eval_split": "val", "mock": {"examples": 90, "eval_examples": 37}},
    "schedule": {"peak_lr": 0.01, "warmup_steps": 2, "timescale_steps": 4, "total_steps": 8},
    "precision": "float32",
}


def config(**changes: Any) -> TrainConfig:
    return TrainConfig.model_validate(merge({}, TINY, changes))


@cache
def _init(model: ModelConfig) -> Any:
    """One program for all seeds."""
    return jax.jit(lambda key: vit.init(model, key=key))


@cache
def weights(model: ModelConfig, *, seed: int = 3) -> dict[str, Any]:
    """Initial weights with a classifier that is not zero, so that it has opinions."""
    with jax.ensure_compile_time_eval():  # arrays, also where the first to ask is being traced
        params = _init(model)(jax.random.key(seed))
    head = np.random.default_rng(seed).normal(size=params["head"]["kernel"].shape)
    return params | {"head": params["head"] | {"kernel": head.astype(np.float32)}}


def checkpoint(
    store: Store,
    *,
    step: int = 8,
    classes: tuple[str, ...] = CLASSES,
    cooled: bool = True,
    parent: Artifact | None = None,
    summary: dict[str, Any] | None = None,
    saved: bool = True,
    drawn: int = 3,
    stage: str | None = None,
    **changes: Any,
) -> Artifact:
    """A finished checkpoint of `config(**changes)` in the store, as training publishes one; of its
    summary what its kind requires, and `summary`. `drawn`: the seed of its weights. `saved=False`:
    without weights, whose drawing and saving takes 3 s of processor time a shape of model, for what
    reads settings alone. `stage`: that it says it was made by."""
    cfg = config(**changes)
    recipe = Recipe(
        stage=stage or ("cooldown" if parent else "pretrain"),
        version=1,
        kind="run",
        config=cfg.identity(),
        parents=(parent.as_parent("from"),) if parent else (),
    )
    with store.open_run(recipe, name="made") as run:
        place = run.empty_place(step)
        position = {"step": step, "consumed": ConsumedSamples().to_json()}
        if saved:
            parts = {
                arrays.PARAMS: weights(cfg.model, seed=drawn),
                arrays.OPT: {"count": np.zeros((), np.int32)},
            }
            if cfg.optim.ema is not None:
                mean = weights(cfg.model, seed=4)
                parts[arrays.EMA] = Average(mean, np.asarray(step, np.int32))
            arrays.save(place, parts=parts, position=position)
        else:
            (place / "position.json").write_text(json.dumps(position))
        recorded = checkpoint_summary(step, classes=list(classes), finished_schedule=cooled)
        recorded |= summary or {}
        return run.publish(step, summary=recorded, started=now(), volatile=arrays.VOLATILE)


def dataset_artifact(store: Store, *, name: str = "made") -> Artifact:
    """An artifact of kind dataset; what is in it, tests put in its place."""
    recipe = Recipe(stage="shard", version=1, kind="dataset", config={"name": name})
    with store.open(recipe, name=name) as draft:
        (draft.path / "name.txt").write_text(name)
        return draft.publish(summary={})


@dataclass(frozen=True)
class NamedDataset(MockDataset):
    """Made-up images whose classes have names: the images of `CLASSES[i]` are the same under any
    selection and order of the names."""

    classes: int = len(CLASSES)
    train_examples: int = 90
    val_examples: int = 37
    names: tuple[str, ...] = CLASSES
    multi: bool = False
    """Some images get a second label, some none."""

    @property
    def info(self) -> DatasetInfo:
        splits = super().info.splits
        return DatasetInfo(classes=self.names, splits=splits, max_labels=2 if self.multi else 1)

    @property
    def plain(self) -> MockDataset:
        return MockDataset(self.classes, self.train_examples, self.val_examples, self.seed)

    def made_up(self, requests: Any, *, split: str, resolution: int) -> Iterator[np.ndarray]:
        return self.plain.made_up(requests, split=split, resolution=resolution)

    def labels(self, split: str) -> np.ndarray:
        index = {name: i for i, name in enumerate(self.names)}
        of = np.array([index.get(name, -1) for name in CLASSES], np.int32)
        labels = of[super().labels(split)]
        if not self.multi:
            return labels
        second = np.where(np.arange(len(labels)) % 3 == 1, (labels[:, 0] + 1) % len(of), -1)
        labels = np.stack([labels[:, 0], second], axis=1).astype(np.int32)
        labels[::5] = -1
        return labels
