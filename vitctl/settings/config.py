"""The base of every Config: frozen, typed, closed to unknown fields.

A stage's Config decides its result and is fingerprinted, so a field belongs here only if another
value would change a number. How fast or where is `Runtime`, which is not fingerprinted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError


class Config(BaseModel):
    """Frozen, validated, no unknown keys, no coercion from strings of the wrong kind."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=False, allow_inf_nan=False, validate_default=True
    )


def without_defaults(
    config: Config, dump: Callable[[Any], dict[str, Any]], *, later: Iterable[str]
) -> dict[str, Any]:
    """What a model serializer of mode "wrap" returns for a Config that got the fields `later` after
    its first version: they are named only where they are set, so that ids without them stay."""
    tree = dump(config)
    for name in later:
        if name in tree and getattr(config, name) == type(config).model_fields[name].default:
            del tree[name]
    return tree


def first_problem(error: ValidationError, *, whole: str) -> str:
    """The first of what is wrong, as `where: message`. `whole` stands for the place of a problem of
    all the fields together."""
    place, message = place_and_message(error)
    return f"{place or whole}: {message}"


def place_and_message(error: ValidationError) -> tuple[str, str]:
    """The dotted key of the first problem, empty for one of all the fields together, and its
    message, without pydantic's remark that a validator raised it."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return place, first["msg"].removeprefix("Value error, ")
