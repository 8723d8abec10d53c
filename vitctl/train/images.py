"""The images of a run, from a dataset on disk or made up, behind one face."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jax.sharding import Mesh
from numpy.typing import NDArray

from vitctl import mesh as meshes
from vitctl.data import pipeline
from vitctl.data.batches import EvalBatch, TrainBatch, keys_of_steps
from vitctl.data.dataset import Dataset
from vitctl.data.mock import MockDataset
from vitctl.train.config import TrainConfig

# Scoring keeps no gradients, so larger batches than training's would fit; this is enough to keep
# a device busy and small enough that the last, padded batch wastes little.
_EVAL_BATCH = 256


@dataclass(frozen=True)
class Images:
    """Training and scoring batches as `cfg` wants them.

    `mesh` rounds the scoring batch up to a multiple of its devices and tells which rows of a
    batch this process reads. It does not change any number.
    """

    dataset: Dataset | MockDataset
    cfg: TrainConfig
    mesh: Mesh
    workers: int | None = None

    @property
    def examples(self) -> int:
        return self.dataset.info.examples(self.cfg.data.split)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.dataset.info.classes

    @cached_property
    def _keys_of(self):
        data = self.cfg.data
        return keys_of_steps(self.dataset, split=data.split, seed=self.cfg.seed, batch=data.batch)

    def keys_of_step(self, step: int) -> NDArray[np.uint64]:
        """uint64[batch]: the sample keys of global batch `step`; reads no image."""
        return self._keys_of(step)

    def train_batches(self, *, start_step: int) -> Iterator[TrainBatch]:
        """The endless stream from a step on."""
        data = self.cfg.data
        return pipeline.train_batches(
            self.dataset,
            split=data.split,
            resolution=self.cfg.model.resolution,
            augment=data.augment,
            seed=self.cfg.seed,
            batch=data.batch,
            start_step=start_step,
            rows=meshes.rows(self.mesh, data.batch),
            workers=self.workers,
        )

    def eval_batches(self, split: str) -> Iterator[EvalBatch]:
        """Every example of a split once."""
        examples = self.dataset.info.examples(split)
        batch = -(-min(_EVAL_BATCH, examples) // self.mesh.size) * self.mesh.size
        return pipeline.eval_batches(
            self.dataset,
            split=split,
            resolution=self.cfg.model.resolution,
            preprocess=self.cfg.data.evaluation,
            batch=batch,
            rows=meshes.rows(self.mesh, batch),
            workers=self.workers,
        )


def open_images(
    cfg: TrainConfig, dataset: Path | None, *, mesh: Mesh, workers: int | None
) -> Images:
    """Open the dataset at a path, or make up images where `cfg.data.mock` says so."""
    source: Dataset | MockDataset
    mock = cfg.data.mock
    if mock is not None:
        source = MockDataset(
            classes=cfg.model.classes,
            train_examples=mock.examples,
            val_examples=mock.eval_examples,
        )
    else:
        assert dataset is not None  # a run without --mock has a dataset among its inputs
        source = Dataset.load(dataset)
    for split in (cfg.data.split, cfg.data.eval_split):
        if split is not None:
            source.info.split(split)
    return Images(source, cfg, mesh, workers=workers)
