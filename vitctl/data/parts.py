"""What `dataset.json` says of a dataset that is made of others: which ones, by id and digest."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

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


class RelabelledInfo(Config):
    """All images of another dataset, or of some of its splits, with labels of this one."""

    dataset: DatasetRef


class MixtureInfo(Config):
    """The images of several datasets."""

    datasets: Annotated[tuple[DatasetRef, ...], Field(min_length=1)]
    weights: tuple[PositiveInt, ...] | None = None
    """Of each dataset, how many of every sum(weights) draws of training take it; None draws every
    image equally often."""
    balanced: bool = False
    """Whether training draws every class equally often instead."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.weights is not None and len(self.weights) != len(self.datasets):
            raise ValueError("there are not as many weights as datasets")
        if self.weights is not None and self.balanced:
            raise ValueError("weights and balanced are two ways to draw")
        return self
