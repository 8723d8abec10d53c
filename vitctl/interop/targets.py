"""What an export may be for. Imports no array library."""

from __future__ import annotations

from typing import Literal

Target = Literal["safetensors", "timm", "huggingface", "big_vision", "stablehlo", "onnx"]
