"""The images behind what a command was given: a folder on this machine, or made-up ones."""

from __future__ import annotations

from pathlib import Path

from vitctl.data.config import MockConfig
from vitctl.data.dataset import Dataset
from vitctl.data.formula_images import FormulaImages
from vitctl.data.image_source import ImageSource
from vitctl.data.mock import MockDataset
from vitctl.places import Place


def open_source(
    dataset: Place | Path | None, *, mock: MockConfig | None, classes: int
) -> ImageSource:
    """The images of a dataset, or of `mock` with as many `classes` where that is asked for.

    The only place that knows of the choice. Raises `NotFoundError` where there is no dataset,
    `InputError` where it is damaged.
    """
    if mock is not None:
        return MockDataset(
            classes=classes, train_examples=mock.examples, val_examples=mock.eval_examples
        )
    if dataset is None:
        raise ValueError("expected a dataset or a mock one")
    on_disk = Dataset.load(dataset)
    formula = on_disk.info.formula
    return on_disk if formula is None else FormulaImages(on_disk.info, formula)
