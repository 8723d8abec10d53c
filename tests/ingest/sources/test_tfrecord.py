"""TFRecords: two records that TensorFlow wrote, and what damage does to them."""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ingest.trees.test_folder import contents, label_file
from tests.ingest.trees.test_tar import rows
from vitctl.errors import InputError, UsageError
from vitctl.ingest.parts import DamagedError
from vitctl.ingest.sources.examples import example
from vitctl.ingest.sources.formats import list_images
from vitctl.ingest.sources.tfrecord import is_tfrecord

# tf.io.TFRecordWriter (TensorFlow 2.21): image/encoded "first image" and "second",
# image/class/label [3] and [-7, 300], image/class/text "tench" and "shark", and in the first
# image/height [4] and score 0.5.
TWO = base64.b64decode(
    "igAAAAAAAACtu3dXCocBChEKBXNjb3JlEggSBgoEAAAAPwodChBpbWFnZS9jbGFzcy90ZXh0EgkKBwoFdGVuY2gK"
    "GgoRaW1hZ2UvY2xhc3MvbGFiZWwSBRoDCgEDCiAKDWltYWdlL2VuY29kZWQSDwoNCgtmaXJzdCBpbWFnZQoVCgxp"
    "bWFnZS9oZWlnaHQSBRoDCgEEb0RP0mUAAAAAAAAA69BaaQpjCiUKEWltYWdlL2NsYXNzL2xhYmVsEhAaDgoM+f//"
    "////////AawCChsKDWltYWdlL2VuY29kZWQSCgoICgZzZWNvbmQKHQoQaW1hZ2UvY2xhc3MvdGV4dBIJCgcKBXNo"
    "YXJrHRCE7A=="
)
FIRST_BYTES = 12 + 0x8A + 4


def write(path, data=TWO):
    path.write_bytes(data)
    return str(path)


def test_records_that_tensorflow_wrote(tmp_path):
    path = write(tmp_path / "x.tfrecord")
    listing = list_images(path)
    assert rows(listing) == [
        ("00000000", 11, None, ("3",)),
        ("00000001", 6, None, ("-7", "300")),
    ]
    assert contents(listing) == {"00000000": b"first image", "00000001": b"second"}
    assert listing.multi_label
    assert "images in image/encoded and labels of image/class/label" in listing.reading
    texts = list_images(path, label_column="image/class/text")
    assert texts.classes == ["shark", "tench"]
    assert list_images(path, label_column="image/class/text", exclude=["shark"]).classes == [
        "tench"
    ]
    assert len(list_images(path, unlabelled=True).entries) == 2
    labels = label_file(tmp_path / "l", [("00000001", ["a"])])
    assert rows(list_images(path, labels=labels)) == [("00000001", 6, None, ("a",))]


def test_splits_are_in_the_names_of_files(tmp_path):
    for name in ("in1k-train.tfrecord-00000-of-00002", "in1k-train.tfrecord-00001-of-00002"):
        write(tmp_path / name)
    write(tmp_path / "in1k-validation.tfrecord-00000-of-00001")
    listing = list_images(str(tmp_path / "*"))
    assert [row[2] for row in rows(listing)] == ["train"] * 4 + ["val"] * 2
    assert rows(listing)[0][0] == "in1k-train.tfrecord-00000-of-00002/00000000"


def test_features_that_are_not_usual(tmp_path):
    path = write(tmp_path / "x", TWO.replace(b"image/encoded", b"image/unusual"))
    with pytest.raises(InputError, match=r"none of the usual features of images .*image/unusual"):
        list_images(path)
    assert len(list_images(path, image_column="image/unusual").entries) == 2
    with pytest.raises(UsageError, match="no record of"):
        list_images(path, image_column="nothing")
    write(tmp_path / "x", TWO.replace(b"class/label", b"class/other"))
    with pytest.raises(InputError, match="usual features of labels") as caught:
        list_images(path)
    assert "--label-column" in caught.value.hint
    assert "--unlabelled" in caught.value.hint


def test_damage_keeps_what_is_before_it(tmp_path):
    for cut in range(FIRST_BYTES, len(TWO)):
        listing = list_images(write(tmp_path / "x", TWO[:cut]))
        assert len(listing.entries) == 1
        assert len(listing.cautions) == (cut > FIRST_BYTES)
    changed = bytearray(TWO)
    changed[FIRST_BYTES] ^= 1
    listing = list_images(write(tmp_path / "x", changed))
    assert f"is damaged at byte {FIRST_BYTES}" in listing.cautions[0]
    # A length that lies is found by its checksum, before anything of that length is read.
    changed = bytearray(TWO)
    changed[FIRST_BYTES + 6] = 0xFF
    assert "checksum" in list_images(write(tmp_path / "x", changed)).cautions[0]


def test_other_files_are_not_taken_for_tfrecords():
    assert is_tfrecord(TWO[:12])
    for head in (
        b"",
        bytes(12),
        bytes(512),
        b"\xff\xd8\xff\xe0" + bytes(20),
        b"PK\3\4" + bytes(20),
    ):
        assert not is_tfrecord(head)


@given(st.binary(max_size=200))
def test_any_bytes_are_features_or_damage(data):
    try:
        for feature in example(data, at=0).values():
            assert all(0 <= start <= end <= len(data) for start, end in feature.texts)
    except DamagedError:
        pass


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 260), st.binary(min_size=1, max_size=4)), max_size=4))
def test_any_damage_is_a_listing_or_a_sentence(tmp_path_factory, changes):
    data = bytearray(TWO)
    for at, piece in changes:
        data[at : at + len(piece)] = piece
    path = write(tmp_path_factory.mktemp("t") / "x", data)
    with contextlib.suppress(InputError):
        contents(list_images(path, format="tfrecord"))
