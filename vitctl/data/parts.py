"""What `dataset.json` says of a dataset that is made of others: which ones, by id and digest."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vitctl.settings.config import Config

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class DatasetRef(Config):
    """A dataset whose images are used. Where it lies is recorded in the manifest: the same parts in
    another place make the same bytes."""

    id: Sha256
    digest: Sha256


class SubsetInfo(Config):
    """Some images of another dataset."""

    dataset: DatasetRef
    row_bytes: Literal[4, 8]
    """Size of each number in the files of rows."""
    splits: tuple[str, ...]
    """Those that have a file of rows; the others are as they are in the dataset."""
