"""The images that a run's settings speak of."""

from __future__ import annotations

from vitctl.artifacts.artifact import Artifact
from vitctl.data.held_out import hold_out
from vitctl.data.image_source import ImageSource
from vitctl.data.opening import Folder, in_place, open_source
from vitctl.train.config import TrainConfig


def image_source(
    cfg: TrainConfig, dataset: Artifact | None, *, folder: Folder = in_place
) -> ImageSource:
    """The dataset's images, or synthetic ones, with what `cfg.data.held_out` holds out as a split
    of its own. Raises as `open_source`."""
    source = open_source(dataset, mock=cfg.data.mock, classes=cfg.model.classes, folder=folder)
    if cfg.data.held_out is None:
        return source
    return hold_out(source, split=cfg.data.split, share=cfg.data.held_out)
