"""Our parameters as another library's files: weights, and the JSON it wants beside them.

Only what a library's own model computes is written: a part that it lacks is an error that names the
part, never a number that differs.
"""

from __future__ import annotations

import io
from typing import Any, assert_never

import numpy as np

from vitctl.artifacts.kinds.export import Target
from vitctl.interop import big_vision, native, timm_files, transformers_files
from vitctl.interop.exported import Exported, refuse, safetensors_files
from vitctl.model import posemb

NPZ = "model.npz"


def files(model: Exported, *, to: Target) -> dict[str, bytes]:
    """Name -> content of every file of an export. Raises UsageError for a part that the library
    lacks."""
    match to:
        case "safetensors":
            return safetensors_files(native.tensors(model.params), native.metadata(model.config))
        case "timm":
            return timm_files.files(model.with_positions())
        case "huggingface":
            return transformers_files.files(model.with_positions())
        case "big_vision":
            return _big_vision(model)
        case "stablehlo":
            from vitctl.interop import stablehlo

            return stablehlo.files(model.params, config=model.config)
        case "onnx":
            from vitctl.interop import onnx_files

            return onnx_files.files(model.params, config=model.config, classes=model.classes)
        case _:
            assert_never(to)


def _big_vision(model: Exported) -> dict[str, bytes]:
    config = model.config
    lacks = dict.fromkeys(big_vision.lacks(config), True)
    # Their file does not say the size of image that fixed ones are for.
    has_table = posemb.fixed(config) is not None
    refuse("big_vision", lacks | {f"position={config.position} in a file": has_table})
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {
        f"params/{name}": array for name, array in big_vision.to_big_vision(model.params).items()
    }
    np.savez(buffer, **arrays)
    return {NPZ: buffer.getvalue()}
