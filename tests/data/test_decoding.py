"""Images are scored from the same bits whoever decodes them, in the order of the requests."""

from __future__ import annotations

import base64
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.encoded_images import encode, rgb, with_orientation
from tests.ingest.pixels.test_convert import MAX_PIXELS, TABLE
from vitctl.data import decoding, tensorflow, tf_pipeline
from vitctl.data.config import FEWSHOT_PREPROCESS, AugmentConfig, EvalPreprocess
from vitctl.data.example import Example, encode_example
from vitctl.data.formula_images import FormulaImages, described
from vitctl.data.views import EvalView, TrainView
from vitctl.errors import InputError, UsageError
from vitctl.formula.family import FormulaConfig
from vitctl.ingest.pixels.prepare import prepare
from vitctl.ingest.pixels.storage import ImageStorage
from vitctl.pixels.jpeg_scans import lacks_scans
from vitctl.pixels.training_pixels import DecodersDifferError, stored_pixels

VIEW = EvalView(16, EvalPreprocess())


class InMemory:
    """Records of encoded images."""

    def __init__(self, images):
        self._images = list(images)
        self.reads = []

    def stored(self):
        return np.arange(len(self._images))

    def __len__(self):
        return len(self._images)

    def read(self, indices):
        self.reads.append(indices.tolist())
        return [encode_example(Example(self._images[i], (0,), f"image {i}")) for i in indices]

    def locate(self, index):
        return Path("/set/shard-0"), index

    def close(self):
        pass


def by(decoder, images, *, view=VIEW, batch=8, positions=None, workers=2):
    """The blocks of some images; `decoder` is a module."""
    positions = np.arange(len(images)) if positions is None else np.array(positions)
    requests = [
        (part, np.zeros((len(part), 2), np.int32))
        for part in np.split(positions, range(batch, len(positions), batch))
    ]
    return list(
        decoder.record_images_in_order(
            lambda: InMemory(images), iter(requests), view=view, batch=batch, workers=workers
        )
    )


@pytest.fixture
def without_tensorflow(monkeypatch):
    """As where it is not installed: nothing can import it."""
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    tensorflow.load_tensorflow.cache_clear()
    yield
    tensorflow.load_tensorflow.cache_clear()


@pytest.fixture
def not_imported(monkeypatch):
    """As in a process that has not imported it yet, though it could."""
    monkeypatch.setattr(decoding, "is_imported", lambda: False)
    monkeypatch.setattr(decoding.platform, "machine", lambda: "x86_64")


def photos():
    """JPEGs as cameras and the web have them: subsampled colours, qualities, progressive ones."""
    noise = np.random.default_rng(3).normal(size=(60, 90, 3)).cumsum(0).cumsum(1)
    scaled = (noise - noise.min()) / np.ptp(noise) * 255
    image = Image.fromarray(scaled.astype(np.uint8)).resize((301, 203), Image.Resampling.BICUBIC)
    return [
        encode(image, "JPEG", quality=quality, subsampling=subsampling, progressive=progressive)
        for quality in (20, 75, 98)
        for subsampling in (0, 1, 2)
        for progressive in (False, True)
    ]


@pytest.mark.parametrize(
    "view",
    [VIEW, EvalView(24, FEWSHOT_PREPROCESS), EvalView(40, EvalPreprocess(ratio=1.0))],
    ids=["shrunk", "squashed", "enlarged"],
)
def test_pillow_makes_every_bit_that_tensorflow_makes_of_all_that_a_dataset_may_hold(
    view, not_imported
):
    """Also of bytes that were kept on request."""
    images = photos() + [
        prepare(make(), storage=ImageStorage(MAX_PIXELS, keep_bytes=keeps)).image
        for make, _, _ in TABLE.values()
        for keeps in (False, True)
    ]
    expected = np.concatenate(by(tf_pipeline, images, view=view))
    assert len(expected) == len(images) > 100
    blocks = by(decoding, images, view=view)
    assert [len(block) for block in blocks[:-1]] == [8] * (len(blocks) - 1)
    for number, (ours, theirs) in enumerate(zip(np.concatenate(blocks), expected, strict=True)):
        assert ours.dtype == np.float32
        assert np.array_equal(ours, theirs), number


def unequal_images(images):
    """Numbers of images that Pillow and TensorFlow make different bits of."""
    ours, theirs = (np.concatenate(by(one, images)) for one in (decoding, tf_pipeline))
    return [i for i, pair in enumerate(zip(ours, theirs, strict=True)) if not np.array_equal(*pair)]


def test_light_of_kept_cmyk_is_rounded_as_tensorflow_rounds_it(not_imported):
    values = np.random.default_rng(0).integers(0, 256, (40, 56, 4), np.uint8)
    image = Image.fromarray(values, "CMYK")
    storage = ImageStorage(MAX_PIXELS, keep_bytes=True)
    images = [
        prepare(encode(image, "JPEG", progressive=progressive), storage=storage).image
        for progressive in (False, True)
    ]
    assert all(data.startswith(b"\xff\xd8\xff") for data in images)
    assert unequal_images(images) == []


# 24 x 24 pixels whose last bits are in no scan: `cjpeg -scans` of a script that ends early.
# TensorFlow 2.21 and Pillow 13 decode it to other pixels.
WITHOUT_LAST_SCANS = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkSEw8UHRofHh0aHBwgJC4nICIs"
    "IxwcKDcpLDAxNDQ0Hyc5PTgyPC4zNDL/2wBDAQkJCQwLDBgNDRgyIRwhMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIy"
    "MjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjL/wgARCAAYABgDASIAAhEBAxEB/8QAGAABAQADAAAAAAAAAAAAAAAA"
    "AAQCAwX/xAAYAQACAwAAAAAAAAAAAAAAAAACBAABBf/aAAwDAQACEAMQAAABh60+dKUCP07AhuGGt//EABsQAAID"
    "AAMAAAAAAAAAAAAAAAECAAMTISIx/9oACAEBAAEFAk9DdazziZm0rrIOqStlZrAAv//EAB0RAAEEAgMAAAAAAAAA"
    "AAAAAAABAgMSBAUTFCL/2gAIAQMBAT8B7VVqpHH5NjiR2RxzOP/EABsRAAICAwEAAAAAAAAAAAAAAAECABEDBBIh"
    "/9oACAECAQE/AdNrUkw8ZDdxUBQx1pvJ/8QAFBABAAAAAAAAAAAAAAAAAAAAMP/aAAgBAQAGPwIf/8QAGRAAAwEB"
    "AQAAAAAAAAAAAAAAAAERQSFh/9oACAEBAAE/IVgQKGGCZwpmPyM4XqP/2gAMAwEAAgADAAAAEEPPQf/Z"
)


def test_a_progressive_jpeg_without_its_last_scans_is_decoded_by_tensorflow(not_imported):
    whole = [data for data in photos() if b"\xff\xc2" in data]
    starts = [i for i in range(len(whole[0])) if whole[0].startswith(b"\xff\xda", i)]
    cut = [whole[0][:scan] + b"\xff\xd9" for scan in starts[1:]]
    assert len(cut) > 5
    assert [lacks_scans(data) for data in whole + cut] == [False] * len(whole) + [True] * len(cut)
    assert unequal_images([WITHOUT_LAST_SCANS]) == []
    with pytest.raises(DecodersDifferError, match="without all of its scans"):
        stored_pixels(WITHOUT_LAST_SCANS)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff\xda", b"\xff\xd8\xff\xc2\0\x11\xff\xda"])
def test_scans_that_are_not_there_lack_nothing(data):
    assert not lacks_scans(data)


def test_formula_images_too(not_imported):
    config = FormulaConfig(family="fractal", classes=3, per_class=4, resolution=32)
    source = FormulaImages(described(config), config)
    positions = np.array([5, 0, 9, 9, 3])
    request = (positions, np.zeros((5, 2), np.int32))
    (ours,) = source.images([request], split="train", view=VIEW, batch=5)
    (theirs,) = tf_pipeline.images_in_order(
        lambda: Pictures(source),
        [request],
        batch=5,
        function=tf_pipeline.image_function(VIEW),
        workers=1,
    )
    assert np.array_equal(ours, theirs)


class Pictures:
    shape = (32, 32, 3)

    def __init__(self, source):
        self.read = lambda positions: source.pictures("train", positions)

    def culprit(self, indices, error):
        return error

    def close(self):
        pass


def test_blocks_come_in_order_however_many_threads_decode(without_tensorflow):
    images = [encode(rgb(30 + i, 40), "PNG") for i in range(20)]
    positions = np.random.default_rng(0).permutation(20)
    alone = {i: by(decoding, images, positions=[i], workers=1)[0][0] for i in range(20)}
    blocks = by(decoding, images, positions=positions, batch=3, workers=4)
    assert [len(block) for block in blocks] == [3] * 6 + [2]
    for image, position in zip(np.concatenate(blocks), positions, strict=True):
        assert np.array_equal(image, alone[position])


def test_a_damaged_image_is_named_and_those_before_it_are_delivered(without_tensorflow):
    images = [encode(rgb(200, 200), "JPEG")] * 6
    images[4] = images[4][:-800]
    stream = decoding.record_images_in_order(
        lambda: InMemory(images),
        [(np.arange(i, i + 2), np.zeros((2, 2), np.int32)) for i in (0, 2, 4)],
        view=VIEW,
        batch=2,
        workers=2,
    )
    assert len([next(stream), next(stream)]) == 2
    with pytest.raises(InputError, match=r"the image image 4 \(record 4 of .*truncated") as caught:
        next(stream)
    assert caught.value.hint == "see what is damaged: vitctl verify --deep /set"
    assert not [t for t in threading.enumerate() if t.name.startswith(("decode-", "read-images"))]


def test_what_the_decoders_see_otherwise_is_left_to_tensorflow(not_imported):
    """`shard` stores no such bytes; a dataset that another program wrote may hold them."""
    images = [encode(rgb(), "JPEG"), with_orientation(rgb(), "JPEG", 6)]
    assert np.array_equal(*(np.concatenate(by(who, images)) for who in (decoding, tf_pipeline)))


def test_a_single_image_that_tensorflow_decodes_needs_no_graph(not_imported, monkeypatch):
    """A graph an image took 2 s each; that the bits are the same is tested above."""
    monkeypatch.setattr(tensorflow.load_tensorflow(), "data", None)
    monkeypatch.setattr(tensorflow.load_tensorflow(), "function", None)
    images = [WITHOUT_LAST_SCANS, with_orientation(rgb(90, 60), "JPEG", 6)]
    (block,) = by(decoding, images)
    assert block.shape == (2, 16, 16, 3)
    assert (np.ptp(block, axis=(1, 2, 3)) > 0.5).all()


def test_a_single_image_that_tensorflow_cannot_decode_is_named(not_imported):
    view = EvalView(16, EvalPreprocess(trim_border=12))
    images = [encode(rgb(60, 60), "JPEG"), WITHOUT_LAST_SCANS]
    with pytest.raises(InputError, match=r"image 1 \(record 1 .*too small to cut 12 pixels"):
        by(decoding, images, view=view)


def test_without_tensorflow_it_is_refused(without_tensorflow):
    images = [encode(rgb(), "JPEG"), with_orientation(rgb(), "JPEG", 6)]
    with pytest.raises(UsageError, match=r"image 1 .*turned upright") as caught:
        by(decoding, images)
    assert caught.value.hint == f"install TensorFlow: {tensorflow.install_command()}"


def test_augmented_images_need_it(without_tensorflow):
    with pytest.raises(UsageError, match=r"TensorFlow, .*, is not installed") as caught:
        by(decoding, [encode(rgb(), "JPEG")], view=TrainView(16, AugmentConfig()))
    assert "pip install tensorflow" in caught.value.hint


def test_many_images_are_left_to_tensorflow(not_imported, monkeypatch):
    """Only as many requests are looked at as that takes."""
    monkeypatch.setattr(decoding, "FEW", 9)
    taken = []

    def requests():
        for number in range(5):
            taken.append(number)
            yield np.array([0, 0, 0]), np.zeros((3, 2), np.int32)

    monkeypatch.setattr(
        decoding.tf_pipeline,
        "record_images_in_order",
        lambda records, requests, **_: [len(taken), *requests],
    )
    looked, *given = decoding.record_images_in_order(
        lambda: InMemory([b""]), requests(), view=VIEW, batch=3, workers=1
    )
    assert looked == 4
    assert len(given) == 5


@pytest.mark.parametrize(("machine", "imported"), [("arm64", False), ("x86_64", True)])
def test_tensorflow_decides_where_bits_were_not_compared_or_it_is_there_anyway(
    machine, imported, monkeypatch
):
    monkeypatch.setattr(decoding, "is_imported", lambda: imported)
    monkeypatch.setattr(decoding.platform, "machine", lambda: machine)
    monkeypatch.setattr(decoding.tf_pipeline, "record_images_in_order", lambda *_, **__: "theirs")
    none = decoding.record_images_in_order(lambda: InMemory([]), [], view=VIEW, batch=3, workers=1)
    assert none == "theirs"
