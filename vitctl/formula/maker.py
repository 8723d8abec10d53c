"""Pictures from (class, instance): one on hosts with NumPy, one for devices inside `jax.jit`.

Both call the same functions with another array module, and all arithmetic is in integers, so that
they agree to the bit.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitctl.formula import fractal, rings
from vitctl.formula.family import MOST_FRACTALS, FormulaConfig
from vitctl.formula.integers import Array, image_keys, random_bits, uniform
from vitctl.formula.rings import Rings
from vitctl.formula.systems import Systems, draw_systems

_FAMILY = {"fractal": 1, "multi": 2, "atom": 3, "contour": 4}
_SLOT, _SLOTS = 7, 8
_SMALL_ORBITS = fractal.ORBITS // 4
"""A fractal of at most 0.6 of a picture's width has about a third of the pixels."""

BLOCK = 16
"""Pictures that a host makes at once: below 8, NumPy's calls cost more than their work."""


class HostMaker:
    """Makes pictures with NumPy; holds the classes' tables, 1.2 kB a class.

    Thread-safe: nothing changes after it is built.
    """

    def __init__(self, config: FormulaConfig) -> None:
        self.config = config
        self.classes = class_tables(config)

    def pictures(
        self, classes: NDArray[np.int64], instances: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        """uint8[b, r, r, 3] of class and instance, int64[b] each."""
        blocks = [
            made(np, self.config, self.classes, classes[i : i + BLOCK], instances[i : i + BLOCK])
            for i in range(0, len(classes), BLOCK)
        ]
        return np.concatenate(blocks)


def device_maker(config: FormulaConfig) -> tuple[Systems | Rings, Callable[..., Any]]:
    """Tables of the classes, and a function (tables, classes int32[b], instances int32[b]) ->
    uint8[b, r, r, 3] of jax arrays, to be called inside `jax.jit`.

    The tables are arguments, so that they lie on the device once (`jax.device_put`) and not in the
    program.
    """
    import jax.numpy as jnp

    _let_jax_take_tables()

    def pictures(tables: Systems | Rings, classes: Array, instances: Array) -> Array:
        return made(jnp, config, tables, classes, instances)

    return class_tables(config), pictures


@functools.cache
def _let_jax_take_tables() -> None:
    """As arguments of functions that it compiles. (Once: jax refuses a second time.)"""
    import jax

    for kind in (Systems, Rings):
        names = [part.name for part in fields(kind)]
        jax.tree_util.register_dataclass(kind, data_fields=names, meta_fields=[])


@functools.lru_cache(maxsize=4)
def class_tables(config: FormulaConfig) -> Systems | Rings:
    """The classes of a set, drawn on the host once a process; a thousand fractals take 3 s."""
    match config.family:
        case "fractal" | "multi":
            return draw_systems(config.seed, config.classes)
        case "atom" | "contour":
            return rings.draw_rings(config.family, config.seed, config.classes)


def made(
    xp: Any, config: FormulaConfig, tables: Systems | Rings, classes: Array, instances: Array
) -> Array:
    """uint8[b, r, r, 3] with the array module `xp`."""
    size = config.resolution
    keys = image_keys(xp, config.seed, _FAMILY[config.family], classes, instances)
    match config.family:
        case "fractal":
            systems = _rows(tables, classes)
            x, y = fractal.attractors(xp, keys, systems)
            pixels = fractal.pixels(xp, x, y, fractal.views(xp, keys, size), size)
            counts = fractal.counted(xp, pixels, size)
            return fractal.painted(xp, keys, keys[:, None, :], counts[:, None])
        case "multi":
            return _several(xp, config, tables, keys, classes)
        case "atom" | "contour":
            pixels, grey = rings.ring_points(xp, config.family, keys, _rows(tables, classes), size)
            return rings.drawn(xp, config.family, pixels, grey, size)


def _several(
    xp: Any, config: FormulaConfig, tables: Systems | Rings, keys: Array, classes: Array
) -> Array:
    size, images = config.resolution, keys.shape[0]
    count, drawn = _slots(xp, config, keys, classes)
    slots = xp.stack(
        [image_keys(xp, _SLOT, slot, keys[:, 0], keys[:, 1]) for slot in range(MOST_FRACTALS)],
        axis=1,
    )
    flat = slots.reshape(-1, 2)
    systems = _rows(tables, drawn.reshape(-1))
    x, y = fractal.attractors(xp, flat, systems, orbits=_SMALL_ORBITS)
    pixels = fractal.pixels(xp, x, y, fractal.small_views(xp, flat, size), size)
    counts = fractal.counted(xp, pixels, size).reshape(images, MOST_FRACTALS, size, size)
    used = xp.arange(MOST_FRACTALS, dtype=np.int32)[None, :] < count[:, None]
    counts = xp.where(used[:, :, None, None], counts, np.int32(0))
    return fractal.painted(xp, keys, slots, counts)


def _slots(xp: Any, config: FormulaConfig, keys: Array, classes: Array) -> tuple[Array, Array]:
    """int32[b] fractals of each picture, and int32[b, 5] the class of each place; the first is the
    picture's own, so that every class has as many pictures as any other."""
    bits = random_bits(xp, keys, _SLOTS, MOST_FRACTALS)
    count = uniform(bits[:, 0], 1, MOST_FRACTALS)
    if config.classes <= 1 << 16:
        others = uniform(bits[:, 1:], 0, config.classes - 1)
    else:
        others = (bits[:, 1:] % np.uint32(config.classes)).astype(np.int32)
    return count, xp.concatenate([classes.astype(np.int32)[:, None], others], axis=1)


def labels_of(
    config: FormulaConfig, classes: NDArray[np.int64], instances: NDArray[np.int64]
) -> NDArray[np.int32]:
    """int32[b, L] class indices, padded with -1, no class twice in a row; nothing is drawn."""
    if config.family != "multi":
        return classes.astype(np.int32)[:, None]
    keys = image_keys(np, config.seed, _FAMILY[config.family], classes, instances)
    count, drawn = _slots(np, config, keys, classes)
    used = np.arange(MOST_FRACTALS)[None, :] < count[:, None]
    for slot in range(1, MOST_FRACTALS):
        used[:, slot] &= (drawn[:, :slot] != drawn[:, slot : slot + 1]).all(axis=1)
    # Those in use first, then -1.
    order = np.argsort(~used, axis=1, kind="stable")
    return np.take_along_axis(np.where(used, drawn, -1), order, axis=1).astype(np.int32)


def _rows(tables: Any, classes: Array) -> Any:
    """The rows of tables of classes."""
    return type(tables)(*[getattr(tables, part.name)[classes] for part in fields(tables)])
