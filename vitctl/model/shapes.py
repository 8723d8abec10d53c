"""Shapes and types of a model's weights; nothing is allocated."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax

from vitctl.model import vit
from vitctl.model.config import ModelConfig


@cache  # several runs in one process trace each model once
def of_params(config: ModelConfig) -> Any:
    """The tree of weights as `jax.ShapeDtypeStruct`s."""
    return jax.eval_shape(lambda: vit.init(config, key=jax.random.key(0)))
