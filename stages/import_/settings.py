"""What a user gives -> the settings and inputs of `vitctl import`; needs no terminal."""

from __future__ import annotations

from pathlib import Path

from stages.import_.spec import ImportConfig, Inputs
from vitctl.settings.overrides import Overrides


def resolve(
    overrides: Overrides, source: Path | str, *, classes: Path | str | None
) -> tuple[ImportConfig, Inputs]:
    """What the settings leave open, the files decide. `classes` is a file of names."""
    cfg = overrides.build(ImportConfig, {})
    return cfg, Inputs(Path(source), None if classes is None else Path(classes))
