"""Move trained parameters to another resolution or another set of classes."""

from __future__ import annotations

from typing import Literal

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from vitctl.errors import UsageError
from vitctl.model import posemb, vit
from vitctl.model.config import ModelConfig
from vitctl.model.vit import Params

FREE_FIELDS = frozenset({"resolution", "position_grid", "classes", "head_bias"})
"""What may differ between the two models; every other field is a different architecture."""


def resized(
    params: Params,
    *,
    source: ModelConfig,
    target: ModelConfig,
    head: Literal["keep", "fresh"],
    key: PRNGKeyArray,
) -> Params:
    """The parameters of `source` as a starting point for `target` (paper, appendix D).

    Learned position embeddings are resampled where the grid differs; fixed ones are no parameters
    (`target.position_grid` says what they span). The classifier is kept, or
    drawn anew for `target` ("fresh": zero kernel, bias `target.head_bias`).

    Raises:
      UsageError: the models differ in more than resolution and classes, or a classifier is to be
        kept for another number of classes.
    """
    old, new = source.model_dump(), target.model_dump()
    differing = sorted(f for f in old if f not in FREE_FIELDS and old[f] != new[f])
    if differing:
        told = ", ".join(f"{f} {old[f]} -> {new[f]}" for f in differing)
        raise UsageError(f"the checkpoint is of another architecture: {told}.")
    if head == "keep" and source.classes != target.classes:
        raise UsageError(
            f"a classifier of {source.classes} classes cannot be kept for {target.classes}.",
            hint="start it fresh.",
        )
    moved = dict(params)
    if "position" in params and source.grid != target.grid:
        moved["position"] = posemb.resample(
            np.asarray(params["position"]),
            old_grid=(source.grid, source.grid),
            new_grid=(target.grid, target.grid),
        )
    if head == "fresh":
        moved["head"] = jax.jit(lambda k: vit.init(target, key=k)["head"])(key)
    return moved
