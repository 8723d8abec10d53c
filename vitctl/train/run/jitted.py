"""Jitted functions whose compilation is measured and announced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

from vitctl.events import Doing, Emit
from vitctl.train.telemetry.goodput import Meter

P = ParamSpec("P")
T = TypeVar("T")


class Jitted(Generic[P, T]):
    """A jitted function, whose first call compiles: jit does that before it queues work."""

    def __init__(self, function: Callable[P, T]) -> None:
        self._function = function
        self._called = False

    def timed(self, *, meter: Meter, emit: Emit) -> Callable[P, T]:
        """The function; the time of the first call of all counts as compiling."""

        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            if self._called:
                return self._function(*args, **kwargs)
            self._called = True
            emit(Doing("compile"))
            with meter.during("compile"):
                result = self._function(*args, **kwargs)
            emit(Doing("score" if meter.account == "evaluation" else "step"))
            return result

        return call
