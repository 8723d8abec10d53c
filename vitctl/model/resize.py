"""Move trained parameters to another resolution, size of patch or set of classes."""

from __future__ import annotations

from typing import Literal

import jax
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from vitctl.errors import UsageError
from vitctl.model import posemb, vit
from vitctl.model.config import FREE_FIELDS, ModelConfig
from vitctl.model.vit import Params


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
    (`target.position_grid` says what they span). The patch embedding of another size of patch is
    `patch_resized`. The classifier is kept, or drawn anew for `target` ("fresh": zero kernel, bias
    `target.head_bias`).

    Raises:
      UsageError: the models differ in more than resolution, patch and classes, or a classifier is
        to be kept for another number of classes.
    """
    fixed = sorted(set(ModelConfig.model_fields) - FREE_FIELDS)
    differing = [(f, getattr(source, f), getattr(target, f)) for f in fixed]
    differing = [(f, old, new) for f, old, new in differing if old != new]
    if differing:
        differences = ", ".join(f"{f} {old} -> {new}" for f, old, new in differing)
        raise UsageError(f"the checkpoint is of another architecture: {differences}.")
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
    if source.patch != target.patch:
        kernel = np.asarray(params["embedding"]["kernel"])
        resized_kernel = patch_resized(kernel, size=target.patch)
        moved["embedding"] = {**params["embedding"], "kernel": resized_kernel}
    if head == "fresh":
        moved["head"] = jax.jit(lambda k: vit.init(target, key=k)["head"])(key)
    return moved


def patch_resized(kernel: Float[np.ndarray, "p p 3 d"], *, size: int) -> Float[np.ndarray, "..."]:
    """A patch embedding for patches of another size, [size, size, 3, d].

    With B the matrix that resizes a patch, the kernel w' that for patches x minimises
    |w·x - w'·Bx|: the pseudo-inverse of B, transposed, on w (FlexiViT, https://arxiv.org/abs/
    2212.08013, section 3.4). Exact where patches become larger. Resizing one of ours twice is worse
    than once.
    """
    old = kernel.shape[0]
    if old == size:
        return kernel
    pixels = np.eye(old * old, dtype=np.float32).reshape(old, old, old * old)
    resized_pixels = jax.image.resize(pixels, (size, size, old * old), "bilinear")
    matrix = np.asarray(resized_pixels, np.float64).reshape(size * size, old * old)
    flat = kernel.astype(np.float64).reshape(old * old, -1)
    moved = np.linalg.pinv(matrix).T @ flat
    return moved.reshape(size, size, *kernel.shape[2:]).astype(kernel.dtype)
