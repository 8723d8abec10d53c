"""The images of a run, from a dataset on disk or synthetic, with one interface."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vitctl.artifacts.artifact import Artifact
from vitctl.data import pipeline
from vitctl.data.batches import ALL, EvalBatch, Rows, TrainBatch, keys_of_steps
from vitctl.data.config import HELD_OUT
from vitctl.data.formula_images import FormulaImages
from vitctl.data.image_cache import cache_bytes, cached_images
from vitctl.data.image_source import ImageSource
from vitctl.data.local_shards import local_folder
from vitctl.data.order import BatchIndices, Window, batch_indices, batch_of_step
from vitctl.data.read_clock import ReadClock
from vitctl.data.views import TrainView
from vitctl.errors import UsageError
from vitctl.events import Emit, Note, silent
from vitctl.hardware import machine
from vitctl.sharding.layout import Layout
from vitctl.text.quantities import show_bytes
from vitctl.train.config import TrainConfig
from vitctl.train.image_source import image_source
from vitctl.train.telemetry import starvation

# Scoring keeps no gradients, so larger batches than training's would fit; this is enough to keep
# a device busy and small enough that the last, padded batch wastes little.
_EVAL_BATCH = 256
# Keeping an image takes the time that two to three later epochs save (docs/guide/feed.md).
_PAYS_AFTER = 4


@dataclass(frozen=True)
class Images:
    """Training and scoring batches as `cfg` wants them.

    A layout tells which rows of a batch this process reads, and rounds the scoring batch up to a
    multiple of its parts. It does not change any number. `passed` are the windows of the order that
    the run passed over.
    """

    dataset: ImageSource
    cfg: TrainConfig
    workers: int | None = None
    passed: tuple[Window, ...] = ()
    image_cache: int = 0
    """Bytes of memory for decoded images of the stream."""
    clock: ReadClock = field(default_factory=ReadClock, compare=False)

    @property
    def examples(self) -> int:
        return self.dataset.info.examples(self.cfg.data.split)

    @property
    def formula(self) -> FormulaImages | None:
        """What devices make the images of; None where batches hold images themselves."""
        if self.cfg.data.made_on == "hosts":
            return None
        assert isinstance(self.dataset, FormulaImages)
        return self.dataset

    @property
    def classes(self) -> tuple[str, ...]:
        return self.dataset.info.classes

    @property
    def class_counts(self) -> NDArray[np.int64]:
        """int64[classes]: images of the training split with each class; all labels are read."""
        labels = np.asarray(self.dataset.labels(self.cfg.data.split))
        repeated = np.zeros(labels.shape, bool)  # a label that an image has twice counts once
        labels = np.sort(labels, axis=1)
        repeated[:, 1:] = labels[:, 1:] == labels[:, :-1]
        return np.bincount(labels[(labels >= 0) & ~repeated], minlength=len(self.classes))

    @property
    def labels_an_image(self) -> int:
        """The columns of a batch's labels."""
        first = self.dataset.labels(self.cfg.data.split)[np.zeros(1, np.int64)]
        return int(np.shape(first)[1])

    @cached_property
    def _keys_of(self):
        data = self.cfg.data
        return keys_of_steps(
            self.dataset,
            split=data.split,
            seed=self.cfg.seed,
            batch=data.batch,
            passed=self.passed,
            first_step=data.first_step,
        )

    def keys_of_step(self, step: int) -> NDArray[np.uint64]:
        """uint64[batch]: the sample keys of global batch `step`; reads no image."""
        return self._keys_of(step)

    def order_of_step(self, step: int) -> BatchIndices:
        """Epochs and positions in the split of that batch's images; reads no image."""
        data = self.cfg.data
        number = batch_of_step(step, passed=self.passed, first_step=data.first_step)
        order = self.dataset.order(data.split)
        return batch_indices(order, seed=self.cfg.seed, batch=data.batch, step=number)

    def train_batches(self, layout: Layout, *, start_step: int) -> Iterator[TrainBatch]:
        """The endless stream from a step on."""
        rows = layout.rows(self.cfg.data.batch)
        return self._stream(start_step=start_step, rows=rows, image_cache=self.image_cache)

    def batch_of_step(self, step: int, *, rows: Rows = ALL) -> TrainBatch:
        """That batch alone, with the images of some of its rows."""
        stream = self._stream(start_step=step, rows=rows)
        try:
            return next(stream)
        finally:
            stream.close()

    def _stream(
        self, *, start_step: int, rows: Rows, image_cache: int = 0
    ) -> Generator[TrainBatch, None, None]:
        data = self.cfg.data
        images_of: Callable[..., Iterator[NDArray[Any]]] | None = None
        if self.formula is not None:
            images_of = self.formula.drawn
        elif image_cache:
            images_of = partial(cached_images, self.dataset, limit=image_cache)
        return pipeline.train_batches(
            self.dataset,
            split=data.split,
            resolution=self.cfg.model.resolution,
            augment=data.augment,
            seed=self.cfg.seed,
            batch=data.batch,
            start_step=start_step,
            rows=rows,
            passed=self.passed,
            first_step=data.first_step,
            workers=self.workers,
            clock=self.clock,
            images_of=images_of,
        )

    def what_helps(self, *, images_per_s: float, reading: float, shared: bool) -> list[str]:
        """What would make the input faster, from what is measured now; takes a second or two.

        `reading`: share of the time that records were read; `shared`: whether the devices compute
        on the cores that decode.
        """
        data, resolution = self.cfg.data, self.cfg.model.resolution
        cost = self.dataset.image_cost(
            split=data.split, resolution=resolution, augment=data.augment
        )
        if cost is None:
            made_here = isinstance(self.dataset, FormulaImages) and data.made_on == "hosts"
            if made_here and data.not_on_devices is None and not shared:
                return [
                    "pictures that the devices make (--set data.made_on=devices, another run: "
                    "crops are the same, pixels up to rounding)"
                ]
            return ["images of a dataset, which all cores decode (one thread makes images up)"]
        cores = machine.available_cores()
        measurement = starvation.Input(
            images_per_s=images_per_s,
            reading=reading,
            decode_s=cost.decode_s,
            augment_s=cost.augment_s,
            pixels=cost.pixels,
            jpegs_in_full=cost.jpegs > 0.5 and data.augment.jpeg_oversampling is None,
            resolution=resolution,
            workers=self.workers or cores,
            cores=cores,
            shared=shared,
        )
        return starvation.advice(measurement)

    def eval_batches(self, split: str, layout: Layout) -> Iterator[EvalBatch]:
        """Every example of a split once."""
        examples = self.dataset.info.examples(split)
        batch = layout.whole_shards(min(_EVAL_BATCH, examples))
        return pipeline.eval_batches(
            self.dataset,
            split=split,
            resolution=self.cfg.model.resolution,
            preprocess=self.cfg.data.evaluation,
            batch=batch,
            rows=layout.rows(batch),
            workers=self.workers,
        )


def open_images(
    cfg: TrainConfig,
    dataset: Artifact | None,
    *,
    workers: int | None,
    cache: Path | None = None,
    image_cache: Literal["auto"] | int = 0,
    emit: Emit = silent,
) -> Images:
    """The images of a dataset, of copies in `cache` if there is one, or made-up ones where
    `cfg.data.mock` says so; decoded ones are kept in `image_cache` bytes of memory."""
    splits = (cfg.data.split, cfg.data.eval_split)
    stored = {cfg.data.split if split == HELD_OUT else split for split in splits}
    folder = partial(local_folder, splits=stored, cache=cache, emit=emit)
    source = image_source(cfg, dataset, folder=folder)
    for split in splits:
        if split is not None:
            source.info.split(split)
    if cfg.data.made_on == "devices":
        _check_formula(cfg, source)
    limit = _image_cache(cfg, source, limit=image_cache, emit=emit)
    return Images(source, cfg, workers=workers, image_cache=limit)


def _image_cache(
    cfg: TrainConfig, source: ImageSource, *, limit: Literal["auto"] | int, emit: Emit
) -> int:
    """Bytes of memory for decoded images of the training stream; what that means is announced."""
    data, examples = cfg.data, source.info.examples(cfg.data.split)
    is_short = (cfg.steps - data.first_step) * data.batch < _PAYS_AFTER * examples
    if data.mock is not None or data.made_on == "devices" or (limit == "auto" and is_short):
        return 0
    view = TrainView(cfg.model.resolution, data.augment)
    most, expected = cache_bytes(source, data.split, view=view, limit=limit)
    if most:
        emit(
            Note(
                f"images are decoded once and kept in about {show_bytes(expected)} of memory "
                "(--image-cache 0 decodes them each time)"
            )
        )
    elif limit not in ("auto", 0):
        emit(Note("--image-cache has no effect: no image of this dataset stays the same in it"))
    return most


def _check_formula(cfg: TrainConfig, source: ImageSource) -> None:
    """Raise UsageError for images that devices can't make."""
    if not isinstance(source, FormulaImages):
        raise UsageError(
            "data.made_on is devices, which make pictures of formulas alone, and this dataset is "
            "none of them as it is",
            hint="give one of `vitctl shard formula --virtual`, with nothing held out, or "
            "--set data.made_on=hosts",
        )
    resolution, made = cfg.model.resolution, source.config.resolution
    if cfg.data.augment.crop == "none" and resolution != made:
        raise UsageError(
            f"crop=none asks for pictures of {resolution} x {resolution} pixels, and those of this "
            f"dataset have {made} x {made}",
            hint=f"--res {made}, or another crop",
        )
