from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from vitctl.optim.schedules import ScheduleConfig, value

PAPER = {"peak_lr": 1.0, "warmup_steps": 10_000}


def at(config: ScheduleConfig, *steps: int) -> list[float]:
    return [value(config, step=step) for step in steps]


def test_rsqrt_is_the_papers_curve() -> None:
    """Figure 7: 0.316 at 100k, 0.226 at 196k, 0.155 at 418k; sqrt(10k / t) throughout."""
    config = ScheduleConfig(kind="rsqrt", **PAPER)
    points = at(config, 0, 5_000, 10_000, 100_000, 196_000, 418_000)
    assert points == pytest.approx([0, 0.5, 1, 0.316, 0.226, 0.155], abs=5e-4)
    assert value(config, step=123_456) == pytest.approx(math.sqrt(10_000 / 123_456), rel=1e-12)


def test_constant_is_the_papers_curve() -> None:
    """Figure 7: a linear drop to 0.1 by 50k, then flat."""
    config = ScheduleConfig(kind="constant", **PAPER)
    points = at(config, 5_000, 10_000, 30_000, 50_000, 50_001, 900_000)
    assert points == pytest.approx([0.5, 1, 0.55, 0.1, 0.1, 0.1], rel=1e-12)


def test_trapezoid_is_flat() -> None:
    """Figure 7: warmup to 0.125 of the rsqrt peak, flat, cooldown of 25k."""
    config = ScheduleConfig(
        kind="trapezoid", peak_lr=0.125, warmup_steps=10_000, total_steps=221_900,
        cooldown_steps=25_000,
    )  # fmt: skip
    points = at(config, 5_000, 10_000, 196_900, 209_400, 221_900)
    assert points == pytest.approx([0.0625, 0.125, 0.125, 0.0625, 0], rel=1e-12)


def test_rsqrt_with_cooldown_equals_the_reference() -> None:
    """Values that big_vision's schedule gives for T 100, warmup 10, timescale 10, cooldown 20."""
    config = ScheduleConfig(
        peak_lr=1.0, warmup_steps=10, timescale_steps=10, total_steps=100, cooldown_steps=20
    )
    points = at(config, 0, 5, 10, 20, 79, 80, 90, 99)
    expected = [0, 0.5, 1, 0.70711, 0.35578, 0.35355, 0.16667, 0.01589]
    assert points == pytest.approx(expected, abs=5e-6)


def test_linear_and_cosine() -> None:
    linear = ScheduleConfig(kind="linear", peak_lr=2.0, warmup_steps=10, total_steps=110)
    assert at(linear, 5, 10, 60, 110, 111) == pytest.approx([1, 2, 1, 0, 0])
    cosine = ScheduleConfig(kind="cosine", peak_lr=2.0, warmup_steps=10, total_steps=110)
    expected = [1, 2, 1 + math.sqrt(0.5), 1, 0, 0]
    assert at(cosine, 5, 10, 35, 60, 110, 999) == pytest.approx(expected)


def test_one_minus_sqrt_cooldown() -> None:
    config = ScheduleConfig(
        kind="trapezoid", peak_lr=1.0, warmup_steps=0, total_steps=100, cooldown_steps=16,
        cooldown_shape="1-sqrt",
    )  # fmt: skip
    assert at(config, 84, 85, 88, 93, 100) == pytest.approx([1, 0.75, 0.5, 0.25, 0])


lengths = st.integers(1, 60)


@st.composite
def schedules(draw: st.DrawFn) -> ScheduleConfig:
    kind = draw(st.sampled_from(["rsqrt", "constant", "trapezoid", "linear", "cosine"]))
    warmup = draw(st.integers(0, 30))
    total = warmup + draw(lengths)
    return ScheduleConfig(
        kind=kind,
        peak_lr=draw(st.floats(1e-6, 10)),
        warmup_steps=warmup,
        timescale_steps=draw(lengths),
        drop_end_steps=warmup + draw(lengths),
        total_steps=total,
        cooldown_steps=draw(st.none() | st.integers(1, total)),
        cooldown_shape=draw(st.sampled_from(["linear", "1-sqrt"])),
    )


@given(schedules(), st.integers(0, 200))
def test_never_negative_never_above_the_peak_zero_past_the_end(
    config: ScheduleConfig, step: int
) -> None:
    lr = value(config, step=step)
    assert 0 <= lr <= config.peak_lr
    if not config.open_ended and step >= config.total_steps:
        assert lr == 0


@given(
    kind=st.sampled_from(["rsqrt", "constant", "trapezoid"]),
    trunk_steps=st.integers(0, 60),
    cooldown_steps=lengths,
    shape=st.sampled_from(["linear", "1-sqrt"]),
)
def test_trunk_then_cooldown_is_one_run_bitwise(
    kind: str, trunk_steps: int, cooldown_steps: int, shape: str
) -> None:
    recipe = {"kind": kind, "peak_lr": 8e-4, "warmup_steps": 7, "drop_end_steps": 20}
    trunk = ScheduleConfig(**recipe)
    branch = trunk.cooled(at_step=trunk_steps, cooldown_steps=cooldown_steps, shape=shape)
    whole = ScheduleConfig(
        **recipe, total_steps=trunk_steps + cooldown_steps, cooldown_steps=cooldown_steps,
        cooldown_shape=shape,
    )  # fmt: skip
    assert branch == whole
    for step in range(trunk_steps + 1):
        assert value(trunk, step=step) == value(whole, step=step)
    assert value(whole, step=trunk_steps + cooldown_steps) == 0


def test_a_longer_trunk_has_the_same_rates() -> None:
    short = ScheduleConfig(peak_lr=1.0, warmup_steps=3, total_steps=20)
    long = ScheduleConfig(peak_lr=1.0, warmup_steps=3, total_steps=40)
    assert short.open_ended
    assert long.open_ended
    assert at(short, *range(20)) == at(long, *range(20))


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_closed_schedules_cannot_be_cooled(kind: str) -> None:
    config = ScheduleConfig(kind=kind, peak_lr=1.0, warmup_steps=1, total_steps=9)
    assert not config.open_ended
    with pytest.raises(ValueError, match="open-ended"):
        config.cooled(at_step=5, cooldown_steps=2)
    cooled = ScheduleConfig(peak_lr=1.0).cooled(at_step=5, cooldown_steps=2)
    assert not cooled.open_ended
    with pytest.raises(ValueError, match="open-ended"):
        cooled.cooled(at_step=6, cooldown_steps=2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "cosine"}, "a cosine schedule needs total_steps"),
        ({"cooldown_steps": 5}, "a cooldown needs total_steps"),
        ({"kind": "linear", "total_steps": 10_000}, "is not less than total_steps=10000"),
        ({"total_steps": 9, "cooldown_steps": 10}, "cooldown_steps=10 is more than total_steps=9"),
        ({"kind": "constant", "warmup_steps": 50_000}, "drop_end_steps=50000 is not after"),
        ({"kind": "stair"}, "'rsqrt', 'constant', 'trapezoid', 'linear' or 'cosine'"),
        ({"peak_lr": 0}, "greater than 0"),
        ({"cooldwn_steps": 3}, "Extra inputs"),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ScheduleConfig(**({"peak_lr": 1.0} | fields))


def test_steps_before_the_first_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 0, got -1"):
        value(ScheduleConfig(peak_lr=1.0), step=-1)
