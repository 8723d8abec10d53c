"""A trained model for Python: what a notebook asks of a checkpoint, without a command."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import ArrayLike, NDArray

from vitctl.artifacts import references
from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.kinds import CHECKPOINT, DATASET
from vitctl.artifacts.pasteable import usual_store
from vitctl.artifacts.runs import Run
from vitctl.artifacts.store import Store
from vitctl.data.config import FEWSHOT_PREPROCESS, EvalPreprocess
from vitctl.errors import UsageError
from vitctl.hardware.precision import Precision
from vitctl.inference import features as extraction
from vitctl.inference import weights as stored
from vitctl.inference.weights_choice import chosen
from vitctl.model import shapes, vit
from vitctl.model.config import ModelConfig
from vitctl.sharding import layout as layouts
from vitctl.sharding.layout import Layout
from vitctl.summaries import WeightsName
from vitctl.train.config import TrainConfig, from_identity

Reference = str | os.PathLike[str]
"""A path, a name, an id prefix, RUN@STEP or "latest": what commands take."""

# Values of images that are resized by averaging stay within [-1, 1] but for rounding.
_LARGEST = 1.001


class ModelOutputs(NamedTuple):
    """What a model makes of n images.

    Attributes:
      logits: float32[n, y], in the order of the model's `classes`.
      features: float32[n, e], what the classifier and the few-shot probe see.
    """

    logits: NDArray[np.float32]
    features: NDArray[np.float32]


class LabelledFeatures(NamedTuple):
    """Features of every image of a split.

    Attributes:
      features: float32[n, e].
      labels: int32[n, l], positions in `classes`; rows of fewer labels are filled up with -1.
      classes: the dataset's, which need not be the model's.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int32]
    classes: tuple[str, ...]


@dataclass(frozen=True, eq=False, repr=False)
class TrainedModel:
    """A checkpoint's weights on this machine's devices, and what they were trained as.

    Attributes:
      checkpoint: where it came from: its step, digest, parents.
      store: where references to datasets are looked up.
      training: the settings of the run.
      classes: names of the classifier's outputs.
      params: the weights, a nested dict as `vitctl.apply` takes it.
      weights: whether they are the last step's, or their average.
      precision: of matrix multiplications.
    """

    checkpoint: Artifact
    store: Store
    training: TrainConfig
    classes: tuple[str, ...]
    params: vit.Params
    weights: WeightsName
    precision: Precision
    layout: Layout

    @property
    def config(self) -> ModelConfig:
        """The model's shape."""
        return self.training.model

    @property
    def name(self) -> str:
        """As commands call it: S/16."""
        return self.training.name

    def __repr__(self) -> str:
        side = self.config.resolution
        return (
            f"<{self.name} at step {self.checkpoint.step}, {self.weights} weights, "
            f"{len(self.classes)} classes, images of {side} x {side}>"
        )

    def apply(self, images: ArrayLike, *, batch: int = stored.DEFAULT_BATCH) -> ModelOutputs:
        """What the model makes of images.

        Args:
          images: [n, resolution, resolution, 3], RGB: uint8, or floats where -1 is black and 1
            white (of floats from 0 to 1 no check can tell that they are meant otherwise).
          batch: images at a time; it changes no result.

        Raises UsageError for images of another size, type or range.
        """
        function = _applier(self.config, precision=self.precision, layout=self.layout)
        logits, features = self._in_batches(function, images, batch=batch, widths=self._widths)
        return ModelOutputs(logits, features)

    def features(
        self, images: ArrayLike, *, batch: int = stored.DEFAULT_BATCH
    ) -> NDArray[np.float32]:
        """float32[n, e]: like `apply`, without computing the classifier."""
        extractor = extraction.make_extractor(
            self.config, precision=self.precision, layout=self.layout
        )
        (features,) = self._in_batches(
            lambda params, part: (extractor(params, part),),
            images,
            batch=batch,
            widths=self._widths[1:],
        )
        return features

    def features_of(
        self,
        dataset: Reference | Artifact | None = None,
        *,
        split: str,
        preprocess: EvalPreprocess = FEWSHOT_PREPROCESS,
        batch: int = stored.DEFAULT_BATCH,
    ) -> LabelledFeatures:
        """Features of every image of a split, in the dataset's order, as `vitctl fewshot` computes
        them. Without a dataset: of the synthetic images of a run that was trained on such.

        Raises NotFoundError, InputError or UsageError if there is no such dataset or split.
        """
        mock = self.training.data.mock
        if dataset is None and mock is None:
            raise UsageError("which dataset? This model was not trained on synthetic images")
        if not isinstance(dataset, Artifact | None):
            dataset = references.resolve(os.fspath(dataset), store=self.store, kind=DATASET.name)
        source = stored.open_dataset(
            dataset, mock=mock, classes=self.config.classes, splits=(split,)
        )
        labels = np.asarray(source.labels(split))
        batches = stored.batches(
            source,
            split=split,
            resolution=self.config.resolution,
            preprocess=preprocess,
            layout=self.layout,
            batch=batch,
        )
        extractor = extraction.make_extractor(
            self.config, precision=self.precision, layout=self.layout
        )
        parts = extraction.of_model(extractor, self.params, batches, layout=self.layout)
        features = extraction.gathered(parts, examples=len(labels), width=self.config.features)
        return LabelledFeatures(features, labels, tuple(source.info.classes))

    @property
    def _widths(self) -> tuple[int, int]:
        return self.config.classes, self.config.features

    def _in_batches(
        self,
        function: Callable[[Any, Any], tuple[Array, ...]],
        images: ArrayLike,
        *,
        batch: int,
        widths: tuple[int, ...],
    ) -> tuple[NDArray[np.float32], ...]:
        """The outputs of `function(params, images)`, of the given widths, for all images."""
        if batch < 1:
            raise UsageError(f"batch is {batch}, and at least one image is computed at a time")
        pixels = np.asarray(images)
        _check_shape(pixels, self.config.resolution)
        n = len(pixels)
        # Powers of two, as every other size of a batch is compiled anew.
        size = self.layout.whole_shards(min(batch, 1 << max(0, n - 1).bit_length()))

        def dispatched() -> Iterator[tuple[slice, tuple[Array, ...]]]:
            for first in range(0, n, size):
                part = in_range(pixels[first : first + size])
                filled = np.zeros((size, *part.shape[1:]), np.float32)
                filled[: len(part)] = part
                rows = slice(first, first + len(part))
                yield rows, function(self.params, self.layout.place_batch(filled))

        outputs = tuple(np.empty((n, width), np.float32) for width in widths)
        for rows, results in stored.one_behind(dispatched()):
            for output, result in zip(outputs, results, strict=True):
                output[rows] = np.asarray(result)[: rows.stop - rows.start]
        return outputs


def load(
    checkpoint: Reference | Artifact | Run,
    *,
    store: Store | Reference | None = None,
    weights: WeightsName | None = None,
    precision: Precision | None = None,
    devices: int | None = None,
) -> TrainedModel:
    """The model of a checkpoint, its weights checked byte by byte and put on the devices.

    Args:
      checkpoint: what a command takes after `--from`; a run means its newest checkpoint.
      store: where names are looked up; VITCTL_STORE, else ./artifacts, if left out.
      weights: the average of the weights (ema) where there is one, if left out.
      precision: of matrix multiplications; as it was trained, if left out.
      devices: so many of this machine's; all if left out.

    Raises:
      NotFoundError: there is no such checkpoint.
      InputError: it is damaged, or something else than a checkpoint.
      UsageError: the name fits several, or there is no average.
    """
    if not isinstance(store, Store):
        store = Store(os.fspath(store or usual_store()))
    if isinstance(checkpoint, Run):
        checkpoint = checkpoint.newest()
    if not isinstance(checkpoint, Artifact) or checkpoint.kind != CHECKPOINT.name:
        reference = checkpoint.path if isinstance(checkpoint, Artifact) else checkpoint
        checkpoint = references.resolve(str(reference), store=store, kind=CHECKPOINT.name)
    step = checkpoint.step
    assert step is not None  # every checkpoint's summary has it
    training = from_identity(checkpoint.config, total_steps=step)
    weights = chosen(checkpoint, requested=weights)
    layout = layouts.make(devices=devices)
    return TrainedModel(
        checkpoint=checkpoint,
        store=store,
        training=training,
        classes=CHECKPOINT.summary(checkpoint).classes,
        params=stored.restored(checkpoint, model=training.model, layout=layout, weights=weights),
        weights=weights,
        precision=precision or training.precision,
        layout=layout,
    )


def in_range(images: NDArray[Any]) -> NDArray[np.float32]:
    """Pixels as the model takes them, from -1 to 1. Raises UsageError if they can't be such."""
    if images.dtype == np.uint8:
        return images.astype(np.float32) / np.float32(127.5) - np.float32(1)
    if not np.issubdtype(images.dtype, np.floating):
        raise UsageError(f"expected images of uint8 or floats, got {images.dtype}")
    largest = float(np.abs(images).max()) if images.size else 0.0
    if not largest <= _LARGEST:  # which NaN isn't, either
        raise UsageError(
            f"expected values from -1 (black) to 1 (white), got one of size {largest:g}",
            hint="uint8 is converted; for floats from 0 to 255: images / 127.5 - 1",
        )
    return images.astype(np.float32, copy=False)


def _check_shape(images: NDArray[Any], resolution: int) -> None:
    expected = (resolution, resolution, 3)
    if images.ndim == 4 and images.shape[1:] == expected:
        return
    hint = f"the model sees RGB images of {resolution} x {resolution} pixels: resize them before"
    if images.shape == expected:
        hint = "one image is a batch of one: images[None]"
    raise UsageError(
        f"expected images [n, {resolution}, {resolution}, 3], got {list(images.shape)}", hint=hint
    )


@cache
def _applier(
    config: ModelConfig, *, precision: str, layout: Layout
) -> Callable[[Any, Array], tuple[Array, ...]]:
    """A compiled function of (params, images [b i j 3]) giving logits and features."""
    run = stored.applied(config, precision=precision, layout=layout)

    def outputs(
        params: Any, images: Float[Array, "b i j 3"]
    ) -> tuple[Float[Array, "b y"], Float[Array, "b e"]]:
        answer = run(params, images)
        return answer.logits, answer.pre_logits

    shardings = layout.params(shapes.of_params(config))
    return jax.jit(outputs, in_shardings=(shardings, layout.batch), out_shardings=layout.replicated)
