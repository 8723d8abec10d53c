"""What `vitctl export` reads, decides and makes: its version, settings and inputs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import field_validator, model_serializer

from vitctl.artifacts import Artifact
from vitctl.artifacts.kinds.export import Target
from vitctl.settings.config import Config, without_defaults
from vitctl.stage import Runtime
from vitctl.summaries import WeightsName
from vitctl.text.quoting import quoted

VERSION = 1


class ExportConfig(Config):
    """What decides the files, besides the checkpoint.

    to        the program that is to load them
    weights   the checkpoint's weights as they are, or their average
    features  whether the classifier is left out
    license   an identifier of the SPDX list for the card, in small letters as model hubs have it;
              None: the card says nothing of a licence
    """

    to: Target
    weights: WeightsName = "raw"
    features: bool = False
    license: str | None = None

    @model_serializer(mode="wrap")
    def _as_before(self, dump: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return without_defaults(self, dump, later=("license",))

    @field_validator("license")
    @classmethod
    def _identifier(cls, license: str | None) -> str | None:
        """One word, as it stands in the YAML of a card."""
        if license is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]*", license):
            raise ValueError(
                f"{quoted(license)} is no identifier of a licence, such as Apache-2.0 or CC-BY-4.0"
            )
        return None if license is None else license.lower()


@dataclass(frozen=True)
class Inputs:
    """The checkpoint that is exported."""

    checkpoint: Artifact


class ExportRuntime(Runtime):
    """Nothing but where the result goes."""
