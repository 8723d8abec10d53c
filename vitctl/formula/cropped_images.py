"""Formula images as training sees them, made on devices: pictures, windows of them, mirrored.

The pictures are those of hosts to the bit (`vitctl.formula.maker`). Resizing a window is arithmetic
in float32, so images of devices and of hosts agree up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from vitctl.formula.family import FormulaConfig
from vitctl.formula.maker import device_maker
from vitctl.formula.rings import Rings
from vitctl.formula.systems import Systems

DRAWN = 7
"""Integers that an image is made of: class, instance, top, left, height, width, mirrored."""

_AT_ONCE = 32
"""Pictures that are made at once; each has some 100,000 points, of which a device holds a few
integers."""


def device_images(
    config: FormulaConfig, *, resolution: int
) -> tuple[Systems | Rings, Callable[[Any, Any], Any]]:
    """Tables of the classes, and a function (tables, int32[b, 7]) -> float32[b, r, r, 3] in
    [-1, 1] of jax arrays, to be called inside `jax.jit`: the images that
    `vitctl.data.preprocess.train_image` makes of the same pictures, windows and flips, up to
    rounding.

    A window that is `resolution` pixels wide and high is taken as it is.
    """
    import jax
    import jax.numpy as jnp

    tables, pictures = device_maker(config)

    def some(tables: Systems | Rings, drawn: Any) -> Any:
        index, instance, top, left, height, width, mirrored = jnp.moveaxis(drawn, 1, 0)
        whole = pictures(tables, index, instance).astype(jnp.float32)
        rows = _weights(top, height, size=config.resolution, to=resolution)
        columns = _weights(left, width, size=config.resolution, to=resolution)
        # On accelerators products are rounded to fewer bits unless told otherwise.
        resized = jnp.einsum("bxw,bhwc->bhxc", columns, whole, precision="highest")
        resized = jnp.einsum("byh,bhxc->byxc", rows, resized, precision="highest")
        is_mirrored = (mirrored != 0)[:, None, None, None]
        return jnp.where(is_mirrored, resized[:, :, ::-1], resized) / 127.5 - 1.0

    def images(tables: Systems | Rings, drawn: Any) -> Any:
        count = drawn.shape[0]
        at_once = min(count, _AT_ONCE)
        drawn = jnp.pad(drawn, ((0, -count % at_once), (0, 0)))
        blocks = drawn.reshape(-1, at_once, DRAWN)
        made = jax.lax.map(lambda block: some(tables, block), blocks)
        return made.reshape(-1, resolution, resolution, 3)[:count]

    return tables, images


def _weights(first: Any, extent: Any, *, size: int, to: int) -> Any:
    """float32[b, to, size]: how much each of `size` pixels counts for each of `to` in a window of
    `extent` pixels from `first`, int32[b] each; bilinear, with the centres of pixels at halves and
    no antialiasing, as `tf.image.resize` does it."""
    import jax
    import jax.numpy as jnp

    scale = extent.astype(jnp.float32) / np.float32(to)
    centres = (jnp.arange(to, dtype=jnp.float32) + 0.5)[None] * scale[:, None] - 0.5
    below = jnp.floor(centres)
    share = (centres - below)[..., None]
    last = extent[:, None] - 1
    lower = jnp.maximum(below.astype(jnp.int32), 0)
    upper = jnp.minimum(below.astype(jnp.int32) + 1, last)

    def one(places: Any) -> Any:
        return jax.nn.one_hot(places + first[:, None], size, dtype=jnp.float32)

    return one(lower) * (1.0 - share) + one(upper) * share
