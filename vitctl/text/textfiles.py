"""Text files that people's programs wrote: one reader for label lists, tables and TOML.

    text = read_text(path, label=f"--labels {path}")
    for number, line in text.numbered(): ...
    if text.remarks: emit(Note(text.remark()))

It knows byte-order marks (also in the middle, where files were joined), UTF-16 and UTF-32, line
ends of Windows and of old Macs, and the end-of-file character of DOS. Other bytes that are not
UTF-8 are refused with their line, and with the kind of file where they begin as a known one does.
Lines end only at line ends: `str.splitlines` would also cut at U+2028 or a form feed, which JSON
texts and class names may hold.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import IO, Literal, NoReturn, Protocol

from vitctl.errors import InputError, NotFoundError

_BYTE_ORDER_MARKS = (  # UTF-32's first: the one of UTF-16 is its beginning
    (codecs.BOM_UTF8, "utf-8", None),
    (codecs.BOM_UTF32_LE, "utf-32-le", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32-be", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16"),
)
_NOT_TEXT = (
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook", "from Excel, save it as CSV UTF-8"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file", "save it as CSV UTF-8"),
    (b"\x1f\x8b", "compressed by gzip", "unpack it with gunzip"),
    (b"BZh", "compressed by bzip2", "unpack it with bunzip2"),
    (b"\xfd7zXZ\x00", "compressed by xz", "unpack it with unxz"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "unpack it with unzstd"),
    (b"PAR1", "a Parquet file", "give it the ending .parquet"),
    (b"%PDF", "a PDF", None),
    (b"\x89PNG", "a PNG image", None),
    (b"\xff\xd8\xff", "a JPEG image", None),
    (b"GIF8", "a GIF image", None),
)
_MARK = "\ufeff"
_DOS_END_OF_FILE = "\x1a"
_SAMPLE = 4096  # bytes that tell whether text without a mark is UTF-16
_MOST_BYTES = 8 << 30  # labels of a hundred million images; a sparse or endless file ends here


class Readable(Protocol):
    """What can be read from its beginning: a path, or an object in a bucket."""

    def open(self, mode: Literal["rb"]) -> IO[bytes]: ...


@dataclass(frozen=True)
class Text:
    """A file's text without marks, its lines ended by a newline character.

    Attributes:
      label: how errors name the file.
      remarks: what reading changed, a phrase each; empty for plain UTF-8.
    """

    text: str
    label: str
    remarks: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The lines, without their ends; a final line end begins no further line."""
        lines = self.text.split("\n")
        return lines[:-1] if lines[-1] == "" else lines

    def numbered(self) -> Iterator[tuple[int, str]]:
        """(line number from 1, line) of the lines that are not blank."""
        for number, line in enumerate(self.lines(), start=1):
            if line.strip():
                yield number, line

    def remark(self) -> str:
        """One line for the user: what was unusual about the file."""
        return f"{self.label}: {', '.join(self.remarks)}"


def read_text(path: Readable, *, label: str | None = None, most_bytes: int = _MOST_BYTES) -> Text:
    """The text of a file.

    Raises NotFoundError (no such file) and InputError (a folder, not text, or above `most_bytes`).
    """
    label = str(path) if label is None else label
    return decode(read_bytes(path, label=label, most_bytes=most_bytes), label=label)


def read_bytes(path: Readable, *, label: str, most_bytes: int = _MOST_BYTES) -> bytes:
    """The bytes of a file, with the errors of `read_text`. Pipes and devices are read, too, so an
    endless one is refused at `most_bytes`."""
    try:
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"{label} does not exist") from None
    except IsADirectoryError:
        raise InputError(f"{label} is a folder, where a file is expected") from None
    except MemoryError:
        raise InputError(f"{label} is too large for this machine's memory") from None
    except (OSError, ValueError) as error:  # ValueError: NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{label} cannot be read: {reason}") from None
    if len(data) > most_bytes:
        raise InputError(f"{label} is larger than {most_bytes / 2**30:.3g} GiB, too large for text")
    return data


def decode(data: bytes, *, label: str) -> Text:
    """Bytes as text, whatever common program wrote them. Raises InputError."""
    remarks = []
    mark, encoding, shown = _encoding(data)
    if shown is not None:
        remarks.append(f"read as {shown}")
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        _refuse(data, label=label, encoding=encoding, error=error, offset=len(mark))
    if mark and encoding == "utf-8":
        remarks.append("a byte-order mark was left out")
    elif text.startswith(_MARK) or f"\n{_MARK}" in text:
        remarks.append("byte-order marks in the middle were left out")
    text = re.sub(rf"(^|[\r\n]){_MARK}+", r"\1", text)
    if text.endswith(_DOS_END_OF_FILE):
        text = text.rstrip(_DOS_END_OF_FILE)
        remarks.append("the end-of-file character of DOS was left out")
    if "\r" in text:
        remarks.append("line ends of Windows (CRLF)" if "\r\n" in text else "line ends of a CR")
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if (at := text.find("\0")) >= 0:
        raise InputError(
            f"line {text.count(chr(10), 0, at) + 1} of {label} holds a NUL character, so it is not "
            "text, or it was cut off while it was written",
            hint="make the file again",
        )
    return Text(text=text, label=label, remarks=tuple(remarks))


def slashed(name: str, *, known: Collection[str] = ()) -> str:
    r"""A relative path as another system wrote it (`val\1.jpg`, `.\val\1.jpg`, `./val//1.jpg`) with
    forward slashes, as ids have it.

    A name among `known` stays as it is: outside Windows a backslash may be part of a file's name.
    """
    if name in known or ("\\" not in name and "/" not in name):
        return name
    parts = re.split(r"[\\/]+" if "\\" in name else "/+", name)
    return "/".join(part for i, part in enumerate(parts) if part != "." and (part or i == 0))


def _encoding(data: bytes) -> tuple[bytes, str, str | None]:
    """(byte-order mark, Python's name of the encoding, what to call it if it is not UTF-8)."""
    for mark, encoding, family in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return mark, encoding, family
    # UTF-16 without a mark: every second byte of mostly Latin text is zero. UTF-8 has no zeros.
    sample = data[:_SAMPLE]
    zeros = sample[1::2].count(0), sample[::2].count(0)
    if len(data) % 2 == 0 and max(zeros) >= 0.4 * len(sample) / 2 and min(zeros) == 0:
        order, shown = ("le", "little") if zeros[0] else ("be", "big")
        return b"", f"utf-16-{order}", f"UTF-16 ({shown}-endian, judged by its zero bytes)"
    return b"", "utf-8", None


def _refuse(
    data: bytes, *, label: str, encoding: str, error: UnicodeDecodeError, offset: int
) -> NoReturn:
    for magic, kind, hint in _NOT_TEXT:
        if data.startswith(magic):
            raise InputError(f"{label} is not UTF-8 text: it is {kind}", hint=hint) from None
    if encoding != "utf-8":
        name = encoding.upper().replace("-LE", "").replace("-BE", "")
        raise InputError(
            f"{label} is damaged: it begins as {name} text, and byte {offset + error.start} is not",
            hint="save it again as UTF-8",
        ) from None
    line = data.count(b"\n", 0, offset + error.start) + 1
    raise InputError(
        f"{label} is not UTF-8 text (line {line}, byte {offset + error.start})",
        hint="save it as UTF-8; if it is of an older Windows: "
        "iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW",
    ) from None
