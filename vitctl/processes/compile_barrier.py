"""Programs that several processes run together."""

from __future__ import annotations

from typing import Any, TypeVar

import jax

from vitctl import processes

F = TypeVar("F")


def in_step(function: F) -> F:
    """A jitted function whose program all processes have compiled before one of them runs it.

    One compiles in a second what another had to build for a minute, and Gloo (collectives between
    CPUs) gives up when a process comes 30 s late. In a process alone this is `function`.
    """
    if processes.count() == 1:
        return function
    programs: dict[Any, Any] = {}

    def call(*args: Any) -> Any:
        leaves, tree = jax.tree.flatten(args)
        shapes = (tree, tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves))
        if shapes not in programs:
            programs[shapes] = function.lower(*args).compile()  # type: ignore[attr-defined]
            processes.gather("compiled", None)
        return programs[shapes](*args)

    return call  # type: ignore[return-value]
