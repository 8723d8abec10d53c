"""What is probed: a model on images, features of `vitctl embed`, or features of another program."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from stages.fewshot.spec import FewshotConfig, Given
from vitctl import processes
from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.catalog import folders
from vitctl.artifacts.following import following
from vitctl.artifacts.kinds import CHECKPOINT, FEATURE_SET
from vitctl.artifacts.kinds.feature_set import PIXELS
from vitctl.artifacts.manifest import Parent
from vitctl.data.batches import EvalBatch
from vitctl.data.image_source import ImageSource
from vitctl.errors import VitctlError
from vitctl.events import Emit, Next, Note
from vitctl.feature_sets.contract import FeatureSource
from vitctl.feature_sets.foreign import ForeignFeatures
from vitctl.feature_sets.stored import StoredFeatures
from vitctl.inference import features, weights
from vitctl.model.feature_point import PRE_LOGITS
from vitctl.recipes import branching, measuring
from vitctl.recipes.measuring import Measured, MeasuringRuntime
from vitctl.recipes.naming import name_of
from vitctl.sharding import layout as layouts
from vitctl.sharding.layout import Layout
from vitctl.train.config import TrainConfig
from vitctl.train.program import state as states


@dataclass(frozen=True)
class Subject:
    """What results say of the features they are of.

    name     of the model, or of what holds the features
    label    the model as summaries call it
    step     of its checkpoint, and whether that is a finished model; None where nobody knows
    images   what the images are called
    parents  as a result records them
    """

    name: str
    label: str
    step: int | None
    cooled: bool | None
    images: str
    parents: tuple[Parent, ...]


def subject_of(inputs: Measured | Given) -> Subject:
    match inputs:
        case Measured(checkpoint):
            return Subject(
                name=name_of(checkpoint),
                label=branching.trained_with(checkpoint).label,
                step=CHECKPOINT.summary(checkpoint).step,
                cooled=branching.is_cooled(checkpoint),
                images=inputs.images,
                parents=inputs.parents,
            )
        case Given(Artifact() as artifact):
            summary = FEATURE_SET.summary(artifact)
            at = "" if summary.at in (PRE_LOGITS, PIXELS) else f" ({summary.at})"
            return Subject(
                name=artifact.path.name.removesuffix(f"-{artifact.id[:8]}"),
                label=f"{summary.model}{at}",
                step=summary.step,
                cooled=summary.cooled,
                images=summary.dataset,
                parents=(artifact.as_parent("features"),),
            )
        case Given(ForeignFeatures() as foreign):
            return Subject(
                name=foreign.name,
                label=foreign.name,
                step=None,
                cooled=None,
                images=foreign.name,
                parents=(),
            )
        case _:
            raise TypeError(f"nothing that can be probed: {inputs}")


def trained_on(
    inputs: Measured | Given, source: FeatureSource, *, store: Store, emit: Emit
) -> frozenset[str] | None:
    """Names of the classes that the model was trained with; None where nobody knows."""
    if isinstance(source, StoredFeatures):
        return frozenset(source.info.trained_on)
    if not isinstance(inputs, Measured):
        return None
    return measuring.known_classes(inputs.checkpoint, store=store, emit=emit)


def behind_features(
    inputs: Measured | Given, cfg: FewshotConfig, *, store: Store
) -> tuple[Artifact | None, Artifact | None]:
    """The checkpoint and the dataset that features are of; None where nobody knows, and of
    features that no training made."""
    if isinstance(inputs, Measured):
        return (inputs.checkpoint if cfg.features == "model" else None), inputs.dataset
    if not isinstance(inputs.features, Artifact):
        return None, None
    parents = (inputs.features.manifest.parent(role) for role in ("from", "data"))
    try:
        checkpoint, dataset = (None if p is None else store.parent(p) for p in parents)
    except VitctlError:  # changed meanwhile, which its features do not depend on
        return None, None
    return checkpoint, dataset


def next_command(inputs: Measured | Given, result: Artifact) -> Next:
    """What one would do after the probe."""
    if not isinstance(inputs, Measured):
        return following(result)
    path = inputs.checkpoint.path
    if measuring.can_cool(inputs.checkpoint):
        return Next.of("cooldown", "--from", path)
    data = [] if inputs.dataset is None else ["--data", inputs.dataset.path]
    return Next.of("finetune", "--from", path, *data)


def opened(
    cfg: FewshotConfig,
    inputs: Measured | Given,
    *,
    store: Store,
    runtime: MeasuringRuntime,
    emit: Emit,
) -> FeatureSource:
    """The features that are probed. Those of a model are computed when they are asked for, unless
    `vitctl embed` has kept them."""
    match inputs:
        case Given(Artifact() as artifact):
            return StoredFeatures.load(artifact)
        case Given(ForeignFeatures() as foreign):
            return foreign
        case Measured():
            return _Computed.open(cfg, inputs, store=store, runtime=runtime, emit=emit)
        case _:
            raise TypeError(f"nothing that can be probed: {inputs}")


@dataclass(frozen=True)
class _Computed:
    """A `FeatureSource`: a checkpoint and its images. `stored`: what `vitctl embed` has kept of
    them."""

    cfg: FewshotConfig
    inputs: Measured
    trained: TrainConfig
    runtime: MeasuringRuntime
    dataset: ImageSource
    stored: StoredFeatures | None
    layout: Layout

    @staticmethod
    def open(
        cfg: FewshotConfig,
        inputs: Measured,
        *,
        store: Store,
        runtime: MeasuringRuntime,
        emit: Emit,
    ) -> _Computed:
        stored = _stored_features(cfg, inputs, store=store) if cfg.features == "model" else None
        if stored is not None:
            emit(Note(f"features are read from {stored.artifact.path}, not computed again"))
        trained = branching.trained_with(inputs.checkpoint)
        dataset = weights.open_dataset(
            inputs.dataset,
            mock=inputs.mock,
            classes=trained.model.classes,
            splits=() if stored else (cfg.train_split, cfg.eval_split),
            cache=runtime.cache_dir,
            emit=emit,
        )
        layout = layouts.make(devices=runtime.devices)
        return _Computed(cfg, inputs, trained, runtime, dataset, stored, layout)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.dataset.info.classes

    @property
    def width(self) -> int:
        model = self.trained.model
        return model.resolution**2 * 3 if self.cfg.features == "pixels" else model.features

    def labels(self, split: str) -> NDArray[np.int32]:
        return np.asarray(self.dataset.labels(split))

    def rows(
        self,
        split: str,
        positions: NDArray[np.int64],
        *,
        progress: Callable[[int], None] = lambda done: None,
    ) -> NDArray[np.float32]:
        if self.stored is not None:
            return self.stored.rows(split, positions, progress=progress)
        batches = weights.batches(
            self.dataset,
            split=split,
            resolution=self.trained.model.resolution,
            preprocess=self.cfg.preprocess,
            layout=self.layout,
            batch=self.runtime.batch,
            indices=positions,
            workers=self.runtime.workers,
        )
        return features.gathered(
            self._look(batches), examples=len(positions), width=self.width, progress=progress
        )

    @cached_property
    def _look(self) -> Callable[[Iterable[EvalBatch]], Iterator[NDArray[np.float32]]]:
        """What turns batches into features, its weights loaded."""
        cfg, trained, layout = self.cfg, self.trained, self.layout
        if cfg.features == "pixels":
            return partial(features.of_pixels, layout=layout)
        if cfg.features == "untrained":
            params = states.drawn(trained, layout=layout)
        else:
            params = weights.restored(
                self.inputs.checkpoint, model=trained.model, layout=layout, weights=cfg.weights
            )
        extractor = features.make_extractor(trained.model, precision=cfg.precision, layout=layout)
        return partial(features.of_model, extractor, params, layout=layout)


def _stored_features(
    cfg: FewshotConfig, inputs: Measured, *, store: Store
) -> StoredFeatures | None:
    """Features that `vitctl embed` made of this checkpoint and these images, with the settings that
    a probe would compute them with; the same choice in all processes."""

    def look() -> str | None:
        wanted = {p.role: (p.id, p.digest) for p in inputs.parents}
        settings = inputs.named_by(cfg.model_dump(mode="json", include={*_DECIDE}))
        for folder in (f for stage in FEATURE_SET.stages for f in folders(store.root / stage)):
            try:
                artifact = Artifact.load(folder)
            except (VitctlError, OSError):
                continue
            made_with = {key: artifact.config.get(key) for key in settings}
            if (
                artifact.kind == FEATURE_SET.name
                and artifact.config.get("at") == PRE_LOGITS
                and {p.role: (p.id, p.digest) for p in artifact.manifest.parents} == wanted
                and made_with == settings
                and {cfg.train_split, cfg.eval_split} <= {*artifact.config.get("splits", ())}
            ):
                return str(artifact.path)
        return None

    path = processes.share("stored features", look)
    return StoredFeatures.load(Artifact.load(path)) if path else None


_DECIDE = ("preprocess", "precision", "weights")
"""Settings of a probe that decide the features of its model."""
