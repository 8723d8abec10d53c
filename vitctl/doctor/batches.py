"""Time to the first batch, and images a second after it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from vitctl.artifacts.artifact import Artifact
from vitctl.data import pipeline
from vitctl.data.config import AugmentConfig
from vitctl.data.image_source import ImageSource
from vitctl.data.local_shards import copied
from vitctl.data.mock import MockDataset
from vitctl.data.opening import open_dataset
from vitctl.data.tensorflow import is_installed
from vitctl.doctor.finding import CheckRequest, Finding
from vitctl.errors import VitctlError

# What most models are pretrained at; the rate of another size goes by its pixels.
_RESOLUTION, _BATCH = 224, 64
# The pipeline works ahead by so many batches; what comes after them shows its rate.
_AHEAD, _MEASURED = 3, 4
_PATIENCE_S = 60.0


def mock_batch(request: CheckRequest) -> Finding:
    """A batch of synthetic images: whether the code works, whatever the data."""
    first, rate = _timed(_batches(MockDataset(classes=10, train_examples=1000, val_examples=10)))
    numbers = {"first_s": round(first, 3), "images_per_s": round(rate, 1)}
    return Finding("mock batch", "ok", f"{first:.1f} s", None, numbers)


def first_batch(request: CheckRequest) -> Finding:
    """A batch of the dataset, decoded and augmented; importing TensorFlow is part of the wait."""
    if request.dataset is None:
        message = "there is no dataset yet"
        return Finding("first batch", "ok", message, None, {})
    if not is_installed():
        message = "not tried, because TensorFlow is not installed"
        return Finding("first batch", "ok", message, None, {})
    try:
        dataset = open_dataset(Artifact.load(request.dataset), folder=_here)
        first, rate = _timed(_batches(dataset))
    except _ElsewhereError:
        message = f"{request.dataset} is copied to this machine by the first command that reads it"
        return Finding("first batch", "ok", message, None, {})
    except VitctlError as error:
        hint = error.hint or f"see what is damaged: vitctl verify --deep {request.dataset}"
        return Finding("first batch", "fail", error.message, hint, {}, exit_code=3)
    numbers = {"first_s": round(first, 3), "images_per_s": round(rate, 1)}
    message = (
        f"after {first:.1f} s, then {rate:,.0f} images/s at {_RESOLUTION} px ({request.dataset})"
    )
    if first > _PATIENCE_S:
        hint = "the disk is slow for many small reads; copy the dataset to a local one"
        return Finding("first batch", "warn", message, hint, numbers)
    return Finding("first batch", "ok", message, None, numbers)


class _ElsewhereError(Exception):
    """A dataset lies in a bucket, and there is no copy of it here yet."""


def _here(dataset: Artifact) -> Path:
    """Where to read it."""
    folder = dataset.path.local or copied(dataset, splits=("train",))
    if folder is None:
        raise _ElsewhereError
    return folder


def _batches(dataset: ImageSource) -> Iterator[Any]:
    return pipeline.train_batches(
        dataset,
        resolution=_RESOLUTION,
        augment=AugmentConfig(),
        seed=0,
        batch=min(_BATCH, dataset.info.examples("train")),
    )


def _timed(batches: Iterator[Any]) -> tuple[float, float]:
    """Seconds to the first batch, and images a second of those after it."""
    began = time.perf_counter()
    size = len(next(batches).images)
    first = time.perf_counter() - began
    for _ in islice(batches, _AHEAD):
        pass
    steady = time.perf_counter()
    for _ in islice(batches, _MEASURED):
        pass
    return first, _MEASURED * size / (time.perf_counter() - steady)
