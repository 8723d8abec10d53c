"""Which optimizer, with which numbers. The learning rate belongs to the schedule."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, field_validator, model_serializer

from vitctl.settings.config import Config, without_defaults

Name = Literal["adafactor", "adam", "sgd"]
MomentumDtype = Literal["bfloat16", "float32"]
Fraction = Annotated[float, Field(ge=0, lt=1)]
SPIKE_SIGMAS = 6.0
"""Deviations above the mean from which on OLMo and MaxText leave an update out."""

AverageDecay = Annotated[float, Field(gt=0, le=1)]
LayerDecay = Annotated[float, Field(gt=0, le=1)]


class OptimConfig(Config):
    """An optimizer; the defaults are the paper's pretraining (section 3.4 and figure 5).

    A step is `-lr · (u + decay · parameter)`, with u the optimizer's direction for the clipped
    gradient and lr the scheduled rate, as AdamW writes it. (big_vision multiplies its `wd` by the
    schedule but not by the peak rate: its wd = 0.03 · 8e-4 is our 0.03, and its Adam recipe of
    lr 1e-3 with wd 1e-4 is our 0.1.)

    Attributes:
      name: `adafactor` is the paper's variant: factored second moments, no update clipping, no
        parameter scaling. `adam` keeps full second moments. `sgd` is momentum alone.
      beta1: decay of the first moment (adafactor: of the preconditioned direction, not debiased).
      beta2: of `adam`; of `adafactor` the cap on 1 - t^-0.8. `sgd` does not use it.
      momentum_dtype: storage of the first moment. In bf16 it costs half the fp32 parameters.
      clip_norm: global norm above which a gradient is scaled down; None means off.
      wd_head: decay of the classifier's kernel.
      wd_body: decay of every other kernel. Biases, norms, embeddings of positions, the [class]
        token and the probe never decay.
      ema: decay of a Polyak average of the weights (`vitctl.optim.average`), kept beside them; 1
        is the mean of all updates alike; None means off. It changes no weight.
      skip_spikes: an update whose log gradient norm is so many standard deviations above its
        recent mean (`vitctl.optim.spikes`) is left out; None means off.
      layer_decay: the learning rate is this times smaller with each layer from the last to the
        first (`vitctl.optim.rates`); None means the same rate for all.
      freeze: regular expressions of whole names of parameters that are not trained.
    """

    name: Name = "adafactor"
    beta1: Fraction = 0.9
    beta2: Fraction = 0.999
    momentum_dtype: MomentumDtype = "bfloat16"
    clip_norm: PositiveFloat | None = 1.0
    wd_head: NonNegativeFloat = 3.0
    wd_body: NonNegativeFloat = 0.03
    ema: AverageDecay | None = None
    skip_spikes: PositiveFloat | None = None
    layer_decay: LayerDecay | None = None
    freeze: tuple[str, ...] = ()

    @model_serializer(mode="wrap")
    def _as_before(self, dump: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return without_defaults(self, dump, later=("layer_decay", "freeze"))

    @field_validator("freeze")
    @classmethod
    def _are_expressions(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern} is no regular expression: {error}") from None
        return patterns
