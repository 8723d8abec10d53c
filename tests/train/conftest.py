"""A tiny run on made-up images, through the stages' Python API."""

from __future__ import annotations

import json
import shutil
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
    # A quarter of adafactor's arrays: a checkpoint takes 0.2 s of processor time instead of 0.4.
    # What a checkpoint holds of adafactor is resumed, and branched off, in test_exact.py.
    "optim": {"name": "sgd"},
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
ADAFACTOR: dict[str, Any] = {"optim": {"name": "adafactor"}}
"""Settings of a run with the paper's optimizer."""


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


@pytest.fixture(scope="session")
def _whole_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Artifact], Pretrain]:
    """Answers by their settings; and how another comes to be."""
    return {}, pretrain_in(tmp_path_factory.mktemp("uninterrupted"))


@pytest.fixture
def uninterrupted(
    _whole_runs: tuple[dict[str, Artifact], Pretrain], monkeypatch: pytest.MonkeyPatch
) -> Pretrain:
    """uninterrupted(steps, runtime..., config changes...): a run in a store of its own, trained
    once in a session. Compare with it; it is never changed."""
    answers, pretrain = _whole_runs

    def call(steps: int, **changes: Any) -> Artifact:
        key = json.dumps([steps, changes], sort_keys=True)
        if key not in answers:
            assert not monkeypatch._setattr, "others get it, too: ask before anything is patched"
            answers[key] = pretrain(steps, store=str(len(answers)), **changes)
        return answers[key]

    return call


@pytest.fixture
def trained(uninterrupted: Pretrain, tmp_path: Path) -> Pretrain:
    """trained(steps, store="a", ...): what `pretrain` makes in a new store, as a copy."""

    def call(steps: int, *, store: str = "a", **changes: Any) -> Artifact:
        checkpoint = Path(str(uninterrupted(steps, **changes).path))
        root = checkpoint.parents[3]
        shutil.copytree(root, tmp_path / store)
        return Artifact.load(tmp_path / store / checkpoint.relative_to(root))

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
