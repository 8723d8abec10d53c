"""Small JSON documents with a format version: read strictly, every damage one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from vitctl import strict_json
from vitctl.errors import InputError, NewerFormatError, NotFoundError
from vitctl.places import Place, nofollow
from vitctl.settings.config import Config

D = TypeVar("D", bound=Config)


def read_document(
    path: Place,
    model: type[D],
    *,
    what: str,
    newest: int,
    missing: str,
    repair: str,
    make: str | None = None,
) -> D:
    """The document at `path`, as `model`, which has a field `format`.

    `what` names the kind of document and `newest` is the latest format this version reads;
    `missing` is the sentence for when there is none and `make` its hint, `repair` the hint for when
    it is damaged.

    Raises:
      NotFoundError: there is no such file.
      InputError: it cannot be read, is damaged, or is of a newer format.
    """
    try:
        # Links on the way to the folder that it describes are their owner's.
        content = nofollow.read_plain(path) if isinstance(path, Path) else path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(missing, hint=make) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except nofollow.LinkError:
        raise InputError(
            f"{path} is a symbolic link, where the file itself is expected",
            hint="put the file in its place; a link to the whole folder is followed",
        ) from None
    try:
        raw = strict_json.loads(content)
    except strict_json.StrictJSONError as error:
        raise InputError(f"{path} is damaged: it {error}", hint=repair) from None
    found = raw.get("format") if isinstance(raw, dict) else None
    # Before validation: a newer format may have fields that this version cannot know.
    if isinstance(found, int | float) and found > newest:
        raise NewerFormatError(
            f"{path.parent} has {what} format {found}; this vitctl reads up to {newest}",
            hint="install a newer vitctl: pull its checkout, or pip install its newest wheel",
        )
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the top level"
        raise InputError(f"{path} is damaged: {where}: {first['msg']}", hint=repair) from None
