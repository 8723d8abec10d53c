"""Pretrained weights made to fit another resolution and other classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vitctl.errors import UsageError
from vitctl.model import posemb, vit
from vitctl.model.config import ModelConfig


def adapt(
    params: Any,
    *,
    before: ModelConfig,
    after: ModelConfig,
    classes_before: Sequence[str],
    classes_after: Sequence[str],
    seed: int,
) -> Any:
    """Weights of `before` as weights of `after`, on the host.

    Position embeddings are resampled to the new grid. The classifier is kept, its columns moved to
    the same names, where both sides name the same classes; else it starts anew (at zero).

    Raises UsageError if the two models differ in more than resolution and classes.
    """
    free = {"resolution", "classes", "head_bias"}
    differing = [
        name
        for name in ModelConfig.model_fields
        if name not in free and getattr(before, name) != getattr(after, name)
    ]
    if differing:
        name = differing[0]
        raise UsageError(
            f"fine-tuning keeps the pretrained model, but model.{name} is "
            f"{getattr(before, name)} there and {getattr(after, name)} here",
            hint=f"leave out model.{name}",
        )
    params = {key: jax.tree.map(np.asarray, value) for key, value in params.items()}
    if after.position == "learned" and before.grid != after.grid:
        old, new = before.grid, after.grid
        resampled = posemb.resample(params["position"], old_grid=(old, old), new_grid=(new, new))
        params["position"] = np.asarray(resampled, np.float32)
    if sorted(classes_before) == sorted(classes_after):
        column = {name: i for i, name in enumerate(classes_before)}
        order = [column[name] for name in classes_after]
        head = params["head"]
        params["head"] = {"kernel": head["kernel"][:, order], "bias": head["bias"][order]}
    else:
        fresh = vit.init(after, key=jax.random.key(seed))["head"]
        params["head"] = jax.tree.map(np.asarray, fresh)
    return jax.tree.map(jnp.asarray, params)
