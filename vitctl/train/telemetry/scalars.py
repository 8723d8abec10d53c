"""The numbers of a metrics row that make curves, named `KIND/NAME` wherever they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def scalars(row: Mapping[str, Any]) -> dict[str, float]:
    """`KIND/NAME` -> every number of a row but its step."""
    return {
        f"{row['kind']}/{name}": value
        for name, value in row.items()
        if name not in ("kind", "step") and _is_number(value)
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
