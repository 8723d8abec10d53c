"""The evaluation's preprocessing without TensorFlow, against the pipeline that evaluation runs."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.data.encoded_images import encode
from vitctl.data.config import FEWSHOT_PREPROCESS, EvalPreprocess
from vitctl.data.numpy_preprocess import eval_pixels
from vitctl.data.tf_pipeline import eval_function, images_in_order
from vitctl.errors import InputError

SIZES = (
    *((375, 500), (256, 256), (224, 224), (100, 130), (23, 37), (257, 511), (427, 640)),
    *((1, 1), (1, 40), (40, 1), (17, 400), (300, 20), (2000, 90), (10, 3000), (900, 1200)),
    *map(tuple, np.random.default_rng(7).integers(1, 500, (25, 2)).tolist()),
)
IMAGES = [
    np.random.default_rng(h * w).integers(0, 256, (h, w, 3)).astype(np.uint8) for h, w in SIZES
]


class Stored:
    """The images as PNG."""

    shape = ()

    def read(self, indices):
        result = [encode(Image.fromarray(IMAGES[i]), "PNG", compress_level=1) for i in indices]
        return np.array(result, object)

    def culprit(self, indices, error):
        return error

    def close(self):
        pass


@pytest.mark.parametrize(
    ("resolution", "preprocess"),
    [
        (224, EvalPreprocess()),
        (224, FEWSHOT_PREPROCESS),
        (32, EvalPreprocess()),
        (28, EvalPreprocess(resize="squash", ratio=1.0)),
        (300, EvalPreprocess(ratio=1.1)),
    ],
    ids=str,
)
def test_every_bit_is_the_pipelines(resolution, preprocess):
    """In the graph, where TensorFlow rewrites the arithmetic that it finds."""
    requests = [(np.array([i]), np.zeros((1, 2), np.int32)) for i in range(len(IMAGES))]
    function = eval_function(resolution=resolution, preprocess=preprocess)
    blocks = images_in_order(Stored, requests, batch=1, function=function, workers=2)
    for size, image, (expected,) in zip(SIZES, IMAGES, blocks, strict=True):
        decoded = eval_pixels(image, resolution=resolution, preprocess=preprocess)
        assert decoded.dtype == np.float32
        assert np.array_equal(decoded, expected), size


@pytest.mark.parametrize("resize", ["small", "squash"])
def test_a_trimmed_border_is_not_seen(resize):
    """As of ObjectNet's images: the same bits as of images that never had the border."""
    trimming = EvalPreprocess(resize=resize, trim_border=1)
    plain = EvalPreprocess(resize=resize)
    function = eval_function(resolution=32, preprocess=trimming)
    large = [i for i, size in enumerate(SIZES) if min(size) > 2][:12]
    requests = [(np.array([i]), np.zeros((1, 2), np.int32)) for i in large]
    blocks = images_in_order(Stored, requests, batch=1, function=function, workers=2)
    for i, (block,) in zip(large, blocks, strict=True):
        inner = eval_pixels(IMAGES[i][1:-1, 1:-1], resolution=32, preprocess=plain)
        assert np.array_equal(block, inner)
        assert np.array_equal(eval_pixels(IMAGES[i], resolution=32, preprocess=trimming), inner)


def test_an_image_that_is_all_border_is_refused():
    trimming = EvalPreprocess(trim_border=3)
    with pytest.raises(InputError, match="too small to cut 3 pixels off each side"):
        eval_pixels(np.zeros((6, 9, 3), np.uint8), resolution=8, preprocess=trimming)
    function = eval_function(resolution=8, preprocess=trimming)
    (small,) = [i for i, size in enumerate(SIZES) if size == (1, 1)][:1]
    requests = [(np.array([small]), np.zeros((1, 2), np.int32))]
    with pytest.raises(Exception, match="too small to cut 3 pixels off each side"):
        list(images_in_order(Stored, requests, batch=1, function=function, workers=1))


def test_a_setting_that_came_later_is_named_where_it_is_used():
    assert EvalPreprocess().model_dump(mode="json").keys() == {"resize", "ratio"}
    assert EvalPreprocess(trim_border=1).model_dump(mode="json")["trim_border"] == 1
