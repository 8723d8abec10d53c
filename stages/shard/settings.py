"""What a user gives -> the settings and inputs of `vitctl shard`; needs no terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.shard.formula import check_source, formula_settings
from stages.shard.imagenet import check_imagenet, imagenet_files
from stages.shard.spec import Inputs, ShardConfig
from vitctl.errors import UsageError
from vitctl.ingest.sources.imagenet_files import ImageNetFiles
from vitctl.ingest.write.about import CROISSANT, About
from vitctl.settings.overrides import Overrides


def check_sheet(sheet: Path | None, *, dry_run: bool) -> None:
    """Raise UsageError for a picture of a sample where none is taken."""
    if sheet is not None and not dry_run:
        raise UsageError("--sheet draws a sample, which --dry-run takes", hint="add --dry-run")


def check_about(about: About, *, virtual: bool, part: str | None) -> None:
    """Raise UsageError for what describes a dataset where none with images is made."""
    if not about.given:
        return
    option = about.given[0].replace("_", "-")
    if part is not None:
        raise UsageError(
            f"--{option} is for {CROISSANT}, which a part has not, as --part {part} makes one",
            hint=f"give it to vitctl merge, which writes that file: vitctl merge --{option} ...",
        )
    if virtual:
        raise UsageError(
            f"--{option} is for {CROISSANT}, which describes stored images, and --virtual stores "
            "none",
            hint="leave one of them out",
        )


def resolve(
    overrides: Overrides,
    source: str,
    *,
    formula: Mapping[str, Any],
    virtual: bool,
    imagenet: Mapping[str, Path | str | None],
    **reading: Any,
) -> tuple[ShardConfig, Inputs]:
    """The settings and inputs of a dataset.

    Args:
      formula: what is given of a set of formula images, by the fields of its `FormulaConfig`; None
        is not given.
      virtual: store its description alone.
      imagenet: ImageNet's files, by the fields of `ImageNetFiles`.
      reading: how other sources are read, the other fields of `Inputs`.

    Raises UsageError where these do not belong together, or to the source.
    """
    cfg = overrides.build(ShardConfig, {})
    given = {name: value for name, value in formula.items() if value is not None}
    cfg, pictures = formula_settings(source, cfg, given, virtual)
    files = ImageNetFiles(
        **{name: None if path is None else Path(path) for name, path in imagenet.items()}
    )
    inputs = Inputs(
        source,
        formula=pictures,
        imagenet=imagenet_files(source, files),
        virtual=virtual,
        **reading,
    )
    check_source(inputs, cfg)
    check_imagenet(inputs, cfg)
    return cfg, inputs
