from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from vitctl.model.config import LATER, ModelConfig, from_name, nearest_sizes


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
        ({"classes": -1}, "greater than or equal to 0"),
        ({"head": "cls"}, "'map', 'gap', 'token' or 'distilled'"),
        ({"widht": 32}, "Extra inputs are not permitted"),
        ({"position_grid": 3}, "position_grid is of position='sincos2d'"),
        ({"head_bias": float("nan")}, "finite number"),
        ({"head": "token", "class_token": True}, "head='token' has one"),
        ({"head": "map", "norm_after_pool": True}, "'map', which reads normed tokens"),
        ({"mlp": "swiglu", "gelu": "exact", "head": "gap"}, "gelu='exact' is of plain MLPs"),
        ({"head": "distilled", "class_token": True}, "head='distilled' has one"),
        ({"head": "distilled", "norm_after_pool": True}, "of 32 features, and the head makes 64"),
        ({"projection": "linear"}, "needs pre_logits"),
        ({"pixel_std": (0.2, 0.0, 0.2)}, "outside"),
        ({"layer_scale": 0}, "greater than 0"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict, message: str) -> None:
    fields = from_name("test", classes=4).model_dump() | change
    with pytest.raises(ValidationError, match=message):
        ModelConfig(**fields)


@given(resolution=st.integers(1, 600), patch=st.integers(1, 40))
def test_nearest_sizes_are_the_multiples_around(resolution: int, patch: int) -> None:
    sizes = nearest_sizes(resolution, patch=patch)
    by_hand = min(range(patch, 700, patch), key=lambda size: (abs(size - resolution), -size))
    assert sizes[0] == by_hand
    assert all(size % patch == 0 and abs(size - resolution) < max(patch, 2) for size in sizes[1:])
    assert (sizes == (resolution,)) == (resolution % patch == 0)


def test_a_later_field_is_named_only_where_it_is_set() -> None:
    """Ids are of what is dumped: models without the field keep theirs."""
    config = from_name("test", classes=4, position="sincos2d")
    assert "position_grid" not in config.model_dump()
    spanning = ModelConfig(**config.model_dump(), position_grid=3)
    assert spanning.model_dump(mode="json")["position_grid"] == 3
    assert spanning != config


def test_every_later_field_has_a_default_that_is_not_named() -> None:
    config = from_name("test", classes=4)
    first = {
        "width", "depth", "mlp_dim", "heads", "patch", "resolution", "classes", "head",
        "pre_logits", "position", "head_bias",
    }  # fmt: skip
    assert set(config.model_dump()) == set(config.model_dump(mode="json")) == first
    assert ModelConfig.model_fields.keys() - first == set(LATER)


def test_names_validate_without_an_array_library() -> None:
    light = "vitctl.model.variants, vitctl.model.config, vitctl.model.accounting"
    light += ", vitctl.optim.schedules, vitctl.optim.config, vitctl.optim.decay"
    code = f"import sys, {light}; print(*sys.modules)"
    listed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "vitctl.optim.decay" in listed
    assert not {"jax", "flax", "numpy", "optax", "tensorflow", "typer", "rich"} & set(listed)
