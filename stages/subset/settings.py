"""What a user gives -> the settings and inputs of `vitctl subset`; needs no terminal."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from stages.subset.ids import read_ids
from stages.subset.spec import Ids, Inputs, SubsetConfig
from vitctl.artifacts import Artifact
from vitctl.events import Emit
from vitctl.settings.overrides import Overrides

Listed = Path | str | Iterable[str] | None
"""Ids of images, or the file that lists them."""


def resolve(
    overrides: Overrides,
    dataset: Callable[[], Artifact],
    *,
    ids: Listed,
    exclude_ids: Listed,
    emit: Emit,
) -> tuple[SubsetConfig, Inputs]:
    """`dataset` is called once the settings are known to make sense: it may wait for a pipe."""
    cfg = overrides.build(SubsetConfig, {})
    inputs = Inputs(
        dataset(),
        _listed(ids, option="--ids", emit=emit),
        _listed(exclude_ids, option="--exclude-ids", emit=emit),
    )
    return cfg, inputs


def _listed(names: Listed, *, option: str, emit: Emit) -> Ids | None:
    if names is None or isinstance(names, str | os.PathLike):
        return read_ids(None if names is None else Path(names), option=option, emit=emit)
    return Ids(tuple(names))
