from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitctl.errors import InputError, NotFoundError
from vitctl.text.textfiles import decode, read_text, slashed

ENCODINGS = {  # Python's codec -> the bytes a program writes before the text
    "utf-8": b"",
    "utf-8-sig": b"",  # writes its own mark
    "utf-16-le": b"\xff\xfe",
    "utf-16-be": b"\xfe\xff",
    "utf-32-le": b"\xff\xfe\x00\x00",
    "utf-32-be": b"\x00\x00\xfe\xff",
}
# Whatever a line may hold: no line end, no NUL, no mark, no half surrogate pair. U+2028, form feeds
# and U+0085 are among it, at which str.splitlines would cut.
LINE = st.text(
    st.characters(exclude_characters="\r\n\0\ufeff\x1a", exclude_categories=["Cs"]), max_size=20
)


@given(
    lines=st.lists(LINE, min_size=1, max_size=6).filter(lambda lines: lines[-1] != ""),
    encoding=st.sampled_from(sorted(ENCODINGS)),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    final=st.booleans(),
)
def test_the_lines_are_the_same_in_every_encoding_and_with_every_line_end(
    lines: list[str], encoding: str, end: str, final: bool
) -> None:
    data = ENCODINGS[encoding] + (end.join(lines) + end * final).encode(encoding)
    text = decode(data, label="t")
    assert text.lines() == lines
    assert text.text.split("\n") == [*lines, *([""] if final else [])]


def test_it_says_what_it_did() -> None:
    def remarks(data: bytes) -> str:
        return decode(data, label="t").remark()

    assert decode(b"a\nb\n", label="t").remarks == ()
    assert remarks(b"\xef\xbb\xbfa\r\n") == (
        "t: a byte-order mark was left out, line ends of Windows (CRLF)"
    )
    assert remarks("a\n".encode("utf-16")) == "t: read as UTF-16"
    assert remarks("plain text\n".encode("utf-16-le")) == (
        "t: read as UTF-16 (little-endian, judged by its zero bytes)"
    )
    assert "big-endian" in remarks("plain text\n".encode("utf-16-be"))
    assert "end-of-file character" in remarks(b"a\n\x1a")
    assert "line ends of a CR" in remarks(b"a\rb")


def test_files_joined_with_their_marks() -> None:
    text = decode(b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", label="t")
    assert text.lines() == ["a", "b"]
    bare = decode(b"a\n\xef\xbb\xbfb\n", label="t")
    assert bare.lines() == ["a", "b"]
    assert bare.remarks == ("byte-order marks in the middle were left out",)
    # Inside a line it is a character like others: a zero-width no-break space.
    assert decode("a\ufeffb".encode(), label="t").text == "a\ufeffb"


@pytest.mark.parametrize(
    ("data", "says", "hint"),
    [
        (b"caf\xe9\n", r"t is not UTF-8 text \(line 1, byte 3\)", "WINDOWS-1252"),
        (b"ok\nna\xefve\n", r"line 2, byte 5", "iconv"),
        (b"PK\x03\x04" + b"\x99" * 40, "a ZIP archive or an Excel workbook", "CSV UTF-8"),
        (b"\x1f\x8b\x08\x00\x99", "compressed by gzip", "gunzip"),
        (b"a\nb\0c\n", "line 2 of t holds a NUL character", "again"),
        (b"a\nb\n" + b"\0" * 40, "line 3 of t holds a NUL", "again"),  # what a crash leaves
        (b"\xff\xfea\x00\x00", "begins as UTF-16 text, and byte 4 is not", "UTF-8"),
        (b"\xff\xfe\x00\xd8a\x00", "begins as UTF-16 text, and byte 2 is not", "UTF-8"),
        (b"\xed\xa0\x80", "is not UTF-8 text", "UTF-8"),  # half a surrogate pair
    ],
)
def test_what_is_no_text(data: bytes, says: str, hint: str) -> None:
    with pytest.raises(InputError, match=says) as error:
        decode(data, label="t")
    assert hint in str(error.value.hint)


@given(st.binary(max_size=200))
def test_any_bytes_are_text_or_refused_in_a_sentence(data: bytes) -> None:
    try:
        text = decode(data, label="t")
    except InputError:
        return
    assert "\0" not in text.text
    assert "\r" not in text.text
    text.text.encode()


def test_blank_lines_are_counted_and_passed_by() -> None:
    text = decode(b"a\r\n\r\n  \nb", label="t")
    assert list(text.numbered()) == [(1, "a"), (4, "b")]


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="--labels x does not exist"):
        read_text(tmp_path / "x", label="--labels x")
    with pytest.raises(NotFoundError):
        read_text(Path(__file__) / "x")
    with pytest.raises(InputError, match="is a folder"):
        read_text(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        read_text(tmp_path / "a\0b")
    (tmp_path / "large").write_bytes(b"x" * 2000)
    with pytest.raises(InputError, match="is larger than"):
        read_text(tmp_path / "large", most_bytes=1000)
    with pytest.raises(InputError, match="is larger than"):
        read_text(Path("/dev/zero"), most_bytes=1000)


def test_a_pipe_is_read(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=lambda: fifo.write_bytes(b"a\nb\n"))
    writer.start()
    assert read_text(fifo).lines() == ["a", "b"]
    writer.join()


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("val\\cat\\1.jpg", "val/cat/1.jpg"),
        (".\\val\\1.jpg", "val/1.jpg"),
        ("./val//1.jpg", "val/1.jpg"),
        ("val/1.jpg", "val/1.jpg"),
        ("1.jpg", "1.jpg"),
        ("/abs/1.jpg", "/abs/1.jpg"),
        ("C:\\photos\\1.jpg", "C:/photos/1.jpg"),
        ("\\\\server\\share\\1.jpg", "/server/share/1.jpg"),
    ],
)
def test_paths_of_windows(name: str, path: str) -> None:
    assert slashed(name) == path


def test_a_known_name_keeps_its_backslash() -> None:
    assert slashed("a\\b.jpg", known={"a\\b.jpg"}) == "a\\b.jpg"
