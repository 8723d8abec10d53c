"""Images of a small set, decoded once and kept in memory, for training.

An image is kept as an uncompressed BMP, so the one decoder (`vitctl.data.decode`) takes it as it
takes any other: order, crops, augmentation, bits and errors are those of training without a cache.
That holds for every image of which the whole is decoded anyway. Of a JPEG the inception crop
decodes the window alone, which is the same pixels only where no colour is interpolated from
neighbours (`vitctl.pixels.jpeg_sampling`); any other JPEG is decoded each time, and so is one that
`jpeg_oversampling` decodes at a smaller scale.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import chain
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vitctl.data import tf_pipeline
from vitctl.data.decode import JPEG, decode
from vitctl.data.image_source import ImageSource
from vitctl.data.preprocess import least_side
from vitctl.data.read_clock import ReadClock
from vitctl.data.records import Records, read_images, spread
from vitctl.data.tensorflow import load_tensorflow
from vitctl.data.tf_pipeline import RecordImages
from vitctl.data.views import Request, TrainView
from vitctl.errors import VitctlError
from vitctl.hardware import machine
from vitctl.pixels.jpeg_sampling import colours_in_full
from vitctl.pixels.jpeg_scans import lacks_scans

# Of the memory that is free when training begins, and in all: a machine has other uses for it, and
# each process keeps images of its own.
_SHARE, _MOST_BYTES = 10, 2 * 2**30
_TRIED = 32
_HEADER_BYTES = 54
"""Of a BMP: BITMAPFILEHEADER and BITMAPINFOHEADER."""
_AROUND_BYTES = 160
"""Of an image in memory beside its bytes: the object, and its place in the table."""


def cache_bytes(
    source: ImageSource, split: str, *, view: TrainView, limit: Literal["auto"] | int
) -> tuple[int, int]:
    """(limit, expected) bytes of the cache for the images of a split; the limit is 0 where nothing
    is to be kept.

    A `limit` of "auto" is a tenth of the memory that is free, at most 2 GiB, if all images are
    expected to fit and at least half of them can be kept; a number is the limit itself. What to
    expect is told by the headers of 32 images.
    """
    if limit == 0:
        return 0, 0
    if limit == "auto":
        free = machine.host_bytes()
        most = 0 if free is None else min(free // _SHARE, _MOST_BYTES)
    else:
        most = limit
    sizes = _sizes(source, split, view=view)
    retained = [size for size in sizes if size is not None]
    expected = round(sum(retained) / max(1, len(sizes)) * source.info.examples(split))
    if not retained or (limit == "auto" and (2 * len(retained) < len(sizes) or expected > most)):
        return 0, expected
    return most, min(most, expected)


def _sizes(source: ImageSource, split: str, *, view: TrainView) -> list[int | None]:
    """What each of some images takes in memory, None of one that is decoded each time; empty where
    none can be read, which training reports, and where some are made when they are read: these
    `source.images` makes without encoding them."""
    from PIL import Image

    try:
        with closing(source.records(split)) as records:
            if len(records.stored()) < len(records):
                return []
            images = read_images(records, spread(records, most=_TRIED))
    except VitctlError:
        return []
    sizes: list[int | None] = []
    for data in images:
        try:
            with Image.open(io.BytesIO(data)) as image:
                size = kept_bytes(height=image.height, width=image.width)
        except (OSError, ValueError, SyntaxError):
            sizes.append(None)
        else:
            sizes.append(size if stays_the_same(data, view=view) else None)
    return sizes


def kept_bytes(*, height: int, width: int) -> int:
    """What an image takes in memory."""
    return _AROUND_BYTES + _HEADER_BYTES + height * _row_bytes(width)


def stays_the_same(data: bytes, *, view: TrainView) -> bool:
    """Whether training sees the same pixels of an encoded image if the whole is decoded first."""
    if not data.startswith(JPEG):
        return True
    if least_side(view.resolution, view.augment) is not None:
        return False
    if view.augment.crop != "inception":
        return True
    # Where scans are missing, decoders smooth over the edges of blocks.
    return colours_in_full(data) and not lacks_scans(data)


class CachedImages(RecordImages):
    """Encoded images of records; of those that were asked for before, as many as `limit` bytes
    hold are BMPs of the same pixels. Decodes in `workers` threads."""

    def __init__(
        self,
        open_records: Callable[[], Records],
        *,
        view: TrainView,
        limit: int,
        workers: int,
    ) -> None:
        super().__init__(open_records, tf_pipeline.image_function(view))
        self._view, self._limit, self._workers = view, limit, workers
        self._bitmaps: dict[int, bytes] = {}
        self._bytes = 0
        self._full = False
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="keep-images")

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.object_]:
        positions = indices.tolist()
        missing = [at for at in dict.fromkeys(positions) if at not in self._bitmaps]
        images = self._bitmaps
        if missing:
            encoded = super().read(np.array(missing, np.int64)).tolist()
            new = dict(zip(missing, encoded, strict=True))
            if not self._full:
                self._keep(new)
            images = {at: self._bitmaps.get(at) or new[at] for at in positions}
        block = np.empty(len(positions), object)
        block[:] = [images[at] for at in positions]
        return block

    def close(self) -> None:
        self._pool.shutdown()
        super().close()

    def _keep(self, images: dict[int, bytes]) -> None:
        """Decode and keep those of some encoded images, by position, that can be kept."""
        wanted = [
            (at, data) for at, data in images.items() if stays_the_same(data, view=self._view)
        ]
        # A job for each thread: what is handed over for one small image costs as much as decoding.
        parts = [wanted[number :: self._workers] for number in range(self._workers)]
        for at, bitmap in chain.from_iterable(self._pool.map(_as_bitmaps, parts)):
            size = len(bitmap) + _AROUND_BYTES
            if self._bytes + size > self._limit:
                self._full = True
                break
            self._bitmaps[at] = bitmap
            self._bytes += size


def _as_bitmaps(images: Sequence[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Decoded images; those that can't be decoded are left out, for whoever decodes them next to
    say so."""
    tf = load_tensorflow()
    made = []
    for at, data in images:
        try:
            pixels = decode(tf.constant(data)).numpy()
        except tf.errors.OpError:
            continue
        made.append((at, as_bitmap(pixels)))
    return made


def as_bitmap(pixels: NDArray[np.uint8]) -> bytes:
    """uint8[h, w, 3] as an uncompressed BMP of 24 bits, the first row first.

    The layout is that of Windows 3: https://learn.microsoft.com/windows/win32/gdi/bitmap-storage
    """
    height, width = pixels.shape[:2]
    rows = np.zeros((height, _row_bytes(width)), np.uint8)
    rows[:, : 3 * width] = pixels[..., ::-1].reshape(height, 3 * width)
    total = _HEADER_BYTES + rows.size
    file = struct.pack("<2sIHHI", b"BM", total, 0, 0, _HEADER_BYTES)
    # Negative: rows from the top down.
    image = struct.pack("<IiiHHIIiiII", 40, width, -height, 1, 24, 0, rows.size, 0, 0, 0, 0)
    return file + image + rows.tobytes()


def _row_bytes(width: int) -> int:
    """Rows of a BMP are filled up to whole words of 4 bytes."""
    return -(-3 * width // 4) * 4


def cached_images(
    source: ImageSource,
    requests: Iterable[Request],
    *,
    split: str,
    view: TrainView,
    batch: int,
    workers: int | None = None,
    clock: ReadClock | None = None,
    limit: int,
) -> Iterator[NDArray[np.float32]]:
    """What `source.images` gives of stored images, with a cache of `limit` bytes."""
    workers = workers or machine.available_cores()
    return tf_pipeline.images_in_order(
        partial(
            CachedImages,
            lambda: source.records(split),
            view=view,
            limit=limit,
            workers=workers,
        ),
        requests,
        batch=batch,
        function=tf_pipeline.image_function(view),
        workers=workers,
        clock=clock,
    )
