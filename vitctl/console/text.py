"""Names from data (paths, classes, manifests) made safe to show on a terminal; plain styles."""

from __future__ import annotations

import os
import sys
import unicodedata

_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def safe(text: object) -> str:
    r"""Control, bidirectional and undecodable characters as `\xNN` or `\uNNNN`; the rest as is."""
    return "".join(_shown(c) if unicodedata.category(c) in _UNSAFE else c for c in str(text))


def _shown(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a raw byte that was not UTF-8 (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def json_safe(value: object) -> object:
    """Strings within `value` made valid UTF-8 (undecodable bytes shown as `\\xNN`)."""
    if isinstance(value, str):
        return "".join(_shown(c) if unicodedata.category(c) == "Cs" else c for c in value)
    if isinstance(value, dict):
        return {str(json_safe(k)): json_safe(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(item) for item in value]
    return value


def styled(text: str, code: str, *, terminal: bool | None = None) -> str:
    """`text` between escape sequences where they are wanted (https://no-color.org), `code` being
    their number. `terminal` says whether it goes to one; None asks stderr."""
    if terminal is None:
        terminal = sys.stderr.isatty()
    if not terminal or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{code}m{text}\x1b[0m"
