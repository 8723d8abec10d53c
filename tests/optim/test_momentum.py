from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vitctl.optim.momentum import momentum


@pytest.mark.parametrize("kind", ["ema", "trace"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_equals_optax_one_operation_at_a_time(kind: str, dtype: str) -> None:
    """Bitwise: without a compiler across operations, optax rounds wherever it says so."""
    ours = momentum(decay=0.9, scale={"ema": 1 - 0.9, "trace": 1.0}[kind], dtype=jnp.dtype(dtype))
    theirs = {
        "ema": optax.ema(0.9, debias=False, accumulator_dtype=dtype),
        "trace": optax.trace(0.9, accumulator_dtype=dtype),
    }[kind]
    params = {"x": jnp.zeros((50,))}
    mine, reference = ours.init(params), theirs.init(params)
    update = jax.jit(ours.update)
    rng = np.random.default_rng(0)
    for _ in range(5):
        grads = {"x": jnp.asarray(rng.normal(size=50), jnp.float32)}
        a, mine = update(grads, mine)
        with jax.numpy_dtype_promotion("standard"):
            b, reference = theirs.update(grads, reference)
        # The sum of two products may be one fused multiply-add: an ulp of the larger term.
        np.testing.assert_allclose(a["x"], b["x"], rtol=1e-6, atol=2e-7)
        stored = reference.ema if kind == "ema" else reference.trace
        assert mine.moment["x"].dtype == stored["x"].dtype == dtype
        different = np.mean(np.asarray(mine.moment["x"] != stored["x"]))
        assert different == 0 or dtype == "float32"


def test_the_roundings_of_bf16_happen() -> None:
    transformation = momentum(decay=0.9, scale=0.1, dtype=jnp.dtype("bfloat16"))
    state = transformation.init({"x": jnp.zeros(())})._replace(moment={"x": jnp.bfloat16(3.0)})
    result, _ = jax.jit(transformation.update)({"x": jnp.float32(0.0)}, state)
    # 0.9 is 0.8984375 in bf16; three times that, 2.6953125, lies between 2.6875 and 2.703125.
    assert float(result["x"]) == 2.6875
