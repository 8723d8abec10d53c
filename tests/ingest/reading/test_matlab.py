"""MATLAB's files against SciPy's reader, on what SciPy writes."""

from __future__ import annotations

import io
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from vitctl.errors import InputError
from vitctl.ingest.reading.matlab import read_mat

MOST = 2**20

numbers = st.one_of(
    st.sampled_from(["f8", "f4", "u1", "i1", "u2", "i2", "u4", "i4", "i8", "u8", "c16"]).flatmap(
        lambda dtype: st.lists(st.integers(0, 3), min_size=1, max_size=3).map(
            lambda shape: (np.arange(np.prod(shape, dtype=int)) % 120).reshape(shape).astype(dtype)
        )
    ),
    st.integers(-(2**31), 2**31 - 1),
    st.floats(allow_nan=False),
)
# SciPy writes no letter of two units, and reads none behind a NUL.
texts = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), min_size=1, max_size=12)
rows_of_text = st.lists(texts, min_size=2, max_size=3).map(np.array)


def cells(values):
    return st.lists(values, max_size=4).map(as_cells)


def as_cells(values):
    array = np.empty((len(values), 1), object)
    array[:, 0] = values
    return array


def structures(values):
    names = st.lists(st.sampled_from(["fname", "class", "test", "x1"]), min_size=1, unique=True)
    return names.flatmap(lambda fields: st.fixed_dictionaries(dict.fromkeys(fields, values)))


def structure_arrays(values):
    return st.lists(st.tuples(values, values), min_size=1, max_size=3).map(
        lambda rows: np.array(rows, [("fname", object), ("class", object)])
    )


variables = st.dictionaries(
    st.sampled_from(["labels", "annotations", "file_list", "x"]),
    st.recursive(
        numbers | texts | rows_of_text,
        lambda values: cells(values) | structures(values) | structure_arrays(values),
        max_leaves=6,
    ),
    max_size=3,
)


def saved(values, **options):
    file = io.BytesIO()
    savemat(file, values, **options)
    return file.getvalue()


def assert_same(value, expected):
    if isinstance(expected, str):
        assert isinstance(value, str)
        assert value == expected
        return
    value, expected = np.asarray(value), np.asarray(expected)
    assert value.shape == expected.shape
    assert value.dtype.names == expected.dtype.names
    if expected.dtype.names:
        for name in expected.dtype.names:
            assert_same(value[name], expected[name])
    elif expected.dtype == object:
        for own, other in zip(value.ravel(), expected.ravel(), strict=True):
            assert_same(own, other)
    elif expected.dtype.kind == "U":
        assert value.tolist() == expected.tolist()
    else:
        assert value.dtype == expected.dtype
        assert np.array_equal(value, expected)


@settings(max_examples=60, deadline=None)
@given(variables, st.booleans())
def test_what_scipy_reads(values, compress):
    data = saved(values, do_compression=compress)
    expected = loadmat(io.BytesIO(data), squeeze_me=True)
    own = read_mat(data, label="x.mat", most_bytes=MOST)
    assert own.keys() == {name for name in expected if not name.startswith("__")}
    for name, value in own.items():
        assert_same(value, expected[name])


@settings(max_examples=150, deadline=None)
@given(st.data(), variables, st.booleans())
def test_any_damage_is_variables_or_a_sentence(draw, values, compress):
    data = bytearray(saved(values, do_compression=compress))
    for _ in range(draw.draw(st.integers(1, 3))):
        at = draw.draw(st.integers(0, len(data) - 1))
        data[at] = draw.draw(st.integers(0, 255))
    cut = draw.draw(st.integers(0, len(data)))
    with suppress(InputError):
        read_mat(bytes(data[:cut]), label="x.mat", most_bytes=MOST)


def test_only_the_variables_asked_for():
    data = saved({"labels": np.arange(3), "other": "text"})
    assert read_mat(data, label="x.mat", most_bytes=MOST, names=["labels"]).keys() == {"labels"}


@pytest.mark.parametrize("compress", [True, False])
def test_what_claims_more_than_it_holds_is_refused(compress):
    data = saved({"x": np.zeros(2**18)}, do_compression=compress)
    with pytest.raises(InputError, match="holds more than 1 MiB"):
        read_mat(data, label="x.mat", most_bytes=MOST)
    cell = bytearray(saved({"c": as_cells([1.0, 2.0])}))
    axes = cell.index(np.array([2, 1], "<i4").tobytes())
    cell[axes : axes + 8] = np.array([2**30, 2**30], "<i4").tobytes()
    with pytest.raises(InputError, match="claims more than its bytes can hold"):
        read_mat(bytes(cell), label="x.mat", most_bytes=MOST)


def test_letters_of_big_endian_files():
    """As MATLAB wrote on other machines; SciPy writes none, so a file is made by hand."""

    def element(type_, data):
        return np.array([type_, len(data)], ">u4").tobytes() + data + bytes(-len(data) % 8)

    array = element(6, np.array([4, 0], ">u4").tobytes())
    array += element(5, np.array([1, 3], ">i4").tobytes()) + element(1, b"name")
    array += element(17, "aéb".encode("utf-16-be"))
    data = b"MATLAB 5.0 MAT-file".ljust(124) + b"\1\0MI" + element(14, array)
    assert read_mat(data, label="x.mat", most_bytes=MOST) == {"name": "aéb"}
    assert loadmat(io.BytesIO(data), squeeze_me=True)["name"] == "aéb"
