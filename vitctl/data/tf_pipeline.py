"""Records -> decoded, augmented image batches, on TensorFlow's threads.

Raw bytes enter `tf.data` in whole batches and are taken apart there: handing over single items
costs 20 to 30 %, and Python threads that call a compiled function run at a third of the speed
(both measured with TensorFlow 2.21 on 2 cores).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vitctl.data.config import AugmentConfig, EvalPreprocess
from vitctl.data.preprocess import eval_image, train_image
from vitctl.data.read_clock import ReadClock
from vitctl.data.records import Records, read_images, unusable
from vitctl.data.tensorflow import as_it_is, load_tensorflow, tf_reason
from vitctl.data.views import EvalView, Request, TrainView, View
from vitctl.errors import InputError
from vitctl.pixels.header import BadImageError

ImageFunction = Callable[[Any, Any], Any]
"""string[] or uint8[h, w, 3], int32[2] -> float32[h, w, 3]"""

PREFETCHED = 2
"""Batches made ahead of the one in use."""
# Small batches are read several at once, up to so many images and bytes: what a read costs whatever
# its size (a job a shard, a hand-over to TensorFlow) is then a hundredth of decoding.
_READ_IMAGES, _READ_BYTES = 256, 16 * 2**20


class StoredImages(Protocol):
    """Images by position, as they are before decoding and augmentation."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(h, w, 3) of images that are pixels, () of images that are encoded."""

    def read(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """object[b] of bytes, or uint8[b, h, w, 3]."""

    def culprit(self, indices: NDArray[np.int64], error: Exception) -> Exception:
        """The error that names the image because of which a batch failed; else the given one."""

    def close(self) -> None: ...


class EncodedImages:
    """The encoded images of records, whoever decodes them."""

    shape: tuple[int, ...] = ()

    def __init__(self, open_records: Callable[[], Records]) -> None:
        self._open_records = open_records
        self._records = open_records()

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.object_]:
        images = np.empty(len(indices), object)
        images[:] = read_images(self._records, indices)
        return images

    def unusable(self, index: int, reason: str) -> InputError:
        """The error that names the image at `index`, which can't be used for `reason`."""
        # A thread may still read from the others.
        with closing(self._open_records()) as records:
            return unusable(records, index, reason)

    def close(self) -> None:
        self._records.close()


class RecordImages(EncodedImages):
    """Those that TensorFlow decodes in `function`."""

    def __init__(self, open_records: Callable[[], Records], function: ImageFunction) -> None:
        super().__init__(open_records)
        self._function = function

    def culprit(self, indices: NDArray[np.int64], error: Exception) -> Exception:
        with closing(self._open_records()) as records:
            images = read_images(records, indices)
        failed = first_failure(self._function, images, np.zeros((len(images), 2), np.int32))
        if failed is None:
            return error
        place, reason = failed
        return self.unusable(int(indices[place]), reason)


def first_failure(
    function: ImageFunction, images: Iterable[bytes], seeds: NDArray[np.int32]
) -> tuple[int, str] | None:
    """The place of the first image for which a function fails, int32[n, 2] being the seeds, and
    why; None if it fails for none."""
    tf = load_tensorflow()
    for place, (image, seed) in enumerate(zip(images, seeds, strict=True)):
        try:
            function(tf.constant(image), tf.constant(seed))
        except tf.errors.OpError as error:
            return place, tf_reason(error)
    return None


def image_function(view: View) -> ImageFunction:
    """What turns an image's bytes into what is seen of it."""
    if isinstance(view, TrainView):
        return train_function(resolution=view.resolution, augment=view.augment)
    return eval_function(resolution=view.resolution, preprocess=view.preprocess)


def single_image(data: bytes, *, view: EvalView) -> NDArray[np.float32]:
    """float32[h, w, 3] of one encoded image, the bits that `record_images_in_order` makes of it.
    Raises `BadImageError` with TensorFlow's reason where it cannot be decoded.

    Operation by operation, without a graph: building one takes 0.6 CPU-seconds, and the image a
    twentieth of that (2026-11-30, TensorFlow 2.21).
    """
    tf = load_tensorflow()
    try:
        image = image_function(view)(tf.constant(data), tf.zeros([2], tf.int32))
    except tf.errors.OpError as error:
        raise BadImageError(tf_reason(error)) from None
    return image.numpy()


def train_function(*, resolution: int, augment: AugmentConfig) -> ImageFunction:
    return lambda data, seed: train_image(data, seed, resolution=resolution, augment=augment)


def eval_function(*, resolution: int, preprocess: EvalPreprocess) -> ImageFunction:
    return lambda data, seed: eval_image(data, resolution=resolution, preprocess=preprocess)


def record_images_in_order(
    open_records: Callable[[], Records],
    requests: Iterable[Request],
    *,
    view: View,
    batch: int,
    workers: int,
    clock: ReadClock | None = None,
) -> Iterator[NDArray[np.float32]]:
    """`images_in_order` of the images in records, as `view` has them."""
    function = image_function(view)
    return images_in_order(
        lambda: RecordImages(open_records, function),
        requests,
        batch=batch,
        function=function,
        workers=workers,
        clock=clock,
    )


def images_in_order(
    open_images: Callable[[], StoredImages],
    requests: Iterable[Request],
    *,
    batch: int,
    function: ImageFunction,
    workers: int,
    clock: ReadClock | None = None,
) -> Iterator[NDArray[Any]]:
    """One block a request, in order, of what `function` makes: float32[b, h, w, 3] of images.

    All requests but the last have `batch` rows. Raises `InputError` naming the image that can't be
    used.
    """
    tf = load_tensorflow()
    clock = clock or ReadClock()
    images = open_images()
    # The reading thread runs ahead of the consumer; what it was asked for is kept until it is
    # delivered, to find the culprit when an image fails.
    pending: list[NDArray[np.int64]] = []
    failure: list[Exception] = []

    def raw_batches() -> Iterator[tuple[NDArray[Any], NDArray[np.int32]]]:
        try:
            for group, block in _read_in_groups(images, requests, clock=clock):
                pending.extend(indices for indices, _ in group)
                yield block, np.concatenate([seeds for _, seeds in group])
        except Exception as error:  # re-raised by the consumer: TensorFlow would wrap it
            failure.append(error)

    options = tf.data.Options()
    options.threading.private_threadpool_size = workers
    options.deterministic = True
    data = (
        tf.data.Dataset.from_generator(
            raw_batches,
            output_signature=(
                tf.TensorSpec([None, *images.shape], tf.uint8 if images.shape else tf.string),
                tf.TensorSpec([None, 2], tf.int32),
            ),
        )
        .prefetch(1)  # read the next batch while this one is decoded
        .unbatch()
        .map(as_it_is(function), num_parallel_calls=workers, deterministic=True)
        .batch(batch)
        .prefetch(PREFETCHED)
        .with_options(options)
    )
    blocks = iter(data)
    try:
        while True:
            try:
                block = next(blocks)
            except StopIteration:
                break
            except tf.errors.OpError as error:
                if failure:
                    raise failure[0] from None
                raise images.culprit(pending[0], error) from None
            pending.pop(0)
            # The tensor's own memory, which cannot be written to; `numpy()` would copy it.
            yield np.asarray(memoryview(block))
        if failure:
            raise failure[0]
    finally:
        # First the threads that read, then what they read from.
        del blocks, data
        images.close()


def _read_in_groups(
    images: StoredImages, requests: Iterable[Request], *, clock: ReadClock
) -> Iterator[tuple[list[Request], NDArray[Any]]]:
    """Requests, in order, and what is read for them. The first is read alone, so that the first
    batch does not wait for more; a failure does not take those before it along."""
    most = 0
    group: list[Request] = []
    for request in requests:
        if group and sum(len(indices) for indices, _ in (*group, request)) > most:
            for part, block in _read(images, group, clock=clock):
                yield part, block
                most = min(2 * len(block), _READ_IMAGES, _READ_BYTES * len(block) // _size(block))
            group = []
        group.append(request)
    if group:
        yield from _read(images, group, clock=clock)


def _read(
    images: StoredImages, group: list[Request], *, clock: ReadClock
) -> Iterator[tuple[list[Request], NDArray[Any]]]:
    """All of a group, or where that fails one by one up to the request that fails."""
    try:
        with clock.reading():
            block = images.read(np.concatenate([indices for indices, _ in group]))
    except Exception:
        if len(group) == 1:
            raise
        for request in group:
            yield from _read(images, [request], clock=clock)
        return
    yield group, block


def _size(block: NDArray[Any]) -> int:
    """Bytes of images, at least one."""
    encoded = block.dtype == np.object_
    return max(1, sum(map(len, block)) if encoded else block.nbytes)
