"""Features of images -> parts in a draft -> published: what `vitctl embed` makes, and
`vitctl cluster` on its way. What an interrupted run has made is not computed again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from vitctl import processes
from vitctl.artifacts import Artifact, Draft, Store, crew
from vitctl.artifacts.documents import json_bytes
from vitctl.artifacts.kinds import CHECKPOINT
from vitctl.artifacts.kinds.feature_set import PIXELS, FeatureSet
from vitctl.artifacts.store import slug
from vitctl.data.batches import EvalBatch
from vitctl.data.image_source import ImageSource
from vitctl.errors import InputError
from vitctl.events import Emit, Progress
from vitctl.feature_sets import stored
from vitctl.feature_sets.stored import FeaturesInfo, SplitFeatures
from vitctl.inference import features, weights
from vitctl.model import feature_point
from vitctl.recipes import branching, measuring
from vitctl.recipes.embedding import EmbedConfig, PixelsConfig, recipe_of
from vitctl.recipes.measuring import Measured, MeasuringRuntime
from vitctl.recipes.naming import name_of
from vitctl.sharding import layout as layouts
from vitctl.text.quantities import counted

Extract = Callable[[str, NDArray[np.int64], Callable[[int], None]], NDArray[np.float32]]
"""(split, int64[k] positions, progress) -> float32[k, width]."""


def model_features(
    cfg: EmbedConfig,
    inputs: Measured,
    *,
    store: Store,
    runtime: MeasuringRuntime,
    emit: Emit,
) -> Artifact:
    """The features that a model makes of the images."""
    at = [] if cfg.at == feature_point.PRE_LOGITS else [cfg.at]
    name = slug("-".join([name_of(inputs.checkpoint), inputs.images, *at]), default="features")
    with crew.of(store).open(
        recipe_of(inputs.named_by(cfg.model_dump(mode="json")), inputs.parents),
        name=runtime.name or name,
        out=runtime.out,
        force=runtime.force,
        emit=emit,
    ) as draft:
        return draft.finished or _of_model(
            draft, cfg, inputs, store=store, runtime=runtime, emit=emit
        )


def pixel_features(
    cfg: PixelsConfig,
    dataset: Artifact,
    *,
    store: Store,
    runtime: MeasuringRuntime,
    emit: Emit,
) -> Artifact:
    """The pixels of the images, of which no model makes anything."""
    name = slug(f"{dataset.path.name}-pixels-{cfg.pixels}", default="pixels")
    with crew.of(store).open(
        recipe_of(cfg.model_dump(mode="json"), (dataset.as_parent("data"),)),
        name=name,
        force=runtime.force,
        emit=emit,
    ) as draft:
        return draft.finished or _of_pixels(draft, cfg, dataset, runtime=runtime, emit=emit)


def _of_model(
    draft: Draft,
    cfg: EmbedConfig,
    inputs: Measured,
    *,
    store: Store,
    runtime: MeasuringRuntime,
    emit: Emit,
) -> Artifact:
    trained = branching.trained_with(inputs.checkpoint)
    model, at = trained.model, feature_point.parse(cfg.at, depth=trained.model.depth)
    dataset = weights.open_dataset(
        inputs.dataset,
        mock=inputs.mock,
        classes=model.classes,
        splits=cfg.splits,
        cache=runtime.cache_dir,
        emit=emit,
    )
    layout = layouts.make(devices=runtime.devices)
    width = features.width_at(model, at)

    def prepare() -> Extract:
        params = weights.restored(
            inputs.checkpoint, model=model, layout=layout, weights=cfg.weights
        )
        extractor = features.make_extractor(model, precision=cfg.precision, layout=layout, at=at)
        looked = partial(features.of_model, extractor, params, layout=layout)
        return _extract(
            looked, dataset, cfg, resolution=model.resolution, width=width, runtime=runtime
        )

    _write_parts(draft, dataset, cfg.splits, width=width, prepare=prepare, emit=emit)
    known = measuring.known_classes(inputs.checkpoint, store=store, emit=emit)
    summary = FeatureSet(
        model=trained.label,
        step=CHECKPOINT.summary(inputs.checkpoint).step,
        cooled=branching.is_cooled(inputs.checkpoint),
        weights=cfg.weights,
        at=cfg.at,
        width=width,
        dataset=inputs.images,
        classes=len(dataset.info.classes),
        examples={split: dataset.info.examples(split) for split in cfg.splits},
    )
    return _published(draft, dataset, summary, trained_on=known)


def _of_pixels(
    draft: Draft,
    cfg: PixelsConfig,
    images: Artifact,
    *,
    runtime: MeasuringRuntime,
    emit: Emit,
) -> Artifact:
    dataset = weights.open_dataset(
        images, mock=None, classes=0, splits=cfg.splits, cache=runtime.cache_dir, emit=emit
    )
    width = cfg.pixels**2 * 3
    looked = partial(features.of_pixels, layout=layouts.make(devices=runtime.devices))
    extract = _extract(looked, dataset, cfg, resolution=cfg.pixels, width=width, runtime=runtime)
    _write_parts(draft, dataset, cfg.splits, width=width, prepare=lambda: extract, emit=emit)
    summary = FeatureSet(
        model=f"pixels {cfg.pixels}x{cfg.pixels}",
        step=None,
        cooled=None,
        weights=None,
        at=PIXELS,
        width=width,
        dataset=images.path.name,
        classes=len(dataset.info.classes),
        examples={split: dataset.info.examples(split) for split in cfg.splits},
    )
    return _published(draft, dataset, summary)


def _extract(
    looked: Callable[[Iterable[EvalBatch]], Iterable[NDArray[np.float32]]],
    dataset: ImageSource,
    cfg: EmbedConfig | PixelsConfig,
    *,
    resolution: int,
    width: int,
    runtime: MeasuringRuntime,
) -> Extract:
    """`looked` turns batches into features."""
    layout = layouts.make(devices=runtime.devices)

    def rows(
        split: str, positions: NDArray[np.int64], progress: Callable[[int], None]
    ) -> NDArray[np.float32]:
        batches = weights.batches(
            dataset,
            split=split,
            resolution=resolution,
            preprocess=cfg.preprocess,
            layout=layout,
            batch=runtime.batch,
            indices=positions,
            workers=runtime.workers,
        )
        return features.gathered(
            looked(batches),
            examples=len(positions),
            width=width,
            progress=progress,
        )

    return rows


def _write_parts(
    draft: Draft,
    dataset: ImageSource,
    names: Collection[str],
    *,
    width: int,
    prepare: Callable[[], Extract],
    emit: Emit,
) -> None:
    """The parts that are not there yet, each in batches of its own, so that a part depends on no
    other."""
    splits = _parted(dataset, names, width=width)
    missing = _missing(draft, splits)
    if not missing:
        return
    extract = prepare()
    for split, index in missing:
        info = splits[split]
        first = index * info.rows_a_part
        positions = np.arange(first, min(first + info.rows_a_part, info.examples))

        def show(
            done: int, *, first: int = first, split: str = split, info: SplitFeatures = info
        ) -> None:
            emit(Progress(f"{split} features", first + done, info.examples, "images"))

        rows = extract(split, positions, show)
        check_finite(
            rows,
            positions,
            split=split,
            dataset=dataset,
            hint="the weights have diverged: take an earlier checkpoint",
        )
        draft.write(stored.part_name(split, index=index, parts=info.parts), stored.as_npy(rows))
        processes.mark("save")


def _published(
    draft: Draft, dataset: ImageSource, summary: FeatureSet, *, trained_on: Collection[str] = ()
) -> Artifact:
    splits = _parted(dataset, summary.examples, width=summary.width)
    for split in splits:
        draft.write(stored.labels_name(split), stored.as_npy(np.asarray(dataset.labels(split))))
        draft.write(stored.keys_name(split), stored.as_npy(np.asarray(dataset.keys(split))))
    described = FeaturesInfo(
        classes=dataset.info.classes,
        at=summary.at,
        width=summary.width,
        splits=splits,
        trained_on=tuple(sorted(trained_on)),
    )
    draft.write(stored.DESCRIPTION, json_bytes(described.model_dump(mode="json")))
    return draft.publish(summary=summary.as_json())


def _parted(
    dataset: ImageSource, splits: Collection[str], *, width: int
) -> dict[str, SplitFeatures]:
    return {
        split: SplitFeatures(
            examples=dataset.info.examples(split), rows_a_part=stored.rows_a_part(width)
        )
        for split in splits
    }


def _missing(draft: Draft, splits: dict[str, SplitFeatures]) -> list[tuple[str, int]]:
    """The parts that were not written yet, as all processes see it."""

    def look() -> list[tuple[str, int]]:
        return [
            (split, index)
            for split, info in splits.items()
            for index in range(info.parts)
            if not (draft.path / stored.part_name(split, index=index, parts=info.parts)).is_file()
        ]

    return [(split, index) for split, index in processes.share("missing parts", look)]


def check_finite(
    rows: NDArray[np.float32],
    positions: NDArray[np.int64],
    *,
    split: str,
    dataset: ImageSource,
    hint: str,
) -> None:
    """Raise InputError naming an image whose features are not numbers, of those at `positions`."""
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if bad.size:
        (name,) = dataset.ids(split, positions[bad[:1]])
        raise InputError(
            f"features of {counted(bad.size, 'image')} of {split} are not finite, first of "
            f"{name or int(positions[bad[0]])}",
            hint=hint,
        )
