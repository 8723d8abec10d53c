"""A model as a StableHLO program, which jax runs without this package, on CPU, GPU and TPU.

The weights stay outside of the program, as a protocol buffer has a limit of 2 GiB; they are its
first argument: a table of arrays by name, as safetensors reads them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from vitctl.interop import matching, native, safetensors
from vitctl.model import vit
from vitctl.model.config import ModelConfig

PROGRAM = "model.stablehlo"
WEIGHTS = "weights.safetensors"
PLATFORMS = ("cpu", "cuda", "tpu")


def files(params: matching.Params, *, config: ModelConfig) -> dict[str, bytes]:
    """The program, a function of (weights by name, images) for any number of images, and the
    weights."""
    arrays = native.tensors(params)

    def run(weights: dict[str, Any], images: Any) -> dict[str, Any]:
        outputs = vit.apply(matching.nested(weights), images, config=config)
        return {"logits": outputs.logits, "features": outputs.pre_logits}

    (count,) = export.symbolic_shape("b")
    side = config.resolution
    images = jax.ShapeDtypeStruct((count, side, side, 3), jnp.float32)
    weights = {name: jax.ShapeDtypeStruct(a.shape, jnp.float32) for name, a in arrays.items()}
    program = export.export(jax.jit(run), platforms=PLATFORMS)(weights, images)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / WEIGHTS
        safetensors.write(path, arrays, metadata=native.metadata(config))
        content = path.read_bytes()
    return {PROGRAM: bytes(program.serialize()), WEIGHTS: content}


def run_again(folder: Path, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(logits, features) of the exported program in `folder`, as somebody else would run it."""
    program = export.deserialize(bytearray((folder / PROGRAM).read_bytes()))
    opened = safetensors.open_file(folder / WEIGHTS)
    weights = {name: jnp.asarray(opened.read(name)) for name in opened.tensors}
    outputs = program.call(weights, jnp.asarray(images))
    return np.asarray(outputs["logits"]), np.asarray(outputs["features"])
