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
    return _InStep(function)  # type: ignore[return-value]


def compile_ahead(function: Any, *args: Any) -> None:
    """Compile a jitted function, or one of `in_step`, for arguments of these shapes, types and
    shardings (arrays, or `jax.ShapeDtypeStruct`): its first call with such compiles nothing. Of
    several processes all must call this."""
    if isinstance(function, _InStep):
        function.program(args)
    else:
        function.lower(*args).compile()


class _InStep:
    """See `in_step`."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self._programs: dict[Any, Any] = {}

    def __call__(self, *args: Any) -> Any:
        return self.program(args)(*args)

    def program(self, args: tuple[Any, ...]) -> Any:
        leaves, tree = jax.tree.flatten(args)
        shapes = (tree, tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves))
        if shapes not in self._programs:
            self._programs[shapes] = self._function.lower(*args).compile()
            processes.gather("compiled", None)
        return self._programs[shapes]
