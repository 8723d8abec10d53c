"""The published schemas, made strict: what they don't name is an error here, though users may
meet new fields."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

FOLDER = Path(__file__).parents[1] / "docs" / "schemas"


def check(value: Any, name: str) -> None:
    """Raise jsonschema.ValidationError unless `value` is what `NAME.schema.json` says."""
    errors = strict(name).iter_errors(json.loads(json.dumps(value)))
    error = jsonschema.exceptions.best_match(errors)
    if error is not None:
        raise jsonschema.ValidationError(f"{error.json_path}: {error.message[:500]}")


@cache
def strict(name: str) -> jsonschema.Draft202012Validator:
    schema = json.loads((FOLDER / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(_closed(schema))


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    # A condition (`if`) names some properties without requiring any; it stays open.
    if {"properties", "required"} <= closed.keys():
        closed.setdefault("additionalProperties", False)
    return closed
