"""The lists, tables and MATLAB files that makers of datasets ship, damaged in their bytes and in
their lines: any outcome is a listing or one sentence, and memory stays bounded. So where a user
names them with `--labels`."""

from __future__ import annotations

import resource
import unicodedata

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from tests.ingest.labels.test_tables_together import celeba, celeba_of_kaggle
from tests.ingest.sources.test_mat import stl10, svhn
from tests.ingest.trees import distributions as makers
from vitctl.errors import VitctlError
from vitctl.ingest.labels.named_lists import is_list_file, read_lists
from vitctl.ingest.sources.formats import list_images

_MOST_MIB = 256
_ENDINGS = (".txt", ".csv", ".mat", ".bin", ".json")


def dtd(root):
    makers.dtd(root, partitions=1)


def digits(root):
    root.mkdir()
    svhn(root / "train_32x32.mat", [1, 10, 2])
    svhn(root / "extra_32x32.mat", [1, 10, 2], compress=False)


def cifar_in_matlab(root):
    root.mkdir()
    data = bytes(range(256)) * 24
    names = makers.cell("apple", "pear")
    rows = [list(data[:3072]), list(data[3072:])]
    for name, variables in (
        ("data_batch_1.mat", {"data": np.array(rows, np.uint8), "labels": [[0], [1]]}),
        ("batches.meta.mat", {"label_names": names}),
    ):
        savemat(root / name, variables)


def stl(root):
    root.mkdir()
    stl10(root, {"train": 2, "test": 1})


BUILDERS = {
    builder.__name__: builder
    for builder in (
        *(makers.food101, makers.cub200, dtd, makers.aircraft, makers.pets, makers.flowers102),
        *(makers.cars, makers.cars_in_one, makers.dogs, makers.places365),
        *(celeba, celeba_of_kaggle, digits, cifar_in_matlab, stl),
    )
}

DAMAGES = st.lists(
    st.tuples(
        st.sampled_from(["bytes", "bit", "twice", "gone", "line", "lines", "word"]),
        st.floats(0, 0.9999),
        st.sampled_from([1, 1, 3]),
        st.one_of(
            st.binary(min_size=1, max_size=8),
            st.sampled_from(
                [b"0", b"1 ", b"\n", b"\r", b",", b"-1", b"99999999999", b"/..", b"\0"]
            ),
        ),
    ),
    min_size=1,
    max_size=4,
)


def damaged(content, damages, cut):
    data = bytearray(content)
    for how, share, power, piece in damages:
        at = int(share**power * len(data))  # headers lie in front
        lines = data.split(b"\n")
        line = int(share**power * len(lines))
        match how:
            case "bytes":
                data[at : at + len(piece)] = piece
            case "bit":
                data[at : at + 1] = bytes(b ^ (1 << piece[0] % 8) for b in data[at : at + 1])
            case "twice":
                data[at:at] = data[at : at + len(piece) * 9]
            case "gone":
                del data[at : at + len(piece)]
            case "line":
                lines[line:line] = [bytes(lines[line])]
                data = bytearray(b"\n".join(lines))
            case "lines":
                data = bytearray(b"\n".join([*lines[line:], *lines[:line]]))
            case "word":
                lines[line] = b" ".join([*lines[line].split(b" ")[:1], piece])
                data = bytearray(b"\n".join(lines))
    return bytes(data[: len(data) - int(cut * len(data))])


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """Each dataset, made when it is first asked for."""
    built = {}

    def root_of(name):
        if name not in built:
            built[name] = tmp_path_factory.mktemp("d") / name
            BUILDERS[name](built[name])
        return built[name]

    return root_of


def check(root, place, damages, cut):
    """A file of the dataset is damaged and mended again; `place` chooses which."""
    files = sorted(path for path in root.rglob("*") if path.suffix.lower() in _ENDINGS)
    file = files[int(place * len(files))]
    content = file.read_bytes()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        file.write_bytes(damaged(content, damages, cut))
        for attempt in (listed, named):
            try:
                attempt(root, file)
            except VitctlError as error:
                lines = str(error).splitlines()
                assert len(lines) == 1, lines
    finally:
        file.write_bytes(content)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < _MOST_MIB


def listed(root, file):
    listing = list_images(str(root))
    for entry in listing.entries:
        # One line of text. Characters of private use and wide spaces may be in it.
        kinds = {unicodedata.category(c) for name in listing.class_names(entry) for c in name}
        assert not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"}


def named(root, file):
    if file.suffix == ".txt" or is_list_file(file):
        lists = read_lists([file], source=root, given=str(file))
        list_images(str(root), labels=lists)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.sampled_from(sorted(BUILDERS)),
    st.floats(0, 0.9999),
    DAMAGES,
    st.one_of(st.just(0.0), st.floats(0, 1)),
)
@example("places365", 0.0, [("bytes", 0.0, 1, "\ue000".encode())], 0.0)
def test_damaged_lists_are_a_listing_or_a_sentence(roots, name, place, damages, cut):
    check(roots(name), place, damages, cut)


@pytest.mark.slow  # hundreds of listings of each dataset
@pytest.mark.parametrize("name", sorted(BUILDERS))
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.floats(0, 0.9999), DAMAGES, st.one_of(st.just(0.0), st.floats(0, 1)))
def test_many_damages_of_each(roots, name, place, damages, cut):
    check(roots(name), place, damages, cut)
