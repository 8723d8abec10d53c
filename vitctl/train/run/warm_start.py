"""Pretrained weights made to fit the classes of a dataset, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from vitctl.data.classes import class_mapping
from vitctl.data.names import compose
from vitctl.model.config import ModelConfig
from vitctl.model.resize import resized

CHANGES = "position", "head"
"""Parameters that depend on resolution or classes."""


def same_classes(before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether two lists name the same classes, in any order and any form of Unicode."""
    return sorted(map(compose, before)) == sorted(map(compose, after))


def adapt(
    params: Any,
    *,
    before: ModelConfig,
    after: ModelConfig,
    classes_before: Sequence[str],
    classes_after: Sequence[str],
    seed: int,
) -> Any:
    """Weights of `before` as weights of `after` (see `vitctl.model.resize`). What may change,
    `CHANGES`, is given and returned on the host; the rest stays where it is.

    The classifier is kept, its columns moved to where their names are, if both sides name the same
    classes; else it starts anew.
    """
    keep = same_classes(classes_before, classes_after)
    fitted = resized(
        params,
        source=before,
        target=after,
        head="keep" if keep else "fresh",
        key=jax.random.key(seed),
    )
    if keep:
        order = class_mapping(dataset=classes_after, model=classes_before)
        head = jax.tree.map(np.asarray, fitted["head"])
        fitted["head"] = {"kernel": head["kernel"][:, order], "bias": head["bias"][order]}
    return fitted
