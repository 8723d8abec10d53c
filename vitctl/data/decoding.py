"""The library that decodes an image: TensorFlow, or Pillow and NumPy for the same bits sooner."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from vitctl.data import pillow_pipeline, tf_pipeline
from vitctl.data.read_clock import ReadClock
from vitctl.data.records import Records
from vitctl.data.tensorflow import is_imported, is_installed
from vitctl.data.tf_pipeline import StoredImages
from vitctl.data.views import EvalView, Request, View

FEW = 1000
"""Images. Importing TensorFlow takes 5 CPU-seconds, by which an image costs 5 to 7 CPU-ms less
(400 JPEGs of 640 x 427 px at 224 px, 2 cores of an AMD EPYC, TensorFlow 2.21, Pillow 13;
2026-11-29)."""

_PROVEN = ("x86_64", "AMD64")
"""Processors on which every bit was compared. Elsewhere a compiler may fuse a multiplication and an
addition, so TensorFlow decides where it is installed."""


def record_images_in_order(
    open_records: Callable[[], Records],
    requests: Iterable[Request],
    *,
    view: View,
    batch: int,
    workers: int,
    clock: ReadClock | None = None,
) -> Iterator[NDArray[np.float32]]:
    """`images_in_order` of the images in records."""
    requests, pillow = _decoder(requests, view)
    if pillow is None:
        return tf_pipeline.record_images_in_order(
            open_records, requests, view=view, batch=batch, workers=workers, clock=clock
        )
    return pillow_pipeline.images_in_order(
        lambda: pillow_pipeline.PillowImages(open_records, pillow),
        requests,
        view=pillow,
        workers=workers,
        clock=clock,
    )


def images_in_order(
    open_images: Callable[[], StoredImages],
    requests: Iterable[Request],
    *,
    view: View,
    batch: int,
    workers: int,
    clock: ReadClock | None = None,
) -> Iterator[NDArray[np.float32]]:
    """One float32[b, h, w, 3] block a request, in order, of images that are pixels, as `view` has
    them. All requests but the last have `batch` rows. Raises `InputError` naming the image that
    can't be used."""
    requests, pillow = _decoder(requests, view)
    if pillow is None:
        return tf_pipeline.images_in_order(
            open_images,
            requests,
            batch=batch,
            function=tf_pipeline.image_function(view),
            workers=workers,
            clock=clock,
        )
    return pillow_pipeline.images_in_order(
        open_images, requests, view=pillow, workers=workers, clock=clock
    )


def _decoder(requests: Iterable[Request], view: View) -> tuple[Iterable[Request], EvalView | None]:
    """The requests, and the view where Pillow decodes."""
    if not isinstance(view, EvalView):
        return requests, None
    if not is_installed():
        return requests, view
    if is_imported() or platform.machine() not in _PROVEN:
        return requests, None
    # Positions are a few bytes an image, so those of a few are looked at before the work begins.
    upcoming = iter(requests)
    first: list[Request] = []
    images = 0
    for request in upcoming:
        first.append(request)
        images += len(request[0])
        if images > FEW:
            return chain(first, upcoming), None
    return first, view
