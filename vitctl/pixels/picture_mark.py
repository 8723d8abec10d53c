"""The text in a picture that vitctl drew, by which it is known to be no photo.

It is the first chunk behind a PNG's header, so the beginning of a file is enough to see it.
"""

SOFTWARE = "Software"
"""The keyword of the text (PNG 1.2, section 4.2.3.1)."""

HEAD_BYTES = 128
"""The beginning of a PNG, in which the text is."""

_PNG = b"\x89PNG\r\n\x1a\n"
_PROGRAM = "vitctl"


def mark(command: str) -> str:
    """The text of a picture that `vitctl COMMAND` draws."""
    return f"{_PROGRAM} {command}"


def is_marked(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a PNG that vitctl drew."""
    return head.startswith(_PNG) and f"{SOFTWARE}\0{_PROGRAM} ".encode() in head[:HEAD_BYTES]
