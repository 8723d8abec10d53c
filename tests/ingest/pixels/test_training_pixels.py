"""What `predict` sees of a file is what training sees of it, without TensorFlow."""

from __future__ import annotations

import threading
import warnings

import numpy as np
import pytest
from PIL import Image

from tests.data.encoded_images import encode, rgb
from tests.ingest.pixels.test_convert import MAX_PIXELS, TABLE, seen_in_training
from tests.waiting import PATIENCE_S
from vitctl.ingest.pixels.prepare import prepare
from vitctl.ingest.pixels.storage import ImageStorage
from vitctl.pixels.header import BadImageError, open_image
from vitctl.pixels.training_pixels import pixels


@pytest.mark.parametrize("name", TABLE)
def test_pixels_are_those_that_are_stored_and_decoded_by_tensorflow(name):
    data = TABLE[name][0]()
    stored = prepare(data, storage=ImageStorage(MAX_PIXELS)).image
    decoded = pixels(data, max_pixels=MAX_PIXELS)
    assert decoded.dtype == np.uint8
    assert np.array_equal(decoded, seen_in_training(stored))


def test_damaged_bytes_have_the_pixels_that_shard_keeps_or_none():
    """Bytes flipped anywhere in photos of the three formats that are stored as they are."""
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8))
    random = np.random.default_rng(1)
    agreed = 0
    for format_ in ("PNG", "JPEG", "WEBP"):
        whole = encode(photo, format_)
        for _ in range(40):
            data = bytearray(whole)
            data[random.integers(2, len(data))] ^= 1 << random.integers(8)
            try:
                stored = seen_in_training(
                    prepare(bytes(data), storage=ImageStorage(MAX_PIXELS)).image
                )
            except BadImageError:
                stored = None
            try:
                decoded = pixels(bytes(data), max_pixels=MAX_PIXELS)
            except BadImageError:
                decoded = None
            assert (decoded is None) == (stored is None), (format_, bytes(data))
            if decoded is not None:
                assert np.array_equal(decoded, stored)
                agreed += 1
    assert agreed > 10


def test_threads_leave_the_limits_of_pillow_as_they_were():
    data = encode(rgb(), "PNG")
    limit, filters = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    opened, closing = threading.Barrier(2), threading.Event()

    def long_reader():
        with open_image(data):
            opened.wait(PATIENCE_S)
            closing.wait(PATIENCE_S)
            assert Image.MAX_IMAGE_PIXELS is None

    thread = threading.Thread(target=long_reader)
    thread.start()
    opened.wait(PATIENCE_S)
    with open_image(data) as image:
        image.load()
    assert Image.MAX_IMAGE_PIXELS is None  # the other reader is at work
    closing.set()
    thread.join()
    assert limit == Image.MAX_IMAGE_PIXELS
    assert list(warnings.filters) == filters
