"""Pixels in MATLAB's files, written by SciPy, and STL-10's binary files."""

from __future__ import annotations

import io
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from tests.ingest.sources.test_arrays import (
    archived,
    cifar,
    files_of,
    idx,
    listings_of,
    mnist,
    pixels_of,
)
from tests.ingest.trees.test_folder import make
from tests.ingest.trees.test_tar import rows, spooled
from vitctl.errors import InputError, UsageError
from vitctl.ingest.reading.mat_arrays import array_values, mat_arrays
from vitctl.ingest.sources.formats import list_images
from vitctl.pixels.header import BadImageError

RNG = np.random.default_rng(0)


def svhn(path, labels, *, shape=(6, 5, 3), compress=True, labels_as=np.uint8):
    """A file as SVHN's; its images N x HEIGHT x WIDTH x 3."""
    images = RNG.integers(0, 256, (len(labels), *shape), np.uint8)
    variables = {"X": np.moveaxis(images, 0, -1), "y": np.array(labels, labels_as)[:, None]}
    savemat(path, variables, do_compression=compress)
    return images


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("labels_as", [np.uint8, np.float64])
def test_svhn(tmp_path, compress, labels_as):
    labels = {"train": [1, 10, 3, 10], "test": [10, 9], "extra": [2]}
    images = {
        split: svhn(
            tmp_path / f"{split}_32x32.mat", numbers, compress=compress, labels_as=labels_as
        )
        for split, numbers in labels.items()
    }
    for given_ in (tmp_path / "{train,test,extra}_32x32.mat", tmp_path):
        listing = list_images(str(given_))
        assert listing.classes == ["0", "1", "2", "3", "9"]
        assert "MATLAB's files of SVHN" in listing.reading
        notes = " ".join(listing.notes)
        assert "label 10 is the digit 0" in notes
        assert "extra_32x32.mat is read as images to train on" in notes
        pixels = pixels_of(listing)
        assert len(pixels) == 7
        for entry in listing.entries:
            name, number = entry.id.split("/")
            split = "extra" if "extra" in name else name.split("_")[0]
            assert entry.split == ("test" if split == "test" else "train")
            assert listing.class_names(entry) == (str(labels[split][int(number)] % 10),)
            assert np.array_equal(pixels[entry.id], images[split][int(number)])


def test_labels_of_other_files_stay_as_they_are(tmp_path):
    images = svhn(tmp_path / "digits.mat", [10, 1], shape=(4, 7))
    listing = list_images(str(tmp_path / "digits.mat"))
    assert listing.classes == ["1", "10"]
    assert not listing.notes
    assert np.array_equal(pixels_of(listing)["digits/000000"], images[0])  # of grey, 4 x 7


@pytest.mark.parametrize("fine", [False, True])
def test_cifar_in_matlab(tmp_path, fine):
    images = RNG.integers(0, 256, (5, 32, 32, 3), np.uint8)
    data = images.transpose(0, 3, 1, 2).reshape(5, 3072)
    names = np.array(["apple", "beaver", "cup"], object)
    numbers = np.array([2, 0, 1, 2, 0], np.uint8)[:, None]
    if fine:
        variables = {"data": data, "fine_labels": numbers, "coarse_labels": numbers % 2}
        savemat(tmp_path / "train.mat", variables)
        savemat(tmp_path / "meta.mat", {"fine_label_names": names, "coarse_label_names": names[:2]})
    else:
        batch = {"data": data, "labels": numbers, "batch_label": "training batch 1 of 5"}
        savemat(tmp_path / "data_batch_1.mat", batch)
        savemat(tmp_path / "batches.meta.mat", {"label_names": names})
    (tmp_path / "readme.html").write_text("<html>")
    listing = list_images(str(tmp_path))
    assert [listing.class_names(entry)[0] for entry in listing.entries] == [
        "cup", "apple", "beaver", "cup", "apple",
    ]  # fmt: skip
    assert {entry.split for entry in listing.entries} == {"train"}
    for id_, pixels in pixels_of(listing).items():
        assert np.array_equal(pixels, images[int(id_[-6:])])


def test_mat_that_does_not_fit(tmp_path):
    path = tmp_path / "x.mat"
    for variables, message in (
        ({"X": np.zeros((4, 4, 3, 2), np.uint8), "y": np.zeros(3)}, "there are 2 images"),
        ({"X": np.zeros((4, 4, 3, 2), np.uint8), "y": [0.5, 1]}, "has fractions"),
        ({"X": np.zeros((4, 4, 3, 2), np.uint8), "z": [1, 1]}, "no array of labels for X"),
        ({"X": np.zeros((4, 4, 3, 2)), "y": [1, 1]}, r"no array of images \(it has X of 4 x 4"),
        ({"labels": np.arange(1, 9)}, r"no array of images \(it has labels of 1 x 8"),
        ({"text": "only"}, "no arrays of numbers"),
    ):
        savemat(path, variables)
        with pytest.raises(InputError, match=message):
            list_images(str(path))
    savemat(path, {"X": np.zeros((4, 4, 3, 2), np.uint8)})
    assert len(list_images(str(path), unlabelled=True).entries) == 2


def test_hdf5_is_refused_with_a_way(tmp_path):
    head = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + b"\x89HDF\r\n\x1a\n"
    for name, data, message, hint in (
        ("digitStruct.mat", head, "boxes of several digits", "train,test}_32x32.mat"),
        ("x.mat", head, "HDF5", "numpy.savez"),
        ("pcam.h5", b"\x89HDF\r\n\x1a\n".ljust(99), "HDF5", "h5py"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError, match=message) as caught:
            list_images(str(tmp_path / name))
        assert hint in caught.value.hint


def test_a_large_file_is_read_in_pieces(tmp_path):
    path = tmp_path / "train_32x32.mat"
    savemat(path, {"X": np.zeros((32, 32, 3, 8000), np.uint8), "y": np.ones(8000)})
    savemat(tmp_path / "plain.mat", {"X": RNG.integers(0, 256, (99, 8), np.uint8)})
    (x, _), (plain,) = (
        mat_arrays(io.BytesIO(p.read_bytes()), shown=p.name) for p in (path, tmp_path / "plain.mat")
    )
    assert (plain.shape, plain.value_bytes) == ((99, 8), 792)
    tracemalloc.start()
    with path.open("rb") as file:
        values, total = array_values(file, x), 0
        while piece := values.read(3072):
            total += len(piece)
    assert x.value_bytes <= total < x.value_bytes + 8
    assert tracemalloc.get_traced_memory()[1] < 2**20 < x.value_bytes / 20
    tracemalloc.stop()


def test_claims_of_headers_are_bounded(tmp_path):
    savemat(tmp_path / "x.mat", {"X": np.zeros((4, 4, 3, 2), np.uint8), "y": [1, 2]})
    data = bytearray((tmp_path / "x.mat").read_bytes())
    at = data.index(np.array([4, 4, 3, 2], "<i4").tobytes())
    data[at : at + 16] = np.array([4, 4, 3, 2**30], "<i4").tobytes()
    (tmp_path / "x.mat").write_bytes(data)
    with pytest.raises(InputError, match="claims more than its file can hold"):
        list_images(str(tmp_path / "x.mat"))


def stl10(folder, counts, *, names=True):
    """Files as STL-10's; the images N x 96 x 96 x 3 by split."""
    images = {}
    for split, count in counts.items():
        images[split] = RNG.integers(0, 256, (count, 96, 96, 3), np.uint8)
        (folder / f"{split}_X.bin").write_bytes(images[split].transpose(0, 3, 2, 1).tobytes())
        if split != "unlabeled":
            (folder / f"{split}_y.bin").write_bytes(bytes(i % 10 + 1 for i in range(count)))
    if names:
        (folder / "class_names.txt").write_text("\n".join(f"class {i}" for i in range(1, 11)))
    (folder / "fold_indices.txt").write_text("0 1\n")
    return images


def test_stl10(tmp_path):
    images = stl10(tmp_path, {"train": 12, "test": 2, "unlabeled": 3})
    for given_ in (tmp_path, tmp_path / "*.bin"):
        listing = list_images(str(given_))
        assert {entry.split for entry in listing.entries} == {"train", "test"}
        assert listing.class_names(listing.entries[0]) == ("class 1",)
        assert "unlabeled_X.bin is left out" in listing.notes[0]
        for id_, pixels in pixels_of(listing).items():
            split, number = id_.split("/")
            assert np.array_equal(pixels, images[split][int(number)])
    everything = list_images(str(tmp_path), unlabelled=True)
    assert len(everything.entries) == 17
    assert {row[2] for row in rows(everything) if "unlabeled" in row[0]} == {"train"}
    with pytest.raises(InputError, match="has no labels"):
        list_images(str(tmp_path / "unlabeled_X.bin"))
    (tmp_path / "class_names.txt").unlink()
    assert list_images(str(tmp_path / "test_X.bin")).classes == ["1", "2"]
    for data, message in ((b"\1", "has 1 labels"), (b"\1\0", "1 to 10"), (b"\1\2\3", "more than")):
        (tmp_path / "test_y.bin").write_bytes(data)
        with pytest.raises(InputError, match=message):
            list_images(str(tmp_path / "test_X.bin"))
    (tmp_path / "test_y.bin").unlink()
    with pytest.raises(InputError, match="are not beside it"):
        list_images(str(tmp_path / "test_X.bin"))


def test_a_folder_of_arrays_is_a_source(tmp_path):
    (tmp_path / "mnist").mkdir()
    mnist(tmp_path / "mnist", compress=False, train=5, t10k=3)
    packed = tmp_path / "mnist" / "train-images-idx3-ubyte.gz"
    packed.write_bytes(zlib.compress((tmp_path / "mnist" / packed.stem).read_bytes(), wbits=31))
    (tmp_path / "mnist" / ".hidden").write_text("")
    listing = list_images(str(tmp_path / "mnist"))
    assert len(listing.entries) == 8
    assert "train-images-idx3-ubyte.gz is not read" in listing.notes[0]
    with pytest.raises(UsageError, match="--image-column"):
        list_images(str(tmp_path / "mnist"), image_column="x")

    (tmp_path / "c").mkdir()
    images = RNG.integers(0, 256, (4, 32, 32, 3), np.uint8)
    (tmp_path / "c" / "data_batch_1.bin").write_bytes(cifar(images, [0, 1, 2, 3]))
    (tmp_path / "c" / "readme.html").write_text("<html>")
    assert len(list_images(str(tmp_path / "c")).entries) == 4


@pytest.mark.parametrize("beside", ["1.jpg", "image", "a/1.jpg"])
def test_a_folder_that_may_hold_images_is_read_for_these(tmp_path, beside):
    make(tmp_path, beside)
    (tmp_path / "x.idx").write_bytes(idx(np.zeros((2, 3, 3), np.uint8)))
    listing = list_images(str(tmp_path), unlabelled=True)
    assert [entry.id for entry in listing.entries] == [beside]


def svhn_files(folder):
    for split, labels in (("train", [1, 10, 3]), ("test", [10, 9]), ("extra", [2])):
        svhn(folder / f"{split}_32x32.mat", labels)


def cifar_mat_files(folder):
    for name in ("data_batch_1", "test_batch"):
        data = RNG.integers(0, 256, (3, 3072), np.uint8)
        savemat(folder / f"{name}.mat", {"data": data, "labels": np.array([[2], [0], [1]])})
    names = np.array(["apple", "beaver", "cup"], object)
    savemat(folder / "batches.meta.mat", {"label_names": names})
    (folder / "readme.html").write_text("<html>")


@pytest.mark.parametrize("archive", ["a.tar.gz", "a.tar", "a.zip"])
@pytest.mark.parametrize("write", [svhn_files, cifar_mat_files])
def test_matlabs_files_in_an_archive_are_those_of_the_folder(tmp_path, archive, write):
    expected, listing = listings_of(tmp_path, archive, write)
    assert listing.notes == expected.notes


@pytest.mark.parametrize("archive", ["a.tar.gz", "a.tar"])
def test_an_archive_of_matlabs_files_that_breaks_off_is_refused(tmp_path, archive):
    folder = tmp_path / "folder"
    folder.mkdir()
    cifar_mat_files(folder)
    archived(tmp_path / archive, files_of(folder))
    whole = (tmp_path / archive).read_bytes()
    (tmp_path / archive).write_bytes(whole[: int(0.6 * len(whole))])
    with pytest.raises(InputError, match=r"is damaged at byte .* some of its files are missing"):
        list_images(str(tmp_path / archive))


def test_a_file_of_matlab_in_an_archive_without_images_is_named(tmp_path):
    out = io.BytesIO()
    savemat(out, {"labels": np.arange(1, 9)})
    archived(tmp_path / "a.tar.gz", {"top/x.mat": out.getvalue()})
    with pytest.raises(InputError, match=r"top/x\.mat in .*a\.tar\.gz holds no array of images"):
        list_images(str(tmp_path / "a.tar.gz"))


@settings(max_examples=90, deadline=None)
@given(
    st.sampled_from([None, "a.tar", "a.tar.gz", "a.zip"]),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 700), st.binary(min_size=1, max_size=5)), max_size=4),
    st.integers(0, 300),
)
def test_any_damage_is_a_listing_or_a_sentence(tmp_path_factory, archive, compress, changes, cut):
    path = tmp_path_factory.mktemp("m") / "train_32x32.mat"
    out = io.BytesIO()
    arrays = {"X": np.zeros((4, 3, 3, 5), np.uint8), "y": np.arange(1, 6)}
    savemat(out, arrays, do_compression=compress)
    content = out.getvalue()
    if archive is not None:
        archived(path.parent / archive, {path.name: content})
        path = path.parent / archive
        content = path.read_bytes()
    data = bytearray(content)
    for at, piece in changes:
        data[at : at + len(piece)] = piece
    path.write_bytes(data[: max(130, len(data) - cut)])
    message = ""
    try:
        spooled(list_images(str(path), format="mat"))
    except (InputError, BadImageError) as error:
        message = str(error)
    assert len(message.splitlines()) <= 1
