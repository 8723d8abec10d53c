r"""Names of users and of data (files, classes, columns, settings) as messages quote them.

`repr` writes a byte that is not UTF-8, which Python holds as a surrogate (PEP 383), `\udce9`: no
name a person knows. Everything that messages say of a name in quotes comes from here.
"""

from __future__ import annotations

import re

_LONGEST = 500
_PIECE = re.compile(r"\\\\|\\udc([89a-f][0-9a-f])")


def quoted(value: object) -> str:
    r"""A name in quotes, or another value as Python writes it: on one line, with bytes that are not
    UTF-8 as `\xNN`. Of a long one the beginning and the end.

    >>> print(quoted(b"caf\xe9.jpg".decode("utf-8", "surrogateescape")))
    'caf\xe9.jpg'
    """
    text = as_bytes(repr(value))
    if len(text) > _LONGEST:
        half = (_LONGEST - 3) // 2
        text = f"{text[:half]}...{text[-half:]}"
    return text


def as_bytes(text: str) -> str:
    r"""Text of another program, which quoted a name by `repr`: `\udcNN` in it becomes `\xNN`."""
    return _PIECE.sub(lambda piece: f"\\x{piece[1]}" if piece[1] else piece[0], text)


def one_line(error: BaseException) -> str:
    """An exception's text on one line, short enough for a list."""
    return as_bytes(" ".join(str(error).split()))[:200] or type(error).__name__
