"""The settings of a study. Imports no array library."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from vitctl.scaling.names import Against, FormSetting, FrontierRule, Resampling, Space, Unit
from vitctl.settings.config import Config


class ColumnsConfig(Config):
    """Which columns of the table are what.

    Attributes:
      compute: what a run cost, in any one unit.
      error, accuracy: exactly one of them; which of the two the column holds.
      unit: percent or fraction, or `none` for a loss; None tells it by the values, and asks where
        that is ambiguous.
      compute_unit: how to name the unit of compute; None takes the column's name.
      model, data_size, images: further columns; None takes `model`, `data_size` and `images_seen`
        where the table has them.
      seed: column of seeds: runs of one cell are averaged; None takes `seed` where
        the table has it, an empty name takes every row as a cell.
      where: conditions a row must meet, as in `model=G/14` or `steps>=20000`.
      missing: refuse a row with an empty cell that is needed, or skip it.
    """

    compute: str | None = None
    error: str | None = None
    accuracy: str | None = None
    unit: Unit | None = None
    compute_unit: str | None = None
    model: str | None = None
    data_size: str | None = None
    images: str | None = None
    seed: str | None = None
    where: tuple[str, ...] = ()
    missing: Literal["refuse", "skip"] = "refuse"

    @model_validator(mode="after")
    def _one_metric(self) -> Self:
        if self.error is not None and self.accuracy is not None:
            raise ValueError("error and accuracy are both given; keep one of them")
        if self.accuracy is not None and self.unit == "none":
            raise ValueError("an accuracy is percent or a fraction; a loss goes with error")
        return self

    @model_serializer(mode="wrap")
    def _without_seed(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without the setting where it says nothing, so that fits made before there was one keep
        their ids."""
        fields: dict[str, Any] = dump(self)
        if self.seed is None:
            del fields["seed"]
        return fields

    @property
    def metric(self) -> str | None:
        return self.error if self.accuracy is None else self.accuracy


class BoundsConfig(Config):
    """Closed bounds of the parameters; None: none on that side. `d_max` None is the largest
    compute, `a_min` None any positive number; of a loss `c_max` is None if left out."""

    a_min: PositiveFloat | None = None
    a_max: PositiveFloat | None = None
    b_min: float = Field(default=0.0, ge=0)
    b_max: PositiveFloat = 5.0
    c_min: float = Field(default=0.0, ge=0)
    c_max: float | None = Field(default=1.0, ge=0)
    d_min: float = Field(default=0.0, ge=0)
    d_max: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name in "abcd":
            low, high = getattr(self, f"{name}_min"), getattr(self, f"{name}_max")
            if low is not None and high is not None and low > high:
                raise ValueError(f"{name}_min={low:g} is above {name}_max={high:g}")
        return self


class LawConfig(Config):
    """How the law is fitted.

    Attributes:
      form: saturating a(C+d)^-b+c; floor aC^-b+c; shift a(C+d)^-b; power aC^-b; auto, the one of
        them that predicts held-out runs best.
      frontier: running-minimum; hull, the lower convex hull in log-log; all points.
      space: least squares in error or in log error.
      huber: residuals past it, in that space, count linearly; None means squares throughout.
    """

    form: FormSetting = "saturating"
    frontier: FrontierRule = "running-minimum"
    space: Space = "error"
    huber: PositiveFloat | None = None
    bounds: BoundsConfig = BoundsConfig()


class ScalingConfig(Config):
    """A study of one table.

    Attributes:
      level: of every interval.
      draws: bootstrap tables; the other simulations take a fixed share of it.
      resampling: draw whole runs; runs, and of each cell its seeds; or residuals on the frontier.
        A table with repeated seeds resolves to `seeds` where the setting is left out.
      noise: known standard deviation of one run's error, a fraction, or of its loss; None
        estimates it.
      budgets: compute for which to say what to train.
      below: compute up to which forms are fitted to predict the rest; None takes a tenth and a
        hundredth of the largest.
      compare: pairs of models MODEL:REFERENCE for sample efficiency; None takes all.
      against: a published law to compare with (vitctl.scaling.published); `auto`: the one whose
        points the table's columns name, if any.
    """

    columns: ColumnsConfig = ColumnsConfig()
    law: LawConfig = LawConfig()
    level: float = Field(default=0.95, gt=0, lt=1)
    draws: PositiveInt = Field(default=1000, ge=100)
    seed: NonNegativeInt = 0
    resampling: Resampling = "rows"
    noise: PositiveFloat | None = None
    budgets: tuple[PositiveFloat, ...] = ()
    below: tuple[PositiveFloat, ...] | None = None
    compare: tuple[str, ...] | None = None
    against: Against = "auto"
