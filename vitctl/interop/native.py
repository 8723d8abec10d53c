"""Our own parameters in a safetensors file: `blocks/mlp/up/kernel` and so on, blocks stacked, the
model's configuration in the file's metadata. `vitctl import` reads it back as it was."""

from __future__ import annotations

import json

import numpy as np
from pydantic import ValidationError

from vitctl.errors import InputError
from vitctl.interop import matching
from vitctl.interop.weight_files import Weights
from vitctl.model import shapes
from vitctl.model.config import ModelConfig
from vitctl.text import strict_json

MODEL = "vitctl_model"
"""Key of the metadata; its value is a `ModelConfig` as JSON."""


def tensors(params: matching.Params) -> dict[str, np.ndarray]:
    """The arrays of a file."""
    return {name: np.asarray(a, np.float32) for name, a in matching.flattened(params).items()}


def metadata(config: ModelConfig) -> dict[str, str]:
    """What a file says of itself."""
    return {MODEL: json.dumps(config.model_dump(mode="json"), sort_keys=True)}


def config_of(weights: Weights) -> ModelConfig:
    """The model that a file says it holds. Raises InputError."""
    try:
        return ModelConfig.model_validate(strict_json.loads(weights.metadata[MODEL]))
    except (strict_json.StrictJSONError, ValidationError):
        raise InputError(f"{weights.name} describes no model that vitctl has") from None


def params_of(weights: Weights, *, config: ModelConfig) -> matching.Params:
    """Our parameters, every array matched. Raises InputError."""
    expected = {n: s.shape for n, s in matching.flattened(shapes.of_params(config)).items()}
    matching.check(expected, actual=weights.shapes)
    return matching.nested({n: matching.numbers(n, weights.read(n)) for n in expected})
