"""A trained model that is not trained further: its weights, and the images that it is given."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.typing import NDArray

from vitctl import processes
from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.files import sha256_file
from vitctl.checkpoints import arrays
from vitctl.data import pipeline
from vitctl.data.batches import EvalBatch
from vitctl.data.config import EvalPreprocess, MockConfig
from vitctl.data.image_source import ImageSource
from vitctl.data.local_shards import local_folder
from vitctl.data.opening import open_source
from vitctl.errors import InputError
from vitctl.events import Emit, silent
from vitctl.model import shapes, vit
from vitctl.model.config import ModelConfig
from vitctl.optim import average
from vitctl.places import Place
from vitctl.sharding import layout as layouts
from vitctl.sharding.layout import Layout
from vitctl.summaries import WeightsName

T = TypeVar("T")

DEFAULT_BATCH = 256
"""Images at a time where nothing is trained: enough to keep a device busy. It changes no result."""


def restored(
    checkpoint: Artifact,
    *,
    model: ModelConfig,
    layout: Layout,
    weights: WeightsName = "raw",
) -> vit.Params:
    """The weights of a checkpoint of a model, or their average, on every device; the
    optimizer's state is not read.

    Raises InputError if their bytes are not those that were published, or of another model.
    """
    part = arrays.PARAMS if weights == "raw" else arrays.EMA
    files = [e for e in checkpoint.manifest.files if e.path.startswith(f"{part}/")]

    def damaged() -> list[str]:
        return [
            entry.path
            for entry in files
            if sha256_file(checkpoint.path / entry.path) != (entry.size, entry.sha256)
        ]

    damage = processes.share(f"{checkpoint.id} has whole weights", damaged)
    if damage:
        raise InputError(
            f"{checkpoint.path} is damaged: {damage[0]} has other bytes than were published",
            hint=f"see all: vitctl verify --deep {checkpoint.path}",
        )
    return weights_of(checkpoint.path, model=model, layout=layout, weights=weights)


def weights_of(
    place: Place, *, model: ModelConfig, layout: Layout, weights: WeightsName
) -> vit.Params:
    """Like `restored`, for a checkpoint whose bytes were just checked."""
    params = shapes.of_params(model)
    like = layouts.like(params, layout.params(params))
    if weights == "raw":
        return arrays.restore(place, arrays.PARAMS, like=like)
    updates: Any = jax.ShapeDtypeStruct((), jnp.int32, sharding=layout.replicated)
    like_average = average.Average(like, updates)
    return arrays.restore(place, arrays.EMA, like=like_average).weights


def applied(
    config: ModelConfig, *, precision: str, layout: Layout
) -> Callable[[Any, Array], vit.Outputs]:
    """The forward pass of (params, images) as it is computed in this layout; to be jitted."""
    return partial(
        vit.apply,
        config=config,
        compute_dtype=jnp.dtype(precision),
        activation_sharding=layout.constrain,
        weight_use=layout.use,
    )


def open_dataset(
    dataset: Artifact | None,
    *,
    mock: MockConfig | None,
    classes: int,
    splits: Collection[str],
    cache: Path | None = None,
    emit: Emit = silent,
) -> ImageSource:
    """The dataset behind an artifact, or the synthetic one that a `--mock` run was trained on.
    Records of `splits` can be read, from copies in `cache` if there is one."""
    return open_source(
        dataset,
        mock=None if dataset is not None else mock,
        classes=classes,
        folder=partial(local_folder, splits=splits, cache=cache, emit=emit),
    )


def batches(
    dataset: ImageSource,
    *,
    split: str,
    resolution: int,
    preprocess: EvalPreprocess,
    layout: Layout,
    batch: int | None = None,
    indices: NDArray[np.int64] | None = None,
    workers: int | None = None,
) -> Iterator[EvalBatch]:
    """Images of a split once each, in order (or those at `indices`, in theirs).

    `batch` is cut to the number of images and rounded up to a multiple of the devices.
    """
    wanted = dataset.info.examples(split) if indices is None else len(indices)
    size = layout.whole_shards(max(1, min(batch or DEFAULT_BATCH, wanted)))
    return pipeline.eval_batches(
        dataset,
        split=split,
        resolution=resolution,
        preprocess=preprocess,
        batch=size,
        indices=indices,
        rows=layout.rows(size),
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


def on_devices(batch: EvalBatch, *, layout: Layout) -> tuple[Any, Any, Any]:
    """(images, labels, mask), split over the devices."""
    return layout.place_batch(batch.local)
