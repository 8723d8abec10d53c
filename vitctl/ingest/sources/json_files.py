"""JSON files beside the images of other programs' folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vitctl.errors import InputError
from vitctl.text import strict_json
from vitctl.text.textfiles import read_bytes

_MOST_BYTES = 2**26


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises NotFoundError, and InputError for anything else."""
    try:
        value = strict_json.loads(read_bytes(path, label=str(path), most_bytes=_MOST_BYTES))
    except strict_json.StrictJSONError as error:
        raise InputError(f"{path} {error}") from None
    if not isinstance(value, dict):
        raise InputError(f"{path} is no JSON object")
    return value
