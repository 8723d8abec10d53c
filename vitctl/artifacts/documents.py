"""Small JSON documents, most with a format version: read strictly, every damage one sentence."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from vitctl.errors import InputError, NewerFormatError, NotFoundError
from vitctl.places import Place, nofollow
from vitctl.settings.config import first_problem
from vitctl.text import strict_json

D = TypeVar("D", bound=BaseModel)


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
        raw = _read_json(path, repair=repair)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(missing, hint=make) from None
    version = raw.get("format") if isinstance(raw, dict) else None
    # Before validation: a newer format may have fields that this version cannot know.
    if isinstance(version, int | float) and version > newest:
        raise NewerFormatError(
            f"{path.parent} has {what} format {version}; this vitctl reads up to {newest}",
            hint="install a newer vitctl: pull its checkout, or pip install its newest wheel",
        )
    return _validated(raw, model, path=path, repair=repair)


def document_bytes(document: BaseModel) -> bytes:
    """A document as it is written: JSON, indented, with a newline at the end."""
    return f"{document.model_dump_json(indent=1)}\n".encode()


def json_bytes(content: Any) -> bytes:
    """What is no model as it is written: JSON, indented, with a newline at the end. Raises
    ValueError for a number that is not finite."""
    return f"{json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)}\n".encode()


def read_part(path: Place, model: type[D], *, repair: str | None = None) -> D:
    """The document at `path`, as `model`. It has no format of its own: it is part of an artifact,
    so that a missing one is damage.

    Raises InputError if it is missing, cannot be read or is damaged.
    """
    try:
        raw = _read_json(path, repair=repair)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", hint=repair) from None
    return _validated(raw, model, path=path, repair=repair)


def _read_json(path: Place, *, repair: str | None) -> Any:
    """What a file holds. Raises FileNotFoundError, NotADirectoryError; InputError for all else."""
    try:
        # Links on the way to the folder that it describes are their owner's.
        content = path.read_itself()
        return strict_json.loads(content)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except nofollow.LinkError:
        raise InputError(
            f"{path} is a symbolic link, where the file itself is expected",
            hint="put the file in its place; a link to the whole folder is followed",
        ) from None
    except strict_json.StrictJSONError as error:
        raise InputError(f"{path} is damaged: it {error}", hint=repair) from None


def _validated(raw: Any, model: type[D], *, path: Place, repair: str | None) -> D:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        problem = first_problem(error, whole="the top level")
        raise InputError(f"{path} is damaged: {problem}", hint=repair) from None
