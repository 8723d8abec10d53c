"""The type of matrix multiplications. Parameters, norms, softmax and losses stay in fp32."""

from __future__ import annotations

from typing import Literal

Precision = Literal["float32", "bfloat16"]


def resolve() -> Precision:
    """What this machine multiplies best: bf16 on TPU and GPU, fp32 on CPU. Imports jax."""
    import jax

    return "float32" if jax.default_backend() == "cpu" else "bfloat16"
