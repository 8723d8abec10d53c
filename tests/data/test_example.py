from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitctl.data.example import Example, decode_example, encode_example, image_of

examples = st.builds(
    Example,
    image=st.binary(max_size=300),
    labels=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5).map(tuple),
    id=st.text(max_size=40),
)


@given(examples)
def test_round_trip(example):
    assert decode_example(encode_example(example)) == example


@given(examples)
def test_same_bytes_as_tensorflow(example):
    import tensorflow as tf

    train = tf.train
    message = train.Example(
        features=train.Features(
            feature={
                "image": train.Feature(bytes_list=train.BytesList(value=[example.image])),
                "label": train.Feature(int64_list=train.Int64List(value=example.labels)),
                "id": train.Feature(bytes_list=train.BytesList(value=[example.id.encode()])),
            }
        )
    )
    assert encode_example(example) == message.SerializeToString(deterministic=True)


def test_reads_unpacked_numbers_and_ignores_other_features():
    """Writers may leave integers unpacked and add features; readers must cope."""
    import tensorflow as tf

    extra = tf.train.Example()
    extra.features.feature["height"].float_list.value.append(1.5)
    extra.features.feature["about"].bytes_list.value.append(b"x")
    # feature "label" { int64_list { value: 5 value: 300 } }, each with its own tag
    unpacked = (
        bytes([0x0A, 0x12, 0x0A, 0x10, 0x0A, 0x05])
        + b"label"
        + bytes([0x12, 0x07, 0x1A, 0x05, 0x08, 0x05, 0x08, 0xAC, 0x02])
    )
    assert list(
        tf.train.Example.FromString(unpacked).features.feature["label"].int64_list.value
    ) == [
        5,
        300,
    ]
    rest = tf.train.Example()
    rest.features.feature["image"].bytes_list.value.append(b"pixels")
    rest.features.feature["id"].bytes_list.value.append(b"i")
    record = extra.SerializeToString() + unpacked + rest.SerializeToString()
    assert decode_example(record) == Example(b"pixels", (5, 300), "i")


@given(examples, st.data())
def test_cut_records_never_pass_for_whole(example, data):
    record = encode_example(example)
    cut = data.draw(st.integers(0, len(record) - 1))
    with pytest.raises(ValueError):  # noqa: PT011 - the wording depends on where the cut is
        decode_example(record[:cut])


@given(st.binary(max_size=60))
def test_noise_never_crashes(noise):
    try:
        decode_example(noise)
    except ValueError:
        return


def image_or_error(record):
    try:
        return decode_example(record).image
    except ValueError as error:
        return str(error)


def sliced_image_or_error(record):
    try:
        return image_of(record)
    except ValueError as error:
        return str(error)


@given(examples)
def test_the_image_alone(example):
    assert image_of(encode_example(example)) == example.image


@given(examples, st.data())
def test_the_image_alone_of_damaged_records(example, data):
    """The same image or the same error as the whole example, whatever byte is another or lost."""
    record = bytearray(encode_example(example))
    for _ in range(data.draw(st.integers(1, 3))):
        record[data.draw(st.integers(0, len(record) - 1))] = data.draw(st.integers(0, 255))
    record = bytes(record[: data.draw(st.integers(0, len(record)))])
    assert sliced_image_or_error(record) == image_or_error(record)


@pytest.mark.parametrize("padding", [8, 9, 10, 30])
@pytest.mark.parametrize("fill", [0x80, 0xFF])
def test_the_image_alone_of_lengths_in_many_bytes(padding, fill):
    """Up to ten bytes are a number; of more, nothing is computed."""
    entries = encode_example(Example(b"pixels", (5,), "i"))[2:]
    first = len(entries) & 0x7F | 0x80
    record = bytes([0x0A, first, *[fill] * padding, 0]) + entries
    assert len(entries) < 0x80
    assert sliced_image_or_error(record) == image_or_error(record)
    assert (image_or_error(record) == b"pixels") == (padding == 8 and fill == 0x80)
