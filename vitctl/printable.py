r"""Text that holds names of data (paths, classes, columns), made one printable line.

What people read of such text (errors, notes, a terminal, a page) comes from here, also in Python,
where no console stands between: a name may hold line breaks, escape sequences, direction marks and
bytes that are not UTF-8.
"""

from __future__ import annotations

import unicodedata

_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: object) -> str:
    r"""Control, bidirectional and undecodable characters as `\xNN` or `\uNNNN`; the rest as is."""
    text = str(text)
    if text.isprintable():
        return text
    return "".join(written_out(c) if unicodedata.category(c) in _UNSAFE else c for c in text)


def written_out(character: str) -> str:
    r"""One character as `\xNN` or `\uNNNN`."""
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a raw byte that was not UTF-8 (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
