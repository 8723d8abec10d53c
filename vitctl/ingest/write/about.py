"""What only a person knows of a dataset: never made up, and no part of its id or digest."""

from __future__ import annotations

import datetime

from pydantic import field_validator

from vitctl.settings.config import Config

CROISSANT = "croissant.json"
"""The file of a dataset that tells it."""


class About(Config):
    """What only a person knows of a dataset.

    license         its name or address, as SPDX has it: `CC-BY-4.0`
    creator         the person who made it
    organization    the organization that made it
    homepage        the address of its page
    citation        how it is cited: a sentence, or BibTeX
    description     what it holds; None writes how many images of how many classes
    date_published  YYYY-MM-DD
    """

    license: str | None = None
    creator: str | None = None
    organization: str | None = None
    homepage: str | None = None
    citation: str | None = None
    description: str | None = None
    date_published: str | None = None

    @field_validator("date_published")
    @classmethod
    def _a_day(cls, text: str | None) -> str | None:
        if text is None:
            return None
        try:
            return datetime.date.fromisoformat(text).isoformat()
        except ValueError:
            raise ValueError(f"{text} is no day; write it as 2026-11-29") from None

    @field_validator("homepage")
    @classmethod
    def _an_address(cls, text: str | None) -> str | None:
        if text is not None and not text.startswith(("https://", "http://")):
            raise ValueError(f"{text} is no address; it begins with https://")
        return text

    @property
    def given(self) -> tuple[str, ...]:
        """Names of what is known."""
        return tuple(name for name in type(self).model_fields if getattr(self, name) is not None)

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of what Croissant asks of a dataset that is published (the specification's section
        of required properties), and is not known."""
        made_by = self.creator or self.organization
        values = {
            "license": self.license,
            "creator": made_by,
            "homepage": self.homepage,
            "date_published": self.date_published,
        }
        return tuple(name for name, value in values.items() if value is None)


UNKNOWN = About()
