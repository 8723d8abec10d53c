"""A tiny run on made-up images, through the stages' Python API."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stages.cooldown import run as cooldown_stage
from stages.cooldown.spec import Inputs as CooldownInputs
from stages.pretrain import run as pretrain_stage
from stages.pretrain.spec import Inputs as PretrainInputs
from vitctl.artifacts import Artifact, Store
from vitctl.events import silent
from vitctl.recipes import branching
from vitctl.settings.trees import merge
from vitctl.train.config import TrainConfig, TrainRuntime

TINY: dict[str, Any] = {
    "name": "tiny",
    "recipe": "small",
    "model": {
        "width": 16,
        "depth": 2,
        "mlp_dim": 32,
        "heads": 2,
        # Two thirds of the parameters: a run compiles and saves in 60 % of the processor time that
        # it takes with attention pooling, which tests that run the command train.
        "head": "gap",
        "patch": 8,
        "resolution": 16,
        "classes": 4,
    },
    "loss": "sigmoid",
    "data": {
        "batch": 16,
        "eval_split": "val",
        "mock": {"examples": 40, "eval_examples": 20},
    },
    "schedule": {"peak_lr": 0.01, "warmup_steps": 2, "timescale_steps": 4, "total_steps": 8},
    "precision": "float32",
}


def config(steps: int, **changes: Any) -> TrainConfig:
    tree = merge({}, TINY, {"schedule": {"total_steps": steps}}, changes)
    return TrainConfig.model_validate(tree)


Pretrain = Callable[..., Artifact]


@pytest.fixture
def pretrain(tmp_path: Path) -> Pretrain:
    return pretrain_in(tmp_path)


def pretrain_in(folder: Path) -> Pretrain:
    """pretrain(steps, store="a", emit=..., runtime fields..., config changes...)."""

    def call(
        steps: int, *, store: str = "a", emit: Any = silent, runtime: Any = None, **changes: Any
    ) -> Artifact:
        return pretrain_stage.run(
            config(steps, **changes),
            PretrainInputs(dataset=None),
            store=Store(folder / store),
            runtime=TrainRuntime(**{"checkpoint_every": 4, "log_every": 1, **(runtime or {})}),
            emit=emit,
        )

    return call


@pytest.fixture
def cooldown(tmp_path: Path) -> Pretrain:
    """cooldown(checkpoint, steps, store="a", shape="linear", emit=...)."""

    def call(
        checkpoint: Artifact,
        steps: int,
        *,
        store: str = "a",
        shape: Any = "linear",
        emit: Any = silent,
    ) -> Artifact:
        branch = branching.cooled(checkpoint, steps=steps, shape=shape)
        return cooldown_stage.run(
            TrainConfig.model_validate(branch.tree),
            CooldownInputs(checkpoint=checkpoint, dataset=None),
            store=Store(tmp_path / store),
            runtime=TrainRuntime(checkpoint_every=4, log_every=1),
            emit=emit,
        )

    return call


def contents(checkpoint: Artifact) -> dict[str, str]:
    """file -> sha256 of what a checkpoint holds: weights, optimizer, position in the data."""
    return {f.path: f.sha256 for f in checkpoint.manifest.files if not f.volatile}
