"""Shapes in annotations are checked while tests run: pyproject.toml, `--jaxtyping-packages`."""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import pytest
from flax import nnx
from jaxtyping import TypeCheckError

from vitctl.model.layers import Form, How, Mlp

ROOT = Path(__file__).resolve().parents[1]


def test_another_shape_than_the_annotated_one_is_found():
    mlp = Mlp(4, form=Form(heads=1, mlp_dim=8), rngs=nnx.Rngs(0))
    mlp(jnp.zeros((2, 3, 4)), how=How())
    with pytest.raises(TypeCheckError):
        mlp(jnp.zeros((3, 4)), how=How())


def test_every_module_that_annotates_shapes_is_checked(pytestconfig):
    *checked, by = pytestconfig.getoption("jaxtyping_packages").split(",")
    assert by == "beartype.beartype"
    for path in (ROOT / "vitctl").rglob("*.py"):
        if "from jaxtyping import" in path.read_text():
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            assert any(f"{module}.".startswith(f"{name}.") for name in checked), module
