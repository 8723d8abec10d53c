"""A batch that a step diverged on, kept as an artifact in the run's folder.

    <run>/batches/<number>/images.npy   float32[b, h, w, 3] in [-1, 1], as they entered the step
                           labels.npy   int32[b, L] class indices, padded with -1
                           keys.npy     uint64[b], the names of the samples in digests
                           batch.json   id, class and epoch of each, what the step made of them
                           artifact.json

Its number is its place in the order of the data. What the step itself does to the images (mixup) is
a function of the seed and the step, so it isn't kept.
"""

from __future__ import annotations

import io
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from vitctl import processes
from vitctl.artifacts import crew
from vitctl.artifacts.artifact import Artifact, load_if_readable
from vitctl.artifacts.documents import json_bytes, read_document
from vitctl.artifacts.drafts import clear, publish
from vitctl.artifacts.kinds import BATCH
from vitctl.artifacts.kinds.batch import Batch
from vitctl.artifacts.manifest import Recipe
from vitctl.artifacts.provenance import now
from vitctl.artifacts.run_draft import RunDraft
from vitctl.artifacts.runs import BATCHES
from vitctl.data.batches import TrainBatch
from vitctl.data.order import Window
from vitctl.errors import InputError
from vitctl.places import Place
from vitctl.settings.config import Config
from vitctl.train.config import TrainConfig
from vitctl.train.run.device_images import as_images
from vitctl.train.run.diverged import UpdateRecord
from vitctl.train.run.images import Images
from vitctl.train.run.replay import Pixels, Replayed, Seen, learnt, mixup, replay

_FORMAT = 1


def keep(
    run: RunDraft, update: UpdateRecord, *, images: Images, passed: tuple[Window, ...]
) -> Place:
    """The artifact of the batch of an update that diverged, written unless it is there.

    Of several processes each has a part of the images only; the first reads them all again.
    """
    batch = update.batch
    started, place = now(), run.path / BATCHES / str(batch.number)
    if not processes.first():
        return place
    if processes.count() > 1:
        batch = images.batch_of_step(batch.step)
    recipe = _recipe(run, batch, passed=passed)
    earlier = load_if_readable(place)
    if earlier is not None and earlier.id == recipe.id and not earlier.check_contents():
        return place
    place.make_folder()
    clear(place)
    arrays: dict[str, NDArray] = {
        "images": as_images(images, batch),
        "labels": batch.labels,
        "keys": batch.keys,
    }
    for name, array in arrays.items():
        (place / f"{name}.npy").write_atomic(_npy(array))
    content = {
        "format": _FORMAT,
        "step": batch.step + 1,
        "number": batch.number,
        "images": [asdict(image) for image in replay(images, step=batch.step + 1).images],
        "classes": list(images.classes),
        "lr": update.rate,
        **update.numbers,
    }
    (place / "batch.json").write_atomic(json_bytes(content))
    summary = Batch(
        step=batch.step + 1,
        number=batch.number,
        images=len(batch.images),
        resolution=images.cfg.model.resolution,
        **update.numbers,
    )
    publish(place, recipe=recipe, summary=summary.as_json(), started=started)
    return place


def load(artifact: Artifact, cfg: TrainConfig) -> tuple[Replayed, Pixels]:
    """The batch of such an artifact and all its images, every byte checked.

    Raises InputError if it is damaged.
    """
    crew.require_whole(artifact)
    verify = f"see what is wrong: vitctl verify --deep {artifact.path}"
    document = read_document(
        artifact.path / "batch.json",
        _Batch,
        what="batch",
        newest=_FORMAT,
        missing=f"{artifact.path} has no batch.json",
        repair=verify,
    )
    try:
        images, labels, keys = (
            np.load(io.BytesIO((artifact.path / f"{name}.npy").read_bytes()), allow_pickle=False)
            for name in ("images", "labels", "keys")
        )
        named = [tuple(document.classes[label] for label in row if label >= 0) for row in labels]
    except (OSError, ValueError, IndexError) as error:
        raise InputError(f"{artifact.path} holds no batch: {error}", hint=verify) from None
    rows = [(image.key, image.labels) for image in document.images]
    if len(images) != len(rows) or rows != list(zip(keys.tolist(), named, strict=True)):
        raise InputError(
            f"{artifact.path} is not one batch: batch.json lists other images than the arrays hold",
            hint=verify,
        )
    replayed = Replayed(
        step=document.step,
        batch=len(rows),
        mixup=mixup(cfg, step=document.step),
        images=document.images,
    )
    return replayed, learnt(images, last=images[-1], mixup=replayed.mixup)


class _Batch(Config):
    """The content of `batch.json`. The last two are younger than the format."""

    format: int
    step: int
    number: int
    images: tuple[Seen, ...]
    classes: tuple[str, ...]
    lr: float
    loss: str
    grad_norm: str
    update_norm: str | None = None
    param_norm: str | None = None


def _recipe(run: RunDraft, batch: TrainBatch, *, passed: tuple[Window, ...]) -> Recipe:
    """That of the checkpoint that the step would have led to, and which batch it took."""
    recipe = run.recipe_at(batch.step + 1, passed=passed)
    config = {**recipe.config, "batch": batch.number}
    return recipe.model_copy(update={"kind": BATCH.name, "config": config})


def _npy(array: NDArray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()
