from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import pytest
from jaxtyping import Array

from vitctl.model.config import ModelConfig


@pytest.fixture
def images() -> Callable[..., Array]:
    def make(config: ModelConfig, *, batch: int = 2, seed: int = 1) -> Array:
        shape = (batch, config.resolution, config.resolution, 3)
        return jax.random.uniform(jax.random.key(seed), shape, jnp.float32, -1.0, 1.0)

    return make
