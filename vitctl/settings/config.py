"""The base of every Config: frozen, typed, closed to unknown fields.

A stage's Config decides its result and is fingerprinted, so a field belongs here only if another
value would change a number. How fast or where is `Runtime`, which is not fingerprinted.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """Frozen, validated, no unknown keys, no coercion from strings of the wrong kind."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=False, allow_inf_nan=False, validate_default=True
    )
