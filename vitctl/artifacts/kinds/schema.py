"""The JSON schema of artifacts, made from the summaries of all kinds.

    python -m vitctl.artifacts.kinds.schema > docs/schemas/artifact.schema.json

Lists of two types are shorter than pydantic's `anyOf`, and titles repeat the names of fields.
"""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic.json_schema import models_json_schema

from vitctl.artifacts.kinds import KINDS

_SHA256 = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_FIELDS: dict[str, dict[str, Any]] = {
    "path": {
        "type": "string",
        "description": "Where it lies, as given or relative to the working directory. Bytes that "
        "are not UTF-8 are written \\xNN, and its backslashes \\x5c then.",
    },
    "id": {
        **_SHA256,
        "description": "What was asked for: sha256 of the canonical JSON of stage, version, "
        "settings and inputs.",
    },
    "digest": {
        **_SHA256,
        "description": "What came out: sha256 over the sorted (file, size, sha256).",
    },
    "kind": {
        "type": "string",
        "description": "What it is. Kinds may be added; their summaries are then free.",
    },
    "summary": {
        "type": "object",
        "description": "Counts and final numbers; which ones depends on the kind.",
    },
}


def artifact_schema() -> dict[str, Any]:
    """What every command that makes an artifact prints with --json."""
    models = {kind.name: kind.model for kind in KINDS.values()}
    _, whole = models_json_schema([(model, "validation") for model in models.values()])
    names = {model.__name__: name for name, model in models.items()}
    definitions = {
        names.get(name, _snake(name)): _plain(definition, names=names)
        for name, definition in whole["$defs"].items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "artifact.schema.json",
        "title": "An artifact",
        "description": "What every command that makes an artifact prints with --json, one object a "
        "line. Fields may be added; none is removed or changes its meaning within a format "
        "version.",
        "type": "object",
        "properties": _FIELDS,
        "required": list(_FIELDS),
        "allOf": [
            {
                "if": {"properties": {"kind": {"const": name}}},
                "then": {"properties": {"summary": {"$ref": f"#/$defs/{name}"}}},
            }
            for name in models
        ],
        "$defs": {
            name: definitions[name]
            for name in (*models, *sorted(definitions.keys() - models.keys()))
        },
    }


def as_text() -> str:
    """The schema as the file that is committed."""
    return json.dumps(artifact_schema(), indent=2, ensure_ascii=False) + "\n"


def _plain(schema: Any, *, names: dict[str, str]) -> Any:
    """A schema without what repeats its names, with the names of definitions as they are here."""
    if isinstance(schema, list):
        return [_plain(item, names=names) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            plain[key] = {field: _plain(of, names=names) for field, of in value.items()}
        elif key == "$ref":
            name = value.rpartition("/")[2]
            plain[key] = f"#/$defs/{names.get(name, _snake(name))}"
        elif key == "anyOf" and all(option.keys() == {"type"} for option in value):
            plain["type"] = [option["type"] for option in value]
        elif key not in ("title", "propertyNames") and (key != "default" or value is not None):
            plain[key] = _plain(value, names=names)
    return plain


def _snake(name: str) -> str:
    """`RunToLaw` -> `run_to_law`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name.removesuffix("Summary")).lower()


if __name__ == "__main__":
    print(as_text(), end="")
