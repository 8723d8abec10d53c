"""Answers as a person and as a program reads them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

from stages.predict.spec import Answer, Failure
from vitctl.console.text import safe

_WIDEST = 60
_HEADER = ("image", "probability", "class")
_GAP = "  "


def as_json(answer: Answer, *, independent: bool) -> dict[str, Any]:
    """A line of `vitctl predict --json`; docs/schemas/prediction.schema.json."""
    if isinstance(answer, Failure):
        return {"image": answer.image, "error": answer.reason}
    return {
        "image": answer.image,
        "independent": independent,
        "classes": [
            {"class": name, "probability": probability} for name, probability in answer.classes
        ],
    }


class GrowingTable:
    """Rows of a table that grows: its columns are as wide as what was shown before needs. Where no
    person reads it (`repeats`) every row begins with the image, so that rows can be searched."""

    def __init__(self, *, repeats: bool) -> None:
        self._repeats = repeats
        self._width = len(_HEADER[0])
        self._begun = False

    def lines(self, answers: Iterable[Answer]) -> Iterator[str]:
        """A row for each class of each image, or the reason why it has none."""
        rows = [(safe(answer.image), list(_cells(answer))) for answer in answers]
        widest = max((width(image) for image, _ in rows), default=0)
        self._width = max(self._width, min(widest, _WIDEST))
        if not self._begun:
            self._begun = True
            yield self._row(*_HEADER)
        for image, cells in rows:
            for number, (probability, text) in enumerate(cells):
                yield self._row(image if self._repeats or not number else "", probability, text)

    def _row(self, image: str, probability: str, text: str) -> str:
        padded = image + " " * (self._width - width(image))
        return f"{padded}{_GAP}{probability:>{len(_HEADER[1])}}{_GAP}{text}"


def _cells(answer: Answer) -> Iterator[tuple[str, str]]:
    if isinstance(answer, Failure):
        yield "-", f"error: {safe(answer.reason)}"
        return
    for name, probability in answer.classes:
        yield f"{probability:.2%}", safe(name)


def width(text: str) -> int:
    """Columns of a terminal that a text takes."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
