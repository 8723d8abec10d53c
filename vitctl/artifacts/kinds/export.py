"""What is recorded of an export."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from vitctl.summaries import Count, Summary, WeightsName

Target = Literal["safetensors", "timm", "huggingface", "big_vision", "stablehlo", "onnx"]
"""What an export may be for."""


class Export(Summary):
    """Files that another library loads, made by `vitctl export`."""

    model: str = Field(description="Name of the model.")
    step: Count = Field(description="Step of the exported checkpoint.")
    to: Target = Field(description="What the files are for.")
    weights: WeightsName = Field(description="The weights as they are, or their average.")
    resolution: Count = Field(description="Side of the square input image in pixels.")
    classes: Count = Field(description="Outputs of the classifier; 0 if it has none.")
    error: float = Field(
        description="Largest difference of any output between the model and the export read back."
    )
    outputs_compared: Count = Field(description="How many outputs were compared.")

    def phrases(self) -> Iterable[str]:
        yield f"{self.model} for {self.to}"
        yield f"differs by {self.error:.2g}"
