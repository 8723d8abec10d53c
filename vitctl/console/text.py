"""Names from data (paths, classes, manifests) made safe for a terminal; lines, plain styles."""

from __future__ import annotations

import os
import re
import sys
import textwrap
import unicodedata

from vitctl.printable import visible, written_out

safe = visible
"""Of names from data, for a terminal."""


def json_safe(value: object) -> object:
    r"""Strings within `value` made valid UTF-8: in those that hold bytes that are none, such a byte
    is `\xNN` and a backslash `\x5c`, so that `path_of` finds the bytes again."""
    if isinstance(value, str):
        return value if value.isascii() else _json_text(value)
    if isinstance(value, dict):
        return {str(json_safe(k)): json_safe(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(item) for item in value]
    return value


def _json_text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        escaped = text.replace("\\", r"\x5c")
        return "".join(written_out(c) if unicodedata.category(c) == "Cs" else c for c in escaped)
    return text


def path_of(text: str) -> str:
    r"""The path that an object of --json names: the one that is there as it is written, else the
    one whose bytes that are not UTF-8 are written `\xNN`."""
    if "\\" not in text or os.path.lexists(text):
        return text
    return os.fsdecode(_BYTE.sub(lambda byte: bytes([int(byte[1], 16)]), text.encode()))


_BYTE = re.compile(rb"\\x([0-9a-f]{2})")


def wrapped(text: str, width: int) -> list[str]:
    """Lines of `width` characters and at least one, broken at blanks only: a value, an option or a
    path (`s-16`, `--keep-every`) stays in one piece, even if it is longer."""
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def styled(text: str, code: str, *, terminal: bool | None = None) -> str:
    """`text` between escape sequences where they are wanted (https://no-color.org), `code` being
    their number. `terminal` says whether it goes to one; None asks stderr."""
    if terminal is None:
        terminal = sys.stderr.isatty()
    if not terminal or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{code}m{text}\x1b[0m"
