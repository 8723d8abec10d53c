"""About how many bytes are stored, before an image is read; and how many are, of two photos."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from vitctl.ingest.pixels.policy import AS_IT_IS, PixelPolicy
from vitctl.ingest.pixels.prepare import prepare
from vitctl.ingest.pixels.storage import ImageStorage, compressions_of

MOST_APART = 2.5
"""Of a flower in front of a blur and a temple full of edges, and of all usual qualities."""
OPTIONS = {
    "jpg": {"format": "JPEG", "quality": 85},
    "webp": {"format": "WEBP", "quality": 90},
    "avif": {"format": "AVIF", "quality": 70},
    "png": {"format": "PNG"},
    "tiff": {"format": "TIFF"},
}
POLICIES = {
    "none": AS_IT_IS,
    "png": PixelPolicy(encode="png"),
    "jpeg": PixelPolicy(encode="jpeg"),
    "smaller": PixelPolicy(max_side=120),
    "smaller, png": PixelPolicy(max_short_side=90, encode="png"),
}


@pytest.fixture(scope="module")
def photos():
    samples = pytest.importorskip("sklearn.datasets").load_sample_images()
    return [Image.fromarray(pixels).resize((240, 160)) for pixels in samples.images]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("ending", OPTIONS)
def test_about_so_many_bytes_are_stored(photos, ending, policy):
    storage = ImageStorage(10**6, policy=POLICIES[policy])
    files = []
    for photo in photos:
        file = io.BytesIO()
        photo.save(file, **OPTIONS[ending])
        files.append(file.getvalue())
    stored = sum(len(prepare(file, storage=storage).image) for file in files)
    names = [f"cat/{i}.{ending.upper()}".encode() for i in range(len(files))]
    expected = storage.expected_bytes(
        np.array([len(file) for file in files]), compressions_of(names, count=len(names))
    ).sum()
    assert stored / MOST_APART <= expected <= stored * MOST_APART


def test_nothing_is_stored_of_a_file_that_is_too_large():
    storage = ImageStorage(max_pixels=1)
    sizes = np.array([storage.largest_file, storage.largest_file + 1])
    photos = compressions_of([b"a.jpg", b"b"], count=2)
    assert storage.expected_bytes(sizes, photos).tolist() == [storage.largest_file, 0]
