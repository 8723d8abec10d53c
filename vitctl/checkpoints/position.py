"""Where in its data a checkpoint is: `position.json`. Imports no array library."""

from __future__ import annotations

from pydantic import NonNegativeInt, PositiveInt, ValidationError

from vitctl import strict_json
from vitctl.errors import InputError
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
    path = place / POSITION
    try:
        return Position.model_validate(strict_json.loads(path.read_bytes()))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except strict_json.StrictJSONError as error:
        raise InputError(f"{path} is damaged: it {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the top level"
        raise InputError(f"{path} is damaged: {where}: {first['msg']}") from None
