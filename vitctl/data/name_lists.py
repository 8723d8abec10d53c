"""Lists of names, one a line, as programs and people write them.

    names, remarks = names_in(read_text(path))

A list that was copied out of code (`"cat",` on each line, or `["cat", "dog"]`) or exported from a
table has commas and quotes that are no part of the names. They are left out only where every line
has them, since a name may hold either.
"""

from __future__ import annotations

import ast
import re

from vitctl.text.textfiles import Text

_MOST_LITERAL_BYTES = 1 << 24


def names_in(text: Text) -> tuple[list[str], tuple[str, ...]]:
    """The names, and what was left out, a phrase each; blank lines are no names."""
    if (literal := _literal(text.text)) is not None:
        return literal, ("read as a list in brackets",)
    remarks = []
    names = [line.rstrip() for _, line in text.numbered()]
    if len(names) > 1 and all(name.endswith(",") for name in names[:-1]):
        names = [name.removesuffix(",").rstrip() for name in names]
        remarks.append("commas at the ends of lines were left out")
    bare = [_unquoted(name) for name in names]
    if names and all(name is not None for name in bare):
        names = [name for name in bare if name is not None]
        remarks.append("quotes around names were left out")
    return [name for name in names if name], tuple(remarks)


def _unquoted(name: str) -> str | None:
    """A name without the quotes around it; None if there are none, or they are those of several
    names (`"cat" "dog"`)."""
    inner = r"(?:(?!\1).|\1\1|(?<=\w)\1(?=\w))*"  # doubled, or an apostrophe
    match = re.fullmatch(rf"\s*([\"'])({inner})\1", name)
    return None if match is None else match[2].replace(match[1] * 2, match[1])


def _literal(text: str) -> list[str] | None:
    """The names in a list of JSON or Python; None if the text is none."""
    text = text.strip()
    if not (text.startswith("[") and text.endswith("]")) or len(text) > _MOST_LITERAL_BYTES:
        return None
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        return None
    return [name for name in value if name]
