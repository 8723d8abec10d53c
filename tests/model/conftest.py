from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

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


@pytest.fixture
def golden() -> Callable[[str, list[str]], None]:
    """Compare lines with a text that people review; UPDATE_GOLDEN=1 rewrites it."""
    folder = Path(__file__).parents[1] / "golden"

    def check(name: str, lines: list[str]) -> None:
        text = "\n".join(lines) + "\n"
        if os.environ.get("UPDATE_GOLDEN"):
            (folder / name).write_text(text)
        assert text == (folder / name).read_text()

    return check
