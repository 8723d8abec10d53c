"""The type of matrix multiplications. Parameters, norms, softmax and losses stay in fp32."""

from __future__ import annotations

from typing import Literal

from vitctl.hardware import machine

Precision = Literal["float32", "bfloat16"]


def resolve() -> Precision:
    """What this machine multiplies best: bf16 on TPU and GPU, fp32 on CPU. Imports jax."""
    return "float32" if machine.devices()[0].platform == "cpu" else "bfloat16"
