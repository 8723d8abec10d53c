"""The features that are clustered: those that a model makes, pixels, or what was given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.cluster.spec import ClusterConfig, ClusterRuntime, Inputs
from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.kinds import FEATURE_SET
from vitctl.artifacts.manifest import Parent
from vitctl.data.image_source import ImageSource
from vitctl.errors import InputError, NotFoundError
from vitctl.events import Emit
from vitctl.feature_sets.contract import FeatureSource
from vitctl.feature_sets.foreign import ForeignFeatures
from vitctl.feature_sets.stored import StoredFeatures
from vitctl.recipes import embedding
from vitctl.recipes.embedded import model_features, pixel_features
from vitctl.recipes.embedding import EmbedConfig, PixelsConfig
from vitctl.recipes.measuring import Measured


@dataclass(frozen=True)
class Features:
    """Rows for the images of `splits`, which the dataset has in the same order. `label` says whose
    they are; `artifact` and `sha256` (of files) what a result depends on."""

    rows: FeatureSource
    splits: tuple[str, ...]
    label: str
    artifact: Artifact | None = None
    sha256: str | None = None

    @property
    def parents(self) -> tuple[Parent, ...]:
        return () if self.artifact is None else (self.artifact.as_parent("features"),)


def features_of(
    cfg: ClusterConfig,
    inputs: Inputs,
    source: ImageSource,
    *,
    store: Store,
    runtime: ClusterRuntime,
    emit: Emit,
) -> Features:
    """Computed once: an artifact that the next command finds again.

    Raises InputError where rows are not those of the images, NotFoundError where there are none of
    the split that centers are fitted to.
    """
    # Their place is their own, and --force is for the clusters.
    making = runtime.model_copy(update={"name": None, "out": None, "force": False})
    if isinstance(inputs.features, ForeignFeatures):
        given = inputs.features
        features = Features(given, tuple(given.splits), given.name, sha256=given.sha256)
    else:
        if inputs.features is not None:
            artifact = inputs.features
        elif inputs.checkpoint is not None:
            artifact = model_features(
                EmbedConfig(
                    at=cfg.at,
                    splits=tuple(embedding.splits_of(inputs.dataset)),
                    preprocess=cfg.preprocess,
                    precision=cfg.precision,
                    weights=cfg.weights,
                ),
                Measured(inputs.checkpoint, inputs.dataset),
                store=store,
                runtime=making,
                emit=emit,
            )
        else:
            assert cfg.pixels is not None  # settings.py
            splits = tuple(embedding.splits_of(inputs.dataset))
            artifact = pixel_features(
                PixelsConfig(pixels=cfg.pixels, splits=splits),
                inputs.dataset,
                store=store,
                runtime=making,
                emit=emit,
            )
        stored = StoredFeatures.load(artifact)
        summary = FEATURE_SET.summary(artifact)
        step = "" if summary.step is None else f" at step {summary.step:,}"
        features = Features(stored, tuple(stored.info.splits), f"{summary.model}{step}", artifact)
    if cfg.split not in features.splits:
        raise NotFoundError(
            f"there are no features of the split {cfg.split}",
            hint=f"they are of {', '.join(features.splits)}: --split chooses one",
        )
    for split in features.splits:
        _check_images(features, source, split, inputs.dataset)
    return features


def _check_images(features: Features, source: ImageSource, split: str, dataset: Artifact) -> None:
    """Raise InputError unless the rows of a split are of the dataset's images, by their keys where
    these are known, else by their number."""
    own = source.info.examples(split)
    if isinstance(features.rows, StoredFeatures):
        keys = features.rows.keys(split)
        same = len(keys) == own and np.array_equal(keys, np.asarray(source.keys(split)))
        rows = len(keys)
    else:
        rows = len(features.rows.labels(split))
        same = rows == own
    if not same:
        raise InputError(
            f"the features {features.label} of {split} are of {rows:,} images, which are not the "
            f"{own:,} of {dataset.path}",
            hint="name the dataset that they were computed of, or let --from compute them",
        )
