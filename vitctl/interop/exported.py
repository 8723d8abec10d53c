"""A model to be written for another library, and what all writers have in common."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vitctl.data.config import EvalPreprocess
from vitctl.errors import UsageError
from vitctl.interop import matching, safetensors
from vitctl.model import posemb
from vitctl.model.config import ModelConfig

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Exported:
    """A model to write: its parameters on the host, what it is, its classes, and how images are
    scored with it."""

    params: matching.Params
    config: ModelConfig
    classes: Sequence[str]
    evaluation: EvalPreprocess

    def with_positions(self) -> Exported:
        """The same with fixed position embeddings written out, as a table that could be learned."""
        table = posemb.fixed(self.config)
        if table is None:
            return self
        fields = self.config.model_dump() | {"position": "learned", "position_grid": None}
        return replace(
            self,
            params={**self.params, "position": table},
            config=ModelConfig.model_validate(fields),
        )


def refuse(library: str, lacks: Mapping[str, bool]) -> None:
    """Raise UsageError with the parts that a library lacks: those that are true."""
    missing = [part for part, is_lacking in lacks.items() if is_lacking]
    if missing:
        raise UsageError(
            f"{library} has no {', no '.join(missing)}",
            hint="export to another library, or with --to safetensors, stablehlo or onnx",
        )


def safetensors_files(tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> dict[str, bytes]:
    """The one file of tensors, by its name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / WEIGHTS
        safetensors.write(path, tensors, metadata=metadata)
        return {WEIGHTS: path.read_bytes()}
