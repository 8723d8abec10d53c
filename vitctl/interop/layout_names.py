"""Names of layouts, as `--layout` takes them. Imports no array library."""

from __future__ import annotations

from typing import Literal

LayoutName = Literal[
    "timm", "timm-naflex", "open-clip", "open-clip-timm", "hf-vit", "hf-dinov2", "hf-siglip",
    "hf-clip", "big-vision", "vitctl",
]  # fmt: skip
