"""A trained model that is only looked at: its weights, and the images it is shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh
from numpy.typing import NDArray

from vitctl import checkpoints
from vitctl import mesh as meshes
from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.files import sha256_file
from vitctl.data import pipeline
from vitctl.data.batches import EvalBatch
from vitctl.data.config import EvalPreprocess
from vitctl.data.dataset import Dataset
from vitctl.data.mock import MockDataset
from vitctl.errors import InputError
from vitctl.model import vit
from vitctl.train import state as states
from vitctl.train.config import MockConfig, TrainConfig

T = TypeVar("T")

DEFAULT_BATCH = 256
"""Images at a time where nothing is trained: enough to keep a device busy. It changes no result."""


def restored(checkpoint: Artifact, *, cfg: TrainConfig, mesh: Mesh) -> vit.Params:
    """The weights of a checkpoint that `cfg` trained, on every device; the optimizer's state is not
    read.

    Raises InputError if their bytes are not those that were published, or of another model.
    """
    weights = [
        entry
        for entry in checkpoint.manifest.files
        if entry.path.startswith(f"{checkpoints.PARAMS}/")
    ]
    for entry in weights:
        if sha256_file(checkpoint.path / entry.path) != (entry.size, entry.sha256):
            raise InputError(
                f"{checkpoint.path} is damaged: {entry.path} has other bytes than were published",
                hint=f"see all: vitctl verify --deep {checkpoint.path}",
            )
    like = meshes.like(states.param_shapes(cfg), meshes.replicated(mesh))
    return checkpoints.restore(checkpoint.path, checkpoints.PARAMS, like=like)


def untrained(cfg: TrainConfig, *, mesh: Mesh) -> vit.Params:
    """The weights that a training from scratch with `cfg` starts from."""
    whole = meshes.replicated(mesh)
    init = jax.jit(lambda key: vit.init(cfg.model, key=key), out_shardings=whole)
    return init(jax.random.key(cfg.seed))


def open_dataset(
    dataset: Artifact | None, *, mock: MockConfig | None, classes: int
) -> Dataset | MockDataset:
    """The dataset behind an artifact, or the synthetic one that a `--mock` run was trained on."""
    if dataset is not None:
        return Dataset.load(dataset.path)
    if mock is None:
        raise ValueError("expected a dataset or a mock one")
    return MockDataset(
        classes=classes, train_examples=mock.examples, val_examples=mock.eval_examples
    )


def batches(
    dataset: Dataset | MockDataset,
    *,
    split: str,
    resolution: int,
    preprocess: EvalPreprocess,
    mesh: Mesh,
    batch: int | None = None,
    indices: NDArray[np.int64] | None = None,
    workers: int | None = None,
) -> Iterator[EvalBatch]:
    """Images of a split once each, in order (or those at `indices`, in theirs).

    `batch` is cut to the number of images and rounded up to a multiple of the devices.
    """
    wanted = dataset.info.examples(split) if indices is None else len(indices)
    size = max(1, min(batch or DEFAULT_BATCH, wanted))
    size = -(-size // mesh.size) * mesh.size
    return pipeline.eval_batches(
        dataset,
        split=split,
        resolution=resolution,
        preprocess=preprocess,
        batch=size,
        indices=indices,
        rows=meshes.rows(mesh, size),
        workers=workers,
    )


def one_behind(items: Iterable[T]) -> Iterator[T]:
    """Each item, once the next has been asked for: the device works on that one meanwhile."""
    held: list[T] = []
    for item in items:
        held.append(item)
        if len(held) == 2:
            yield held.pop(0)
    yield from held


def on_devices(batch: EvalBatch, *, mesh: Mesh) -> tuple[Any, Any, Any]:
    """(images, labels, mask), split over the devices."""
    return meshes.place(batch.local, meshes.split(mesh))
