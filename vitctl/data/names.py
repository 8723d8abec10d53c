r"""Names of files made into text that any program can hold.

A path on Linux is bytes. Ids and class names must be valid, one-line Unicode, and different paths
must stay different: bytes that aren't UTF-8 become `\xNN`, control and direction characters
`\xNN` or `\uNNNN`, and the backslash itself `\x5c`.
"""

from __future__ import annotations

import re
import unicodedata

# Control, format (with the direction marks), surrogate, line, paragraph. Wide spaces and characters
# of private use stay, as people have such names; `vitctl.printable` writes the latter out.
_ESCAPED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def compose(name: str) -> str:
    """The form of Unicode in which names of classes are compared: NFC."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def text_of(path: bytes) -> str:
    """The name of a path as clean text; different paths give different texts."""
    text = path.decode("utf-8", "surrogateescape")
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text  # most names, at a tenth of the time
    return "".join(_character(c) for c in text)


def _character(c: str) -> str:
    code = ord(c)
    if c == "\\":
        return "\\x5c"
    if unicodedata.category(c) not in _ESCAPED:
        return c
    if 0xDC80 <= code <= 0xDCFF:  # PEP 383: byte NN that was not UTF-8 is U+DCNN
        return f"\\x{code - 0xDC00:02x}"
    if code <= 0xFF:
        # The character U+0080 to U+009F was two bytes; its code point keeps it apart from a raw
        # byte, which is written with two digits.
        return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def bytes_of(text: str) -> bytes:
    """The name that `text_of` made this text of."""
    if "\\" not in text:
        return text.encode()
    return _ESCAPE.sub(_unescaped, text.encode())


_ESCAPE = re.compile(rb"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))")


def _unescaped(match: re.Match[bytes]) -> bytes:
    byte, *code = match.groups()
    if byte is not None:
        return bytes([int(byte, 16)])
    return chr(int(code[0] or code[1], 16)).encode()
