"""Pretrained weights made to fit the classes of a dataset, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.kinds import CHECKPOINT
from vitctl.data.classes import class_mapping
from vitctl.model import shapes
from vitctl.model.config import ModelConfig
from vitctl.model.resize import resized
from vitctl.train.carried_over import same_classes, trained_with
from vitctl.train.config import FromHead, TrainConfig

CHANGES = "embedding", "position", "head"
"""Parameters that depend on the size of patches, resolution or classes."""


def adapt(
    params: Any,
    *,
    before: ModelConfig,
    after: ModelConfig,
    classes_before: Sequence[str],
    classes_after: Sequence[str],
    head: FromHead,
    seed: int,
) -> Any:
    """Weights of `before` as weights of `after` (see `vitctl.model.resize`). What may change,
    `CHANGES`, is given and returned on the host; the rest stays where it is.

    The classifier is kept, its columns moved to where their names are, if both sides name the same
    classes and `head` is "keep"; else it starts anew.
    """
    keep = head == "keep" and same_classes(classes_before, classes_after)
    fitted = resized(
        params,
        source=before,
        target=after,
        head="keep" if keep else "fresh",
        key=jax.random.key(seed),
    )
    if keep:
        order = class_mapping(dataset=classes_after, model=classes_before)
        old = jax.tree.map(np.asarray, fitted["head"])
        fitted["head"] = {"kernel": old["kernel"][:, order], "bias": old["bias"][order]}
    return fitted


def taken(checkpoint: Artifact, cfg: TrainConfig, *, classes: Sequence[str]) -> str:
    """Which of a checkpoint's tensors a run with these settings and classes begins with: taken,
    resampled, made new."""
    before, summary = trained_with(checkpoint), CHECKPOINT.summary(checkpoint)
    old, new = (
        {name: len(jax.tree.leaves(part)) for name, part in shapes.of_params(model).items()}
        for model in (before.model, cfg.model)
    )
    changed = []
    same = cfg.model.classes > 0 and same_classes(summary.classes, classes)
    if same and cfg.from_head == "keep":
        order = "" if list(summary.classes) == list(classes) else ", its columns moved by name"
        changed.append(f"the head is kept: the same {len(classes):,} classes{order}")
    else:
        new.pop("head", None)
        are = "the same" if same else f"{len(classes):,}"
        before_that = "" if same else f", before were {len(summary.classes):,}"
        changed.append(f"a new head: {are} classes{before_that}")
    patches = [model.patch for model in (before.model, cfg.model)]
    if patches[0] != patches[1]:
        changed.append(f"the embedding of {patches[0]} px patches, resampled for {patches[1]} px")
    grids = [f"{model.grid}x{model.grid}" for model in (before.model, cfg.model)]
    if grids[0] != grids[1]:
        how = "resampled" if "position" in old else "fixed, span the same image"
        changed.append(f"position embeddings of {grids[0]} patches, {how} for {grids[1]}")
    whose = "averaged weights" if cfg.from_weights == "ema" else "weights"
    count = sum(number for name, number in new.items() if name in old)
    return f"{count:,} tensors of {checkpoint.path} ({whose}); {'; '.join(changed)}"
