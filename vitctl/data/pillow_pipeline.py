"""Images as scoring sees them, without TensorFlow: decoded by Pillow, resized by NumPy, in threads.

The same bits as `vitctl.data.tf_pipeline` makes of them: `tests/data/test_decoding.py` compares
both over all formats that a dataset may hold. An image takes two to three times the processor time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitctl.data.config import EvalPreprocess
from vitctl.data.numpy_preprocess import eval_pixels
from vitctl.data.read_clock import ReadClock
from vitctl.data.records import Records, read_images
from vitctl.data.tensorflow import is_installed, tensorflow_missing
from vitctl.data.tf_pipeline import EncodedImages, StoredImages, single_image
from vitctl.data.views import EvalView, Request
from vitctl.errors import InputError
from vitctl.pixels.header import BadImageError
from vitctl.pixels.training_pixels import DecodersDifferError, stored_pixels

Image = NDArray[np.float32]

# Batches read and decoded ahead of the one in use.
_AHEAD = 2


class PillowImages(EncodedImages):
    """Those that Pillow decodes."""

    def __init__(self, open_records: Callable[[], Records], view: EvalView) -> None:
        super().__init__(open_records)
        self._view = view

    def by_tensorflow(self, index: int, reason: str) -> Image:
        """An image that Pillow may decode to other pixels, for `reason`. Raises `UsageError` where
        TensorFlow is not installed."""
        if not is_installed():
            raise tensorflow_missing(self.unusable(index, reason).message)
        # Another thread may be reading from the records of this pipeline.
        with closing(self._open_records()) as records:
            (data,) = read_images(records, np.array([index]))
        try:
            return single_image(data, view=self._view)
        except BadImageError as error:
            raise self.unusable(index, str(error)) from None

    def culprit(self, indices: NDArray[np.int64], error: Exception) -> Exception:
        """The error that names the one image at `indices`, which failed with `error`."""
        return self.unusable(int(indices[0]), str(error))


def images_in_order(
    open_images: Callable[[], StoredImages],
    requests: Iterable[Request],
    *,
    view: EvalView,
    workers: int,
    clock: ReadClock | None = None,
) -> Iterator[NDArray[np.float32]]:
    """One float32[b, h, w, 3] block a request, in order. Raises `InputError` naming the image that
    can't be used."""
    clock = clock or ReadClock()
    images = open_images()
    to_image = partial(_eval_image, resolution=view.resolution, preprocess=view.preprocess)
    # One thread reads: records are not to be shared, and reading alone does not wait for decoding.
    reader = ThreadPoolExecutor(1, thread_name_prefix="read-images")
    decoders = ThreadPoolExecutor(workers, thread_name_prefix="decode-images")

    def read(indices: NDArray[np.int64]) -> list[Future[Image]]:
        with clock.reading():
            block = images.read(indices)
        return [decoders.submit(to_image, data) for data in block]

    pending: deque[tuple[NDArray[np.int64], Future[list[Future[Image]]]]] = deque()
    try:
        for indices, _ in requests:
            pending.append((indices, reader.submit(read, indices)))
            if len(pending) > _AHEAD:
                yield _block(images, *pending.popleft())
        while pending:
            yield _block(images, *pending.popleft())
    finally:
        # First the threads that read, then what they read from.
        reader.shutdown(cancel_futures=True)
        decoders.shutdown(cancel_futures=True)
        images.close()


def _block(
    images: StoredImages, indices: NDArray[np.int64], rows: Future[list[Future[Image]]]
) -> NDArray[np.float32]:
    return np.stack(
        [
            _row(images, index, row)
            for index, row in zip(indices.tolist(), rows.result(), strict=True)
        ]
    )


def _row(images: StoredImages, index: int, row: Future[Image]) -> Image:
    try:
        return row.result()
    except DecodersDifferError as error:
        assert isinstance(images, PillowImages)  # pixels are not decoded
        return images.by_tensorflow(index, str(error))
    except (BadImageError, InputError) as error:
        raise images.culprit(np.array([index]), error) from None


def _eval_image(data: Any, *, resolution: int, preprocess: EvalPreprocess) -> Image:
    """Of an encoded image or of pixels."""
    pixels = data if isinstance(data, np.ndarray) else stored_pixels(data)
    return eval_pixels(pixels, resolution=resolution, preprocess=preprocess)
