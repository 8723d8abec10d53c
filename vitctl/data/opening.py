"""The images that a command was given: those of a dataset artifact, or synthetic ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.catalog import Catalog
from vitctl.artifacts.pasteable import usual_store
from vitctl.data.config import MockConfig
from vitctl.data.dataset import Dataset
from vitctl.data.formula_images import FormulaImages
from vitctl.data.image_source import ImageSource
from vitctl.data.mixture import Mixture
from vitctl.data.mock import MockDataset
from vitctl.data.parts import DatasetRef
from vitctl.data.relabelled import Relabelled
from vitctl.data.subset import HINT, RowFiles, Subset
from vitctl.errors import InputError
from vitctl.places import Place, place

Folder = Callable[[Artifact], Place | Path]
"""Where the files of a dataset are read: its own folder, or a copy."""


class PartGoneError(InputError):
    """A dataset that another one is made of is not where it was, nor in the store."""


def in_place(dataset: Artifact) -> Place:
    """Its own folder; shards are readable only on this machine's disk."""
    return dataset.path


def open_source(
    dataset: Artifact | None,
    *,
    mock: MockConfig | None,
    classes: int,
    folder: Folder = in_place,
) -> ImageSource:
    """The images of a dataset, or of `mock` with as many `classes` where that is asked for.

    The only place that knows of the choice. Raises as `open_dataset`.
    """
    if mock is not None:
        return MockDataset(
            classes=classes, train_examples=mock.examples, val_examples=mock.eval_examples
        )
    if dataset is None:
        raise ValueError("expected a dataset or a mock one")
    return open_dataset(dataset, folder=folder)


def open_dataset(dataset: Artifact, *, folder: Folder = in_place) -> ImageSource:
    """The images of a dataset artifact, wherever they come from. `folder` is asked for it and for
    each dataset that it is made of.

    Raises `NotFoundError` where there is no dataset, `InputError` where it is damaged, or a dataset
    that it is made of is gone or changed.
    """
    on_disk = Dataset.load(folder(dataset))
    info = on_disk.info
    if info.formula is not None:
        return FormulaImages(info, info.formula)
    if info.mixture is not None:
        parts = [
            open_dataset(_part(dataset, part), folder=folder) for part in info.mixture.datasets
        ]
        return Mixture(tuple(parts), info)
    if info.relabelled is not None:
        source = open_dataset(_part(dataset, info.relabelled.dataset), folder=folder)
        return Relabelled(source, on_disk)
    if info.subset is None:
        return on_disk
    source = open_dataset(_part(dataset, info.subset.dataset), folder=folder)
    return Subset(source, RowFiles(on_disk.path, info=info, within=source.info), info)


def with_own_labels(dataset: Artifact) -> Artifact:
    """The dataset that a relabelled one has its images of, under its own labels or none; any other
    is returned as it is. Raises as `open_dataset`."""
    while (info := Dataset.load(dataset.path).info).relabelled is not None:
        dataset = _part(dataset, info.relabelled.dataset)
    return dataset


def _part(dataset: Artifact, part: DatasetRef) -> Artifact:
    """A dataset that another one names, where it was recorded or in the store."""
    parent = next(
        (p for p in dataset.manifest.parents if (p.id, p.digest) == (part.id, part.digest)), None
    )
    if parent is None:
        raise InputError(
            f"{dataset.path} is made of dataset {part.id[:8]}, which its manifest does not record",
            hint=HINT,
        )
    for catalog in _catalogs(dataset):
        if (artifact := catalog.parent(parent)) is not None:
            return Artifact.load(artifact.path)
    raise PartGoneError(
        f"the dataset that {dataset.path} takes its images from is gone ({parent.last_place})",
        hint="bring it back to that place, or copy it into this store: it alone holds the images",
    )


def _catalogs(dataset: Artifact) -> Iterator[Catalog]:
    """The store that a dataset lies in, and the one of a command without --store."""
    stage = dataset.path.absolute().parent
    if stage.name == dataset.manifest.stage:
        yield Catalog(str(stage.parent))
    yield Catalog(place(usual_store()))
