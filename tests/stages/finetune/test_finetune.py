"""Fine-tuning: weights that fit other classes and sizes, and a whole run on images on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.finetune import run as finetune_stage
from stages.finetune.spec import Inputs
from stages.shard import run as shard_stage
from stages.shard.spec import Inputs as ShardInputs
from stages.shard.spec import ShardConfig, ShardRuntime
from tests import made
from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.runs import run_of
from vitctl.errors import UsageError
from vitctl.events import Note
from vitctl.recipes import finetuning, pretraining
from vitctl.settings.trees import merge
from vitctl.train.config import TrainConfig, TrainRuntime
from vitctl.train.run import warm_start
from vitctl.train.telemetry.metrics import read


def photos(folder: Path, *, classes: tuple[str, ...]) -> Path:
    """12 images of 10x10 pixels a class."""
    rng = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for i in range(12):
            pixels = rng.integers(0, 256, (10, 10, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


def dataset(tmp_path: Path, classes: tuple[str, ...]) -> Artifact:
    return shard_stage.run(
        ShardConfig(val_fraction=0.25),
        ShardInputs(str(photos(tmp_path / "photos", classes=classes))),
        store=Store(tmp_path / "store"),
        runtime=ShardRuntime(workers=0),
    )


def finetune(tmp_path, checkpoint, data, *, emit=lambda event: None, **changes) -> Artifact:
    source = pretraining.images_of(data, split="train")
    overrides = {"data": {"batch": 8}, **changes}
    branch = finetuning.resolve(
        checkpoint, images=source, duration=(4, "steps"), overrides=overrides
    )
    return finetune_stage.run(
        TrainConfig.model_validate(merge(branch.tree, overrides)),
        Inputs(checkpoint, data),
        store=Store(tmp_path / "store"),
        runtime=TrainRuntime(checkpoint_every=2, log_every=1),
        emit=emit,
    )


def test_other_classes_get_a_new_head_and_larger_images_more_positions(tmp_path):
    before = made.checkpoint(Store(tmp_path / "store"))
    data = dataset(tmp_path, ("one", "two", "three"))
    events = []
    after = finetune(tmp_path, before, data, emit=events.append, model={"resolution": 16})
    assert any("a new head: 3 classes" in e.text for e in events if isinstance(e, Note))
    assert after.summary["classes"] == ["one", "three", "two"]
    assert after.summary["classes_before"] == sorted(made.CLASSES)
    assert [p.role for p in after.manifest.parents] == ["from", "data"]
    rows = read(run_of(after).metrics)
    assert [row["step"] for row in rows if row["kind"] == "train"] == [1, 2, 3, 4]
    assert {row["split"] for row in rows if row["kind"] == "eval"} == {"val"}
    assert rows[0]["loss"] == pytest.approx(np.log(3), abs=1e-5)  # a head of zeros

    again = finetune(tmp_path, before, data, model={"resolution": 16})
    assert again.digest == after.digest


def adapted(classes_after, **changes):
    cfg = made.config()
    after = cfg.model.model_copy(update={"classes": len(classes_after), **changes})
    params = made.weights(cfg.model)
    return params, warm_start.adapt(
        params,
        before=cfg.model,
        after=after,
        classes_before=made.CLASSES,
        classes_after=classes_after,
        head="keep",
        seed=0,
    )


def test_the_same_names_in_another_order_keep_their_columns():
    turned = tuple(reversed(made.CLASSES))
    params, fitted = adapted(turned)
    np.testing.assert_array_equal(
        fitted["head"]["kernel"], np.asarray(params["head"]["kernel"])[:, ::-1]
    )


def test_positions_keep_their_corners():
    params, fitted = adapted(made.CLASSES, resolution=16)
    old = np.asarray(params["position"]).reshape(2, 2, -1)
    new = np.asarray(fitted["position"]).reshape(4, 4, -1)
    np.testing.assert_allclose(new[[0, 0, -1, -1], [0, -1, 0, -1]], old.reshape(4, -1), rtol=1e-6)


def test_another_architecture_is_refused():
    with pytest.raises(UsageError, match="another architecture"):
        adapted(made.CLASSES, width=32)


def test_the_paper_s_numbers(tmp_path):
    """Appendix D: batch 512, 20k steps, 500 warmup, cosine, no decay, 384 px."""
    before = made.checkpoint(Store(tmp_path / "store"), model={"resolution": 224, "patch": 16})
    images = pretraining.ImageFacts(examples=1_281_167, classes=1000, eval_split="val")
    branch = finetuning.resolve(before, images=images, duration=None, overrides={})
    cfg = TrainConfig.model_validate(branch.tree)
    assert (cfg.data.batch, cfg.steps, cfg.schedule.warmup_steps) == (512, 20_000, 500)
    assert (cfg.schedule.kind, cfg.schedule.peak_lr) == ("cosine", 0.03)
    assert (cfg.optim.name, cfg.optim.wd_head, cfg.optim.wd_body) == ("sgd", 0.0, 0.0)
    assert (cfg.optim.beta1, cfg.optim.clip_norm) == (0.9, 1.0)
    assert cfg.model.resolution == 384
