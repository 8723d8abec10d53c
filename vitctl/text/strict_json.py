"""JSON from a disk or a pipe, read with limits: whatever it holds, the answer is a value or one
clause that says what is wrong.

JSON as Python reads it may nest until the interpreter gives up, hold integers of a million digits,
numbers that are not finite and text that is no Unicode (a lone surrogate). Each of them passes the
parser and fails later, far from the file: where the value is hashed, written again or shown.

    loads     what lies in a file, or what a person or another program sent
    elements  the elements of long lists in a file, one after another
    own_text  what this program wrote a moment ago and hands to another of its processes
    finite    a row without the numbers that JSON can't hold

No other module parses JSON; tests/test_strict_json.py looks.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import IO, Any, NoReturn

from vitctl.text.quoting import quoted

MOST_BYTES = 256 * 2**20
"""A manifest of a checkpoint of 100,000 files has some 15 MB."""
DEEPEST = 64
"""Settings nest four deep; the deepest of our documents six."""


class StrictJSONError(ValueError):
    """What is wrong, as a clause that follows "it": "is not JSON"."""


def loads(
    content: bytes | str,
    *,
    allow_nan: bool = False,
    allow_surrogates: bool = False,
    unique_keys: bool = False,
) -> Any:
    """The value that `content` holds. Raises StrictJSONError.

    `allow_nan`: numbers that are not finite are values, as in rows that older versions wrote.
    `allow_surrogates`: so is text that is no Unicode, as in names of files from another system.
    `unique_keys`: an object that names something twice is wrong, where Python takes the last.
    """
    if len(content) > MOST_BYTES:
        raise StrictJSONError(f"has {len(content):,} bytes, and at most {MOST_BYTES:,} are read")
    try:
        text = content if isinstance(content, str) else content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise StrictJSONError(f"is not UTF-8 at byte {error.start:,}") from None
    try:
        decoder = _UNIQUE_KEYS if unique_keys else _ANY_NUMBER if allow_nan else _FINITE
        value = decoder.decode(text)
    except StrictJSONError:
        raise
    except RecursionError:
        raise StrictJSONError(f"nests more than {DEEPEST} levels deep") from None
    except ValueError as error:
        if not isinstance(error, json.JSONDecodeError):  # Python's limit of digits
            raise StrictJSONError("holds a whole number of too many digits") from None
        raise StrictJSONError(f"is not JSON (line {error.lineno}, column {error.colno})") from None
    # Millions of rows are read so: most show by their text that `check` has nothing to find.
    if not (allow_nan and _is_flat_ascii(text)):
        check(value, allow_nan=allow_nan, allow_surrogates=allow_surrogates)
    return value


def elements(file: IO[bytes], *, lists: Collection[str]) -> Iterator[tuple[str, Any]]:
    """(name of a list, element) of an object whose lists are too long for memory, as annotations of
    a million images are; other values of the object are passed. Raises StrictJSONError.

    Numbers beyond what a float holds, and half surrogate pairs, are not looked for.
    """
    text = _Window(file)
    if text.next_character() != "{":
        raise StrictJSONError("is no JSON object")
    text.at += 1
    if text.next_character() == "}":
        return
    while True:
        name = text.value()
        if not isinstance(name, str) or text.next_character() != ":":
            raise StrictJSONError(f"is not JSON (character {text.place:,})")
        text.at += 1
        if name in lists and text.next_character() == "[":
            text.at += 1
            if text.next_character() == "]":
                text.at += 1
            else:
                while True:
                    yield name, text.value()
                    if text.separator("]"):
                        break
        else:
            text.value()
        if text.separator("}"):
            return


class _Window:
    """JSON text, as much of it as a value needs."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text, self._passed, self._whole = "", 0, False
        self.at = 0

    @property
    def place(self) -> int:
        return self._passed + self.at

    def next_character(self) -> str:
        """The one behind white space; empty at the end."""
        while True:
            self.at = _WHITESPACE.match(self._text, self.at).end()  # type: ignore[union-attr]
            if self.at < len(self._text) or self._whole:
                return self._text[self.at : self.at + 1]
            self._read(_PIECE)

    def separator(self, last: str) -> bool:
        """Pass a comma, or `last`, which ends the list: whether it was that."""
        character = self.next_character()
        if character not in (",", last) or not character:
            raise StrictJSONError(f"is not JSON (character {self.place:,})")
        self.at += 1
        return character == last

    def value(self) -> Any:
        self.next_character()
        piece = _PIECE
        while True:
            try:
                value, end = _FINITE.raw_decode(self._text, self.at)
                # A number at the edge may go on: 12 as 123, 1 as 1e5, of which 1e is there.
                if self._whole or self._text[end : end + 1] in _AFTER_VALUE:
                    self.at = end
                    return value
            except RecursionError:
                raise StrictJSONError("nests too deep") from None
            except StrictJSONError:
                raise
            except ValueError:
                if self._whole:
                    raise StrictJSONError(f"is not JSON (character {self.place:,})") from None
            if len(self._text) - self.at > _MOST_ELEMENT:
                raise StrictJSONError(f"is not JSON, or has a value of more than {_MOST_ELEMENT:,}")
            self._read(piece)
            piece *= 2

    def _read(self, size: int) -> None:
        data = self._file.read(size)
        self._whole = not data
        try:
            more = self._decoder.decode(data, final=self._whole)
        except UnicodeDecodeError:
            raise StrictJSONError("is not UTF-8") from None
        self._passed += self.at
        self._text = self._text[self.at :] + more
        self.at = 0


def own_text(text: str | bytes) -> Any:
    """The value of a text that this program made itself, for another of its processes: without
    limits, as `json.dumps` writes it (a path may hold half a surrogate pair, a loss be NaN)."""
    return json.loads(text)


def check(value: Any, *, allow_nan: bool = False, allow_surrogates: bool = False) -> None:
    """Raise StrictJSONError for a value that nests too deep, or holds a number that is not finite
    or text that is no Unicode. Without recursion, so that it can't fail itself."""
    pending: list[tuple[Any, int]] = [(value, 0)]
    while pending:
        item, depth = pending.pop()
        if isinstance(item, str):
            if not allow_surrogates:
                _check_text(item)
        elif isinstance(item, float):
            if not (allow_nan or math.isfinite(item)):
                _not_finite(repr(item))
        elif isinstance(item, dict | list):
            if depth == DEEPEST:
                raise StrictJSONError(f"nests more than {DEEPEST} levels deep")
            if isinstance(item, dict):
                for key in () if allow_surrogates else item:
                    _check_text(key)
                item = list(item.values())
            pending += ((below, depth + 1) for below in item)


def finite(row: Mapping[str, Any]) -> dict[str, Any]:
    """`row` with None for numbers that are not finite: JSON has none of those. Weights that are
    finite may score an infinite loss."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }


def _is_flat_ascii(text: str) -> bool:
    """Whether JSON text can neither nest too deep nor hold half a surrogate pair."""
    return text.isascii() and "\\u" not in text and text.count("[") + text.count("{") <= DEEPEST


def _check_text(text: str) -> None:
    if text.isascii():
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise StrictJSONError("holds text that is not Unicode (half of a surrogate pair)") from None


def _not_finite(text: str) -> NoReturn:
    raise StrictJSONError(f"holds a number that is not finite ({text})")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) < len(pairs):
        repeated = next(key for key, count in Counter(k for k, _ in pairs).items() if count > 1)
        raise StrictJSONError(f"names {quoted(repeated)} twice")
    return keys


_PIECE = 2**20
_MOST_ELEMENT = 2**26
_AFTER_VALUE = frozenset(",:]} \t\n\r")
_WHITESPACE = re.compile(r"[ \t\n\r]*")
# Made once: `json.loads` makes a decoder for each text that it reads with options.
_FINITE = json.JSONDecoder(parse_constant=_not_finite)
_ANY_NUMBER = json.JSONDecoder()
_UNIQUE_KEYS = json.JSONDecoder(parse_constant=_not_finite, object_pairs_hook=_unique)
