"""Jitted functions whose compilation is measured and announced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

from vitctl import processes
from vitctl.events import Doing, Emit
from vitctl.processes.compile_barrier import compile_ahead
from vitctl.signals import unless_abandoned
from vitctl.train.telemetry.goodput import Meter

P = ParamSpec("P")
T = TypeVar("T")


class Jitted(Generic[P, T]):
    """A jitted function, whose first call compiles: jit does that before it queues work."""

    def __init__(self, function: Callable[P, T]) -> None:
        self._function = function
        self._called = False

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Without a measurement, of what was compiled before."""
        return self._function(*args, **kwargs)

    def compile(self, *args: Any, meter: Meter, emit: Emit) -> None:
        """Compile now for arguments of these shapes, which may be `jax.ShapeDtypeStruct`: a call
        that is to come finds the program. Measured and announced as the first call is, which then
        is not."""
        if self._called:
            return
        emit(Doing("compile"))
        with meter.during("compile"):
            compile_ahead(self._function, *args)
        self._called = True

    def timed(
        self, *, meter: Meter, emit: Emit, gives_up: Callable[[], bool] | None = None
    ) -> Callable[P, T]:
        """The function; the time of the first call of all counts as compiling.

        With `gives_up` that call raises Abandoned when it says so, however long the compiler takes
        from there; of several processes none may leave the others alone with it.
        """

        def first(*args: P.args, **kwargs: P.kwargs) -> T:
            if gives_up is None or processes.count() > 1:
                return self._function(*args, **kwargs)
            return unless_abandoned(lambda: self._function(*args, **kwargs), gives_up=gives_up)

        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            if self._called:
                return self._function(*args, **kwargs)
            emit(Doing("compile"))
            with meter.during("compile"):
                result = first(*args, **kwargs)
            self._called = True
            emit(Doing("score" if meter.account == "evaluation" else "step"))
            return result

        return call
