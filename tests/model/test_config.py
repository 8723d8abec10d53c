from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from vitctl.model.config import ModelConfig, from_name


def test_pixels_that_fill_no_patch_are_not_tokens() -> None:
    config = from_name("g14", classes=10, resolution=384)
    assert (config.grid, config.tokens) == (27, 729)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heads": 3}, "heads=3 does not divide width=32"),
        ({"resolution": 7}, "resolution=7 is smaller than one patch of 8"),
        ({"position": "sincos2d", "width": 30, "heads": 1}, "that 4 divides, not 30"),
        ({"position": "sincos2d", "width": 4, "heads": 1}, "at least 8"),
        ({"depth": 0}, "greater than 0"),
        ({"classes": 0}, "greater than 0"),
        ({"head": "cls"}, "'map', 'gap' or 'token'"),
        ({"widht": 32}, "Extra inputs are not permitted"),
        ({"head_bias": float("nan")}, "finite number"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict, message: str) -> None:
    fields = from_name("test", classes=4).model_dump() | change
    with pytest.raises(ValidationError, match=message):
        ModelConfig(**fields)


def test_names_validate_without_an_array_library() -> None:
    light = "vitctl.model.variants, vitctl.model.config, vitctl.model.accounting"
    light += ", vitctl.optim.schedules, vitctl.optim.config, vitctl.optim.decay"
    code = f"import sys, {light}; print(*sys.modules)"
    listed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "vitctl.optim.decay" in listed
    assert not {"jax", "flax", "numpy", "optax", "tensorflow", "typer", "rich"} & set(listed)
