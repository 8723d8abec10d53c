"""Nested values as indented lines: what `show`, `lineage` and `plan` draw with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vitctl.console.streams import answer_columns
from vitctl.console.text import safe, styled, wrapped

_MOST_ITEMS = 8
_LEAST_PLAIN = 4
_NARROWEST = 30


def bold(text: str) -> str:
    return _styled(text, "1")


def dim(text: str) -> str:
    return _styled(text, "2")


def warned(text: str) -> str:
    return _styled(text, "1;31")


def fields(values: Mapping[str, Any], *, indent: int = 2, exact: bool = False) -> Iterator[str]:
    """`key  value` lines, keys aligned; tables below their key, long lists shortened. `exact`
    numbers can be given back with --set, others are rounded and grouped for reading."""
    flat = {key: _flat(value, exact=exact) for key, value in values.items()}
    width = max((len(safe(key)) for key, text in flat.items() if text is not None), default=0)
    for key, value in values.items():
        text, pad = flat[key], " " * indent
        if text is not None:
            first, *rest = _wrapped(text, beside=indent + width + 2)
            yield f"{pad}{dim(f'{safe(key):<{width}}')}  {first}".rstrip()
            yield from (" " * (indent + width + 2) + line for line in rest)
        elif isinstance(value, Mapping):
            yield pad + dim(safe(key))
            yield from fields(value, indent=indent + 2, exact=exact)
        else:
            yield pad + dim(safe(key))
            for item in value[:_MOST_ITEMS]:
                yield f"{pad}  {_one_line(item, exact=exact)}"
            if len(value) > _MOST_ITEMS:
                yield f"{pad}  ... {len(value) - _MOST_ITEMS:,} more"


def _wrapped(text: str, *, beside: int) -> list[str]:
    """Between words to what a terminal has left of its width; elsewhere, and ids, in one piece."""
    columns = answer_columns()
    if columns is None or beside + len(text) <= columns:
        return [text]
    width = max(_NARROWEST, columns - beside)
    return wrapped(text, width)


def _flat(value: Any, *, exact: bool) -> str | None:
    """A value on one line, None if it takes several."""
    if isinstance(value, Mapping):
        return None if value else "{}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        if any(isinstance(item, Mapping) for item in value):
            return None
        return _one_line(value, exact=exact)
    return _scalar(value, exact=exact)


def _one_line(value: Any, *, exact: bool) -> str:
    if isinstance(value, Mapping):
        pairs = (f"{safe(key)} {_one_line(item, exact=exact)}" for key, item in value.items())
        return "  ".join(pairs)
    if isinstance(value, Sequence) and not isinstance(value, str):
        shown = value if len(value) <= _MOST_ITEMS else value[:_LEAST_PLAIN]
        rest = [f"... ({len(value):,} in all)"] if len(shown) < len(value) else []
        return ", ".join([*(_one_line(item, exact=exact) for item in shown), *rest])
    return _scalar(value, exact=exact)


def _scalar(value: Any, *, exact: bool) -> str:
    """TOML's words for values; numbers as people read them."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and not exact and abs(value) >= 10_000:
        return f"{value:,}"
    if isinstance(value, float) and not exact:
        return f"{value:.6g}"
    return safe(value)


def _styled(text: str, code: str) -> str:
    return styled(text, code, terminal=answer_columns() is not None)
