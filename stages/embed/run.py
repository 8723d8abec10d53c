"""How `vitctl embed` works: a checkpoint and images -> parts of features -> published."""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from stages.embed.spec import VERSION, EmbedConfig, Inputs
from vitctl import processes
from vitctl.artifacts import Artifact, Draft, Recipe, Store, crew
from vitctl.artifacts.following import following
from vitctl.artifacts.kinds import CHECKPOINT, FEATURE_SET
from vitctl.artifacts.kinds.feature_set import FeatureSet
from vitctl.artifacts.store import slug
from vitctl.data.image_source import ImageSource
from vitctl.errors import InputError
from vitctl.events import Emit, Progress, Settings, silent
from vitctl.feature_sets import stored
from vitctl.feature_sets.stored import FeaturesInfo, SplitFeatures
from vitctl.inference import features, weights
from vitctl.model import feature_point
from vitctl.recipes import branching, measuring
from vitctl.recipes.measuring import Measured, MeasuringRuntime
from vitctl.recipes.naming import name_of
from vitctl.sharding import layout as layouts


def run(
    cfg: EmbedConfig,
    inputs: Inputs,
    *,
    store: Store,
    runtime: MeasuringRuntime,
    emit: Emit = silent,
) -> Artifact:
    """Keep the features of the images. What an interrupted run has kept is not computed again."""
    recipe = Recipe(
        stage="embed",
        version=VERSION,
        kind=FEATURE_SET.name,
        config=cfg.model_dump(mode="json"),
        parents=inputs.parents,
    )
    at = [] if cfg.at == feature_point.PRE_LOGITS else [cfg.at]
    parts = [name_of(inputs.checkpoint), inputs.images, *at]
    name = runtime.name or slug("-".join(parts), default="features")
    with crew.of(store).open(
        recipe, name=name, out=runtime.out, force=runtime.force, emit=emit
    ) as draft:
        artifact = draft.finished or _embedded(
            draft, cfg, inputs, store=store, runtime=runtime, emit=emit
        )
    emit(Settings("features", readable(FEATURE_SET.summary(artifact))))
    emit(following(artifact))
    return artifact


def _embedded(
    draft: Draft,
    cfg: EmbedConfig,
    inputs: Measured,
    *,
    store: Store,
    runtime: MeasuringRuntime,
    emit: Emit,
) -> Artifact:
    # Numbers: which images, in which parts
    trained = branching.trained_with(inputs.checkpoint)
    model, at = trained.model, feature_point.parse(cfg.at, depth=trained.model.depth)
    dataset = weights.open_dataset(
        inputs.dataset,
        mock=cfg.mock,
        classes=model.classes,
        splits=cfg.splits,
        cache=runtime.cache_dir,
        emit=emit,
    )
    width = features.width_at(model, at)
    splits = {
        split: SplitFeatures(
            examples=dataset.info.examples(split), rows_a_part=stored.rows_a_part(width)
        )
        for split in cfg.splits
    }
    missing = _missing(draft, splits)

    # Arrays
    if missing:
        layout = layouts.make(devices=runtime.devices)
        params = weights.restored(
            inputs.checkpoint, model=model, layout=layout, weights=cfg.weights
        )
        extractor = features.make_extractor(model, precision=cfg.precision, layout=layout, at=at)

    # Loop: a part at a time, each in batches of its own, so that a part depends on no other
    for split, index in missing:
        info = splits[split]
        first = index * info.rows_a_part
        positions = np.arange(first, min(first + info.rows_a_part, info.examples))
        batches = weights.batches(
            dataset,
            split=split,
            resolution=model.resolution,
            preprocess=cfg.preprocess,
            layout=layout,
            batch=runtime.batch,
            indices=positions,
            workers=runtime.workers,
        )

        def show(
            done: int, *, first: int = first, split: str = split, info: SplitFeatures = info
        ) -> None:
            emit(Progress(f"{split} features", first + done, info.examples, "images"))

        rows = features.gathered(
            features.of_model(extractor, params, batches, layout=layout),
            examples=len(positions),
            width=width,
            progress=show,
        )
        _check_finite(rows, split=split, first=first, dataset=dataset)
        draft.write(stored.part_name(split, index=index, parts=info.parts), stored.as_npy(rows))
        processes.mark("save")

    # Publish
    for split in splits:
        draft.write(stored.labels_name(split), stored.as_npy(np.asarray(dataset.labels(split))))
        draft.write(stored.keys_name(split), stored.as_npy(np.asarray(dataset.keys(split))))
    known = measuring.known_classes(inputs.checkpoint, store=store, emit=emit)
    described = FeaturesInfo(
        classes=dataset.info.classes,
        at=cfg.at,
        width=width,
        splits=splits,
        trained_on=tuple(sorted(known)),
    )
    text = json.dumps(described.model_dump(mode="json"), indent=1, ensure_ascii=False)
    draft.write(stored.DESCRIPTION, f"{text}\n".encode())
    summary = FeatureSet(
        model=trained.label,
        step=CHECKPOINT.summary(inputs.checkpoint).step,
        cooled=branching.is_cooled(inputs.checkpoint),
        weights=cfg.weights,
        at=cfg.at,
        width=width,
        dataset=inputs.images,
        classes=len(dataset.info.classes),
        examples={split: info.examples for split, info in splits.items()},
    )
    return draft.publish(summary=summary.as_json())


def readable(summary: FeatureSet) -> dict[str, str]:
    """Whose features of what they are."""
    at = {"pre_logits": "what the classifier sees", "tokens": "the mean of the last tokens"}
    averaged = ", averaged weights" if summary.weights == "ema" else ""
    images = ", ".join(f"{n:,} {split}" for split, n in summary.examples.items())
    return {
        "model": f"{summary.model} at step {summary.step}{averaged}",
        "data": f"{summary.dataset}: {images}",
        "features": f"{summary.width:,} numbers an image, "
        + at.get(summary.at, f"the mean of the tokens after {summary.at.replace(':', ' ')}"),
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


def _check_finite(
    rows: NDArray[np.float32], *, split: str, first: int, dataset: ImageSource
) -> None:
    """Raise InputError naming an image whose features are not numbers."""
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if bad.size:
        (name,) = dataset.ids(split, np.array([first + bad[0]]))
        raise InputError(
            f"features of {bad.size:,} images of {split} are not finite, first of "
            f"{name or first + int(bad[0])}",
            hint="the weights have diverged: take an earlier checkpoint",
        )
