"""Learning rates as a function of the step, computed on the host in float64.

A schedule is trunk(t) · min(1, t / warmup) · cooldown(t), and a second warmup where it goes on with
a new optimizer. Steps count from 0, so the first update
of a warmed-up run has rate 0 and the last of a cooldown has a rate just above 0. Past the end the
rate is 0, never negative. Because the cooldown is a factor that is exactly 1 before it starts, a
trunk trained to N - c steps and then cooled for c sees bitwise the rates of one run of N steps.

Forms: "Scaling Vision Transformers" section 3.5 and figure 7, and big_vision's
`create_learning_rate_schedule`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, assert_never

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_serializer,
    model_validator,
)

from vitctl.settings.config import Config, without_defaults

Kind = Literal["rsqrt", "constant", "trapezoid", "linear", "cosine"]
CooldownShape = Literal["linear", "1-sqrt"]

OPEN_ENDED: tuple[Kind, ...] = ("rsqrt", "constant", "trapezoid")
"""Trunks that do not depend on the duration."""


class ScheduleConfig(Config):
    """A learning rate schedule.

    Attributes:
      kind: the trunk. `rsqrt`: peak / sqrt(1 + (t - warmup) / timescale). `constant`: the paper's,
        linear from the peak to `drop_to` · peak at `drop_end_steps`, flat after. `trapezoid`:
        flat (the paper's is flat at 1/8 of the rsqrt peak). `linear`, `cosine`: to 0 at the end.
      peak_lr: the rate at the end of the warmup.
      warmup_steps: length of the linear warmup; 0 means none.
      timescale_steps: of `rsqrt`; other kinds do not use it.
      drop_to, drop_end_steps: of `constant`; other kinds do not use them.
      total_steps: the duration, counted from step 0; required by `linear`, `cosine` and a cooldown.
      cooldown_steps: how many of the last steps cool down to 0; None means off.
      cooldown_shape: the factor over the cooldown's progress q: 1 - q, or 1 - sqrt(q)
        (https://arxiv.org/abs/2405.18392).
      rewarm_at, rewarm_steps: a second linear warmup, of a schedule that goes on with a new
        optimizer: from 0 to the trunk's rate over so many steps; 0 steps means none.
    """

    kind: Kind = "rsqrt"
    peak_lr: PositiveFloat
    warmup_steps: NonNegativeInt = 10_000
    timescale_steps: PositiveInt = 10_000
    drop_to: float = Field(default=0.1, gt=0, le=1)
    drop_end_steps: PositiveInt = 50_000
    total_steps: PositiveInt | None = None
    cooldown_steps: PositiveInt | None = None
    cooldown_shape: CooldownShape = "linear"
    rewarm_at: NonNegativeInt = 0
    rewarm_steps: NonNegativeInt = 0

    @model_serializer(mode="wrap")
    def _as_before(self, dump: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return without_defaults(self, dump, later=("rewarm_at", "rewarm_steps"))

    @model_validator(mode="after")
    def _lengths_fit(self) -> ScheduleConfig:
        if self.kind == "constant" and self.drop_end_steps <= self.warmup_steps:
            raise ValueError(
                f"drop_end_steps={self.drop_end_steps} is not after the warmup's "
                f"{self.warmup_steps} steps"
            )
        if self.total_steps is None:
            if self.kind not in OPEN_ENDED:
                raise ValueError(f"a {self.kind} schedule needs total_steps")
            if self.cooldown_steps is not None:
                raise ValueError("a cooldown needs total_steps")
            return self
        if self.kind not in OPEN_ENDED and self.warmup_steps >= self.total_steps:
            raise ValueError(
                f"warmup_steps={self.warmup_steps} is not less than total_steps={self.total_steps}"
            )
        if self.cooldown_steps is not None and self.cooldown_steps > self.total_steps:
            raise ValueError(
                f"cooldown_steps={self.cooldown_steps} is more than total_steps={self.total_steps}"
            )
        return self

    @property
    def open_ended(self) -> bool:
        """Whether the rates do not depend on the duration, so that more steps continue a run."""
        return self.kind in OPEN_ENDED and self.cooldown_steps is None

    def cooled(
        self, *, at_step: int, cooldown_steps: int, shape: CooldownShape = "linear"
    ) -> ScheduleConfig:
        """This open-ended schedule with a cooldown from `at_step` on: what a branch trains with.

        Raises:
          ValueError: the schedule already ends by itself.
        """
        if not self.open_ended:
            raise ValueError("only an open-ended schedule can be cooled down")
        fields = self.model_dump() | {
            "total_steps": at_step + cooldown_steps,
            "cooldown_steps": cooldown_steps,
            "cooldown_shape": shape,
        }
        return ScheduleConfig(**fields)


def value(config: ScheduleConfig, *, step: int) -> float:
    """The learning rate of the update that follows `step` finished updates.

    >>> value(ScheduleConfig(peak_lr=1.0, warmup_steps=10, timescale_steps=10), step=20)
    0.7071067811865475
    """
    if step < 0:
        raise ValueError(f"expected a step of at least 0, got {step}")
    return (
        config.peak_lr
        * _trunk(config, step=step)
        * _warmup(config, step=step)
        * _rewarm(config, step=step)
        * _cooldown(config, step=step)
    )


def _trunk(config: ScheduleConfig, *, step: int) -> float:
    after = max(0, step - config.warmup_steps)
    match config.kind:
        case "rsqrt":
            return 1.0 / math.sqrt(1.0 + after / config.timescale_steps)
        case "trapezoid":
            return 1.0
        case "constant":
            progress = min(1.0, after / (config.drop_end_steps - config.warmup_steps))
            return 1.0 - progress * (1.0 - config.drop_to)
        case "linear":
            return 1.0 - _progress(config, after=after)
        case "cosine":
            progress = _progress(config, after=after)
            return 0.5 * (1.0 + math.cos(math.pi * progress))
        case _:
            assert_never(config.kind)


def _progress(config: ScheduleConfig, *, after: int) -> float:
    """The share of a closed trunk that is done, `after` steps after the warmup."""
    assert config.total_steps is not None  # validated
    return min(1.0, after / (config.total_steps - config.warmup_steps))


def _warmup(config: ScheduleConfig, *, step: int) -> float:
    return min(1.0, step / config.warmup_steps) if config.warmup_steps else 1.0


def _rewarm(config: ScheduleConfig, *, step: int) -> float:
    since = step - config.rewarm_at
    if since < 0 or since >= config.rewarm_steps:
        return 1.0
    return since / config.rewarm_steps


def _cooldown(config: ScheduleConfig, *, step: int) -> float:
    if config.cooldown_steps is None:
        return 1.0
    assert config.total_steps is not None  # validated
    left = (config.total_steps - step) / config.cooldown_steps
    if left >= 1.0:
        return 1.0
    left = max(0.0, left)
    match config.cooldown_shape:
        case "linear":
            return left
        case "1-sqrt":
            return 1.0 - math.sqrt(1.0 - left)
        case _:
            assert_never(config.cooldown_shape)
