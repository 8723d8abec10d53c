"""The one JSON form of a value, and its fingerprint.

Two configurations that mean the same must hash the same on every machine and Python version, so a
value without an obvious canonical form is refused instead of guessed (no `default=str`).
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

from vitctl.text.quoting import quoted


def canonical_json(value: Any) -> bytes:
    """Sorted keys, no spaces, UTF-8. Raises TypeError or ValueError for what has no such form."""
    _refuse(value, "value")
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8")


def fingerprint(value: Any) -> str:
    """sha256 of the canonical JSON, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def printable(text: str) -> str:
    r"""Text of the system that JSON can hold: bytes that are not UTF-8 are written `\xNN`."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _refuse(value: Any, where: str) -> None:
    if value is None or isinstance(value, bool | str | int):
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where} is {value}, which JSON cannot hold")
        return
    if isinstance(value, list | tuple):
        for i, item in enumerate(value):
            _refuse(item, f"{where}[{i}]")
        return
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{where} has the key {quoted(key)}; only text keys are canonical")
            _refuse(item, f"{where}.{key}")
        return
    raise TypeError(f"{where} is a {type(value).__name__}, which has no canonical form")
