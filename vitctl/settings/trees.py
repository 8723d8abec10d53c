"""Settings as nested tables: dotted keys, and layers put on top of each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vitctl.errors import UsageError
from vitctl.text.quoting import quoted

Tree = dict[str, Any]


def nested(key: str, value: Any) -> Tree:
    """`a.b`, v -> {"a": {"b": v}}."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def from_keys(settings: Mapping[str, Any]) -> Tree:
    """Dotted keys as a tree: {"a.b": 1} -> {"a": {"b": 1}}. The last of two that overlap wins."""
    return merge({}, *(nested(key, value) for key, value in settings.items()))


def flat(tree: Mapping[str, Any], *, prefix: str = "") -> dict[str, Any]:
    """A tree as dotted keys, the other way; keys of it may be dotted."""
    keys: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            keys |= flat(value, prefix=f"{prefix}{key}.")
        else:
            keys[prefix + key] = value
    return keys


def at(tree: Mapping[str, Any], key: str) -> Any:
    """The value under a dotted key, or None."""
    value: Any = tree
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def positive(tree: Mapping[str, Any], key: str) -> int | None:
    """The positive whole number under a dotted key, or None. UsageError for anything else there."""
    value = at(tree, key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"{key}: expected a positive whole number (got {quoted(value)})")
    return value


def drop(tree: Tree, key: str) -> None:
    """Take a dotted key out, if it is there."""
    *tables, last = key.split(".")
    table = at(tree, ".".join(tables)) if tables else tree
    if isinstance(table, dict):
        table.pop(last, None)


def merge(tree: Tree, *layers: Mapping[str, Any]) -> Tree:
    """Put layers onto `tree`, the last wins, tables key by key. Returns `tree`."""
    for layer in layers:
        for key, value in layer.items():
            if isinstance(value, Mapping):
                below = tree.get(key)
                tree[key] = merge(dict(below) if isinstance(below, Mapping) else {}, value)
            else:
                tree[key] = value
    return tree
