"""Parameters as they were read, made to fit the size of image and patch that is wanted."""

from __future__ import annotations

import numpy as np

from vitctl.interop.matching import Params
from vitctl.model import posemb
from vitctl.model.config import ModelConfig
from vitctl.model.resize import patch_resized


def fitted(params: Params, *, grid: tuple[int, int], patch: int, config: ModelConfig) -> Params:
    """The parameters of a model of `patch`, with position embeddings for `grid`, for `config`.

    Position embeddings are resampled bilinearly, corners in place, as fine-tuning does; a patch
    embedding by the pseudo-inverse of the resizing of patches (FlexiViT).
    """
    made = dict(params)
    side = config.grid
    if "position" in params:
        made["position"] = posemb.resample(
            np.asarray(params["position"]), old_grid=grid, new_grid=(side, side)
        )
    if patch != config.patch:
        kernel = np.asarray(params["embedding"]["kernel"])
        made["embedding"] = {
            **params["embedding"],
            "kernel": patch_resized(kernel, size=config.patch),
        }
    return made
