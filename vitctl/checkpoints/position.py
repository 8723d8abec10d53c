"""Where in its data a checkpoint is: `position.json`. Imports no array library."""

from __future__ import annotations

from pydantic import NonNegativeInt, PositiveInt

from vitctl.artifacts.documents import read_part
from vitctl.places import Place
from vitctl.settings.config import Config

POSITION = "position.json"


class Position(Config):
    """The content of `position.json`: where in its data a checkpoint is.

    step      finished updates
    consumed  the rolling digest of the samples of all of them, see `vitctl.data.digest`
    passed    windows of batches that were skipped on the way, (step, batches) each
    """

    step: NonNegativeInt
    consumed: dict[str, int | str]
    passed: tuple[tuple[NonNegativeInt, PositiveInt], ...] = ()


def read(place: Place) -> Position:
    """Where a checkpoint is. Raises InputError if the file is damaged or missing."""
    return read_part(place / POSITION, Position)
