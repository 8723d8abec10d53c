"""The first batch and the compiled step are made side by side."""

from __future__ import annotations

import threading
import weakref

import jax
import jax.monitoring
import pytest

from tests.train.conftest import ADAFACTOR
from tests.waiting import PATIENCE_S, until
from vitctl.events import Doing, silent
from vitctl.signals import under_way
from vitctl.train.run.feed import begun
from vitctl.train.run.images import Images
from vitctl.train.run.jitted import Jitted
from vitctl.train.telemetry.goodput import Meter


def test_the_first_is_made_before_it_is_asked_for_and_all_come_in_order():
    made = threading.Event()

    def numbers():
        made.set()
        yield from range(3)

    with begun(numbers()) as items:
        assert made.wait(PATIENCE_S)
        assert list(items) == [0, 1, 2]


def test_the_first_is_not_kept():
    """A batch of 4,096 images of 224 px is 2.5 GB, which would lie there until training ends."""

    class Batch:
        pass

    with begun(Batch() for _ in range(3)) as items:
        first = weakref.ref(next(items))
        assert first() is None
        next(items)


def test_an_error_that_is_known_is_raised_before_the_batch_is_asked_for():
    begins = threading.Event()

    def numbers():
        begins.wait()
        yield 1 // 0

    with begun(numbers()) as items:
        items.raise_error()
        begins.set()
        with pytest.raises(ZeroDivisionError):
            until(lambda: items.raise_error(), "there is no error")


def test_no_batches_are_none():
    with begun(iter(())) as items:
        assert list(items) == []


def test_an_error_is_raised_where_the_batch_is_asked_for():
    def numbers():
        yield 1 // 0

    with begun(numbers()) as items, pytest.raises(ZeroDivisionError):
        next(items)


def test_who_leaves_does_not_wait_and_the_batches_are_closed():
    goes_on, closed = threading.Event(), threading.Event()

    def numbers():
        try:
            goes_on.wait()
            yield 1
        finally:
            closed.set()

    with pytest.raises(KeyError), begun(numbers()):
        raise KeyError
    assert under_way()
    goes_on.set()
    until(lambda: not under_way(), "the thread goes on")
    assert closed.wait(PATIENCE_S)


def test_a_step_that_was_compiled_ahead_compiles_nothing_when_it_is_called():
    programs: list[str] = []

    def listen(name: str, seconds: float, **_: object) -> None:
        if "backend_compile" in name:
            programs.append(name)

    events: list[object] = []
    meter = Meter()
    function = Jitted(jax.jit(lambda x: x * 3 + 1))
    x = jax.numpy.ones(5)
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        function.compile(jax.ShapeDtypeStruct((5,), x.dtype), meter=meter, emit=events.append)
        assert len(programs) == 1
        y = function.timed(meter=meter, emit=events.append)(x)
        assert len(programs) == 1
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert y.tolist() == [4.0] * 5
    assert events == [Doing("compile")]
    assert meter.seconds["compile"] > 0


def test_training_compiles_while_its_first_batch_is_under_way(pretrain, monkeypatch):
    """A first batch that comes when the step is compiled; one after the other would never end."""
    is_compiled = threading.Event()
    train_batches = Images.train_batches

    def late(self, layout, *, start_step):
        assert is_compiled.wait(PATIENCE_S), "the step is compiled after the first batch"
        yield from train_batches(self, layout, start_step=start_step)

    def emit(event) -> None:
        if event == Doing("open"):
            is_compiled.set()
        silent(event)

    monkeypatch.setattr(Images, "train_batches", late)
    assert pretrain(4, emit=emit, **ADAFACTOR).step == 4
