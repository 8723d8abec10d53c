"""What a user says of a model whose files leave it open."""

from __future__ import annotations

from dataclasses import dataclass

from vitctl.interop.layout_names import LayoutName
from vitctl.model.config import Gelu


@dataclass(frozen=True)
class Said:
    """What a user says of a model, which wins over all else; None where nothing."""

    layout: LayoutName | None = None
    heads: int | None = None
    grid: tuple[int, int] | None = None
    pixels: str | None = None
    gelu: Gelu | None = None
    norm_epsilon: float | None = None
