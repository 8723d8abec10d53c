"""IDX, CIFAR's binary files and npz, written out here as their pages describe them."""

from __future__ import annotations

import gzip
import io
import pickle
import re
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.ingest.trees.test_folder import label_file
from tests.ingest.trees.test_tar import rows, spooled
from vitctl.errors import InputError
from vitctl.events import silent
from vitctl.ingest.listing import read
from vitctl.ingest.reading import seekable
from vitctl.ingest.reading.spool import at_random
from vitctl.ingest.sources.array_files import files_of_folder
from vitctl.ingest.sources.formats import list_images
from vitctl.pixels.header import BadImageError
from vitctl.places.scratch import scratch

RNG = np.random.default_rng(0)


def pixels_of(listing):
    """id -> pixels, decoded by Pillow."""
    return {id_: np.asarray(Image.open(io.BytesIO(data))) for id_, data in spooled(listing).items()}


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def mnist(folder, *, compress=True, **counts):
    """Files named as MNIST's; the arrays by split."""
    arrays = {}
    for split, n in counts.items():
        images = RNG.integers(0, 256, (n, 5, 4), np.uint8)
        labels = RNG.integers(0, 10, n).astype(np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            data = idx(array)
            path = folder / f"{split}-{kind}-ubyte{'.gz' * compress}"
            path.write_bytes(gzip.compress(data) if compress else data)
        arrays[split] = (images, labels)
    return arrays


@pytest.mark.parametrize("compress", [True, False])
def test_idx(tmp_path, compress):
    arrays = mnist(tmp_path, compress=compress, train=20, t10k=8)
    listing = list_images(str(tmp_path / "*ubyte*"))
    assert {entry.split for entry in listing.entries} == {"train", "test"}
    pixels = pixels_of(listing)
    for name, split in (("train", "train"), ("t10k", "test")):
        images, labels = arrays[name]
        own = [entry for entry in listing.entries if entry.split == split]
        assert [listing.class_names(entry) for entry in own] == [(str(n),) for n in labels]
        for i, entry in enumerate(own):
            assert np.array_equal(pixels[entry.id], images[i])
    assert "IDX: 8 images of 5 x 4 x 1; 20 images of" in listing.reading
    own = list_images(str(tmp_path / "train-images*"), unlabelled=True)
    assert len(own.entries) == 20
    with pytest.raises(InputError, match=r"labels of .* are not among"):
        list_images(str(tmp_path / "train-images*"))
    labels = label_file(tmp_path / "l", [(own.entries[3].id, ["a"]), (own.entries[4].id, ["b"])])
    assert list_images(str(tmp_path / "train-images*"), labels=labels).classes == ["a", "b"]


def test_idx_that_does_not_fit(tmp_path):
    images = idx(RNG.integers(0, 256, (9, 4, 4), np.uint8))
    (tmp_path / "train-images-idx3-ubyte").write_bytes(images[:-40])
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(6, np.uint8)))
    listing = list_images(str(tmp_path / "*ubyte"))
    assert len(listing.entries) == 6
    assert "should hold 9 images and ends after 6" in listing.cautions[0]
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(5, np.uint8)))
    with pytest.raises(InputError, match=r"5 labels, and .* 6"):
        list_images(str(tmp_path / "*ubyte"))
    (tmp_path / "claims").write_bytes(struct.pack(">HBB3I", 0, 8, 3, 2**31, 2**16, 2**16))
    with pytest.raises(InputError, match="no image"):
        list_images(str(tmp_path / "claims"), unlabelled=True)


def cifar(images, *labels):
    """Pixels N x 32 x 32 x 3 in CIFAR's order: all red of an image first."""
    planes = images.transpose(0, 3, 1, 2)
    return b"".join(bytes(ls) + image.tobytes() for *ls, image in zip(*labels, planes, strict=True))


def test_cifar_10(tmp_path):
    images = RNG.integers(0, 256, (6, 32, 32, 3), np.uint8)
    labels = [3, 0, 9, 3, 1, 0]
    (tmp_path / "data_batch_1.bin").write_bytes(cifar(images[:4], labels[:4]))
    (tmp_path / "test_batch.bin").write_bytes(cifar(images[4:], labels[4:]))
    listing = list_images(str(tmp_path / "*.bin"))
    assert [(row[0], row[2], row[3]) for row in rows(listing)] == [
        *((f"test_batch/{i:06d}", "test", (str(labels[4 + i]),)) for i in range(2)),
        *((f"train_1/{i:06d}", "train", (str(labels[i]),)) for i in range(4)),
    ]
    for id_, pixels in pixels_of(listing).items():
        first = 4 if id_.startswith("test") else 0
        assert np.array_equal(pixels, images[first + int(id_[-6:])])
    names = [f"class {i}" for i in range(10)]
    (tmp_path / "batches.meta.txt").write_text("\n".join(names) + "\n\n")
    named = list_images(str(tmp_path / "*.bin"))
    assert named.classes == ["class 0", "class 1", "class 3", "class 9"]


def test_cifar_100_has_fine_labels(tmp_path):
    images = RNG.integers(0, 256, (3, 32, 32, 3), np.uint8)
    (tmp_path / "train.bin").write_bytes(cifar(images, [1, 19, 0], [99, 20, 5]))
    listing = list_images(str(tmp_path / "train.bin"))
    assert [row[3] for row in rows(listing)] == [("99",), ("20",), ("5",)]
    assert "CIFAR-100 (fine labels)" in listing.reading
    (tmp_path / "data_batch_1.bin").write_bytes(cifar(images, [1, 2, 3]))
    with pytest.raises(InputError, match="not all of CIFAR-10 or all of CIFAR-100"):
        list_images(str(tmp_path / "*.bin"))


@pytest.mark.parametrize(
    ("shape", "size"),
    [((4, 3), "4 x 3 x 1"), ((4, 5, 3), "4 x 5 x 3"), ((3, 5, 6), "5 x 6 x 3")],
)
@pytest.mark.parametrize("names", ["x_{0} y_{0}", "{0}_images {0}_labels"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(tmp_path, shape, size, names, save):
    arrays, expected = {}, {}
    for split, n in (("train", 5), ("val", 2)):
        images, labels = names.format(split).split()
        arrays[images] = RNG.integers(0, 256, (n, *shape), np.uint8)
        arrays[labels] = np.arange(n).reshape(-1, 1)
        for i, image in enumerate(arrays[images]):
            expected[f"{split}/{i:06d}"] = image.transpose(1, 2, 0) if shape == (3, 5, 6) else image
    save(tmp_path / "x.npz", **arrays)
    listing = list_images(str(tmp_path / "x.npz"))
    assert {row[0]: row[2] for row in rows(listing)} == {id_: id_.split("/")[0] for id_ in expected}
    assert all(row[3] == (str(int(row[0][-6:])),) for row in rows(listing))
    for id_, pixels in pixels_of(listing).items():
        assert np.array_equal(pixels, expected[id_])
    assert f"5 images of {size}" in listing.reading


def test_npz_that_does_not_fit(tmp_path):
    images, path = RNG.integers(0, 256, (3, 4, 4), np.uint8), str(tmp_path / "x.npz")
    np.savez(path, x_train=images)
    with pytest.raises(InputError, match="no array of labels for x_train"):
        list_images(path)
    assert len(list_images(path, unlabelled=True).entries) == 3
    np.savez(path, x_train=images, y_train=np.arange(4))
    with pytest.raises(InputError, match="there are 3 images"):
        list_images(path)
    np.savez(path, x_train=images / 255, y_train=np.arange(3))
    with pytest.raises(InputError, match="float64 of 3 x 4 x 4") as caught:
        list_images(path)
    assert "uint8" in caught.value.hint
    np.savez(path, text=np.array(["a"]))
    with pytest.raises(InputError, match="no array of images"):
        list_images(path)


class Evil:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was run",))


def test_pickles_are_refused_with_a_way(tmp_path):
    np.savez(tmp_path / "x.npz", x_train=np.array([[[Evil()]]], object), y_train=np.arange(1))
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps({b"data": Evil()}))
    for name in ("x.npz", "data_batch_1"):
        with pytest.raises(InputError, match="pickle, which can run any code") as caught:
            list_images(str(tmp_path / name))
        assert "numpy.savez" in caught.value.hint


def test_headers_that_claim_more_than_their_file(tmp_path):
    header = np.lib.format.header_data_from_array_1_0(np.zeros((1, 4, 4, 3), np.uint8))
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {**header, "shape": (10**9, 4, 4, 3)})
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", out.getvalue() + bytes(48))
        archive.writestr("y.npy", out.getvalue())
    with pytest.raises(InputError, match="claims more than its file can hold"):
        list_images(str(tmp_path / "x.npz"))


def sources(tmp_path):
    """(files, pattern) of each format."""
    images = RNG.integers(0, 256, (3, 32, 32, 3), np.uint8)
    out = io.BytesIO()
    np.savez(out, x_train=images, y_train=np.arange(3))
    gray = images[..., 0]
    return {
        "idx": ({"images": idx(gray), "labels": idx(np.arange(3, dtype=np.uint8))}, "*s"),
        "cifar": ({"train.bin": cifar(images, [0, 1, 2])}, "train.bin"),
        "npz": ({"x.npz": out.getvalue()}, "x.npz"),
    }


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(["idx", "cifar", "npz"]),
    st.sampled_from([None, "a.tar", "a.tar.gz", "a.zip"]),
    st.lists(st.tuples(st.integers(0, 400), st.binary(min_size=1, max_size=5)), max_size=4),
    st.integers(0, 9000),
)
def test_any_damage_is_a_listing_or_a_sentence(tmp_path_factory, format_, archive, changes, cut):
    folder = tmp_path_factory.mktemp("a")
    files, pattern = sources(folder)[format_]
    if archive is not None:
        archived(folder / archive, files)
        files, pattern = {archive: (folder / archive).read_bytes()}, archive
    for name, content in files.items():
        data = bytearray(content)
        for at, piece in changes:
            data[at : at + len(piece)] = piece
        (folder / name).write_bytes(data[: max(40, len(data) - cut)])
    try:
        listing = list_images(str(folder / pattern), format=format_)
        spooled(listing)
    except (InputError, BadImageError):  # of a source, or of one image
        pass


def archived(path, files):
    """The files of a mapping of names in a tar or a zip."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def listings_of(tmp_path, archive, write):
    """Of the folder that `write` fills, and of an archive of it; images and classes are equal."""
    folder = tmp_path / "folder"
    folder.mkdir()
    write(folder)
    archived(tmp_path / archive, files_of(folder))
    expected, listing = (list_images(str(tmp_path / name)) for name in ("folder", archive))
    assert rows(listing) == rows(expected)
    assert listing.classes == expected.classes
    packed, plain = pixels_of(listing), pixels_of(expected)
    assert packed.keys() == plain.keys()
    assert all(np.array_equal(packed[id_], plain[id_]) for id_ in plain)
    return expected, listing


def files_of(folder):
    return {
        f"top/{path.relative_to(folder)}": path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def cifar_10_files(folder):
    images = RNG.integers(0, 256, (7, 32, 32, 3), np.uint8)
    labels = [3, 0, 9, 3, 1, 0, 2]
    (folder / "data_batch_1.bin").write_bytes(cifar(images[:3], labels[:3]))
    (folder / "data_batch_2.bin").write_bytes(cifar(images[3:5], labels[3:5]))
    (folder / "test_batch.bin").write_bytes(cifar(images[5:], labels[5:]))
    (folder / "batches.meta.txt").write_text("\n".join(f"class {i}" for i in range(10)) + "\n\n")
    (folder / "readme.html").write_text("<html>")


def cifar_100_files(folder):
    images = RNG.integers(0, 256, (3, 32, 32, 3), np.uint8)
    (folder / "train.bin").write_bytes(cifar(images[:2], [1, 19], [99, 20]))
    (folder / "test.bin").write_bytes(cifar(images[2:], [0], [5]))
    (folder / "fine_label_names.txt").write_text("\n".join(f"fine {i}" for i in range(100)))
    (folder / "coarse_label_names.txt").write_text("\n".join(f"coarse {i}" for i in range(20)))


def stl_10_files(folder):
    images = RNG.integers(0, 256, (3, 27648), np.uint8)
    (folder / "train_X.bin").write_bytes(images[:2].tobytes())
    (folder / "train_y.bin").write_bytes(b"\1\12")
    (folder / "test_X.bin").write_bytes(images[2:].tobytes())
    (folder / "test_y.bin").write_bytes(b"\2")
    (folder / "class_names.txt").write_text("\n".join("abcdefghij"))


def mnist_files(folder):
    mnist(folder, train=6, t10k=3)


def npz_files(folder):
    """Splits as arrays of one file, as Keras has them."""
    arrays = {}
    for split, n in (("train", 6), ("test", 3)):
        arrays[f"x_{split}"] = RNG.integers(0, 256, (n, 32, 32, 3), np.uint8)
        arrays[f"y_{split}"] = RNG.integers(0, 10, n)
    np.savez_compressed(folder / "set.npz", **arrays)


def npz_of_splits(folder):
    """A file a split."""
    for split, n in (("train", 3), ("val", 8)):
        images, labels = RNG.integers(0, 256, (n, 60, 50), np.uint8), RNG.integers(0, 10, n)
        np.savez(folder / f"{split}.npz", images=images, labels=labels)


ARRAY_FILES = [
    *(cifar_10_files, cifar_100_files, stl_10_files, mnist_files),
    *(npz_files, npz_of_splits),
]


@pytest.mark.parametrize("archive", ["a.tar.gz", "a.tar", "a.zip"])
@pytest.mark.parametrize("write", ARRAY_FILES)
def test_arrays_in_an_archive_are_those_of_the_folder(tmp_path, archive, write):
    listings_of(tmp_path, archive, write)


def test_arrays_in_a_folder_in_the_folder(tmp_path):
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    mnist(tmp_path / "MNIST" / "raw", train=6, t10k=3)
    mnist_rows = rows(list_images(str(tmp_path / "MNIST" / "raw")))
    assert rows(list_images(str(tmp_path / "MNIST"))) == mnist_rows


def test_the_same_array_twice_is_read_once(tmp_path):
    """As Kaggle packs MNIST: every file, and a folder with the file."""
    mnist(tmp_path, compress=False, train=6, t10k=3)
    files = {}
    for path in sorted(tmp_path.iterdir()):
        dotted = path.name.replace("-idx", ".idx")
        files |= {dotted: path.read_bytes(), f"{path.name}/{path.name}": path.read_bytes()}
    archived(tmp_path / "archive.zip", files)
    listing = list_images(str(tmp_path / "archive.zip"))
    assert len(listing.entries) == 9
    assert "holds the same (4 such files)" in listing.notes[-1]


def test_a_compressed_npz_is_copied_once_for_all_its_arrays(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    npz_files(tmp_path / "folder")
    archived(tmp_path / "a.zip", files_of(tmp_path / "folder"))
    listing = list_images(str(tmp_path / "a.zip"))
    copies = []

    def counted(*arguments, **named):
        copies.append(arguments)
        return scratch(*arguments, **named)

    monkeypatch.setattr(seekable, "scratch", counted)
    with listing.source.reader() as reader:
        for entry in listing.entries:
            read(reader, entry)
    assert {entry.split for entry in listing.entries} == {"train", "test"}
    assert len(copies) == 1


@pytest.mark.parametrize("archive", ["a.tar.gz", "a.tar", "a.zip"])
def test_an_npz_in_an_archive_that_does_not_fit_is_named(tmp_path, archive):
    images = RNG.integers(0, 256, (3, 4, 4), np.uint8)
    for arrays, message in (
        ({"x_train": images}, "has no array of labels for x_train"),
        ({"x_train": images, "y_train": np.arange(4)}, "there are 3 images"),
        ({"x_train": np.array([[[Evil()]]], object), "y_train": np.arange(1)}, "is a pickle"),
    ):
        out = io.BytesIO()
        np.savez(out, **arrays)
        archived(tmp_path / archive, {"top/x.npz": out.getvalue()})
        with pytest.raises(InputError, match=rf"top/x\.npz in .*{archive}.* {message}"):
            list_images(str(tmp_path / archive))
    archived(tmp_path / archive, {"top/x.npz": out.getvalue()[:-40]})
    with pytest.raises(InputError, match=rf"top/x\.npz in .*{archive} can't be read"):
        list_images(str(tmp_path / archive))


def test_the_format_of_npz_in_an_archive_can_be_named(tmp_path):
    (tmp_path / "folder").mkdir()
    npz_files(tmp_path / "folder")
    archived(tmp_path / "a.tar", files_of(tmp_path / "folder"))
    named, plain = (list_images(str(tmp_path / "a.tar"), format=f) for f in ("npz", None))
    assert rows(named) == rows(plain)


def test_pickles_in_an_archive_are_named(tmp_path):
    """`cifar-10-python.tar.gz`."""
    data = pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, 2]})
    archived(tmp_path / "a.tar.gz", {"top/data_batch_1": data, "top/batches.meta": data})
    with pytest.raises(InputError, match="Python pickle") as error:
        list_images(str(tmp_path / "a.tar.gz"))
    assert "binary version" in error.value.hint


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
@pytest.mark.parametrize("write", [cifar_10_files, npz_of_splits])
def test_an_archive_of_arrays_that_breaks_off_is_refused(tmp_path, name, write):
    """Else a batch or a split would be missing without a word."""
    folder = tmp_path / "folder"
    folder.mkdir()
    write(folder)
    archived(tmp_path / name, files_of(folder))
    whole = (tmp_path / name).read_bytes()
    for share in (0.4, 0.6, 0.8):
        (tmp_path / name).write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(
            InputError, match=r"is damaged at byte .* some of its files are missing"
        ):
            list_images(str(tmp_path / name))


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is an empty file"),
        (b"<html>404</html>", "it is"),
        (b"\1\2\xff" * 9, "something else"),
    ],
)
@pytest.mark.parametrize("write", [cifar_10_files, mnist_files])
def test_a_file_that_is_none_of_its_set_is_no_litter(tmp_path, packed, data, reason, write):
    """Its split would be missing, and `val` be drawn from what is left."""
    folder = tmp_path / "folder"
    folder.mkdir()
    write(folder)
    last = sorted(path for path in folder.iterdir() if path.suffix in (".bin", ".gz"))[0]
    last.write_bytes(data)
    source = folder
    if packed:
        source = tmp_path / "a.tar"
        archived(source, files_of(folder))
    with pytest.raises(InputError, match=f"{last.name}.* can't be read as one of them: .*{reason}"):
        list_images(str(source))


@pytest.mark.parametrize("write", [cifar_10_files, stl_10_files, mnist_files, npz_files])
def test_two_sets_in_a_folder_are_not_made_one(tmp_path, write):
    """As torchvision's `data/MNIST/raw` and `data/FashionMNIST/raw`."""
    for name in ("MNIST", "FashionMNIST"):
        (tmp_path / "two" / name).mkdir(parents=True)
        write(tmp_path / "two" / name)
    archived(tmp_path / "two.zip", files_of(tmp_path / "two"))
    for source in ("two", "two.zip"):
        with pytest.raises(InputError, match="have one name and hold different things"):
            list_images(str(tmp_path / source))


def test_the_same_array_compressed_elsewhere_is_read_once(tmp_path):
    mnist(tmp_path, train=6, t10k=3)
    (tmp_path / "raw").mkdir()
    for path in tmp_path.glob("*.gz"):
        (tmp_path / "raw" / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    listing = list_images(str(tmp_path))
    assert len(listing.entries) == 9
    assert ".gz is not read, since" in listing.notes[-1]


def test_a_damaged_array_that_lies_there_twice_is_a_sentence(tmp_path):
    mnist(tmp_path, train=600)
    (tmp_path / "raw").mkdir()
    for path in list(tmp_path.glob("*.gz")):
        path.write_bytes(path.read_bytes()[:-30])
        (tmp_path / "raw" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(InputError, match=r"break off|garbled"):
        list_images(str(tmp_path))


def test_links_to_folders_of_arrays_are_followed(tmp_path):
    (tmp_path / "MNIST").mkdir()
    mnist(tmp_path / "MNIST", train=6, t10k=3)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link").symlink_to(tmp_path / "MNIST")
    assert len(list_images(str(tmp_path / "data")).entries) == 9
    (tmp_path / "MNIST" / "circle").symlink_to(tmp_path / "MNIST")
    assert files_of_folder(str(tmp_path / "data")) is None


@pytest.mark.parametrize("write", [stl_10_files, mnist_files])
def test_labels_without_their_images_are_said(tmp_path, write):
    write(tmp_path)
    for path in tmp_path.iterdir():
        if path.name.startswith(("test_X", "t10k-images")):
            path.unlink()
    listing = list_images(str(tmp_path))
    assert {entry.split for entry in listing.entries} == {"train"}
    assert "holds labels of images that are not among" in listing.cautions[0]


def test_the_format_of_arrays_in_an_archive_can_be_named(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    cifar_10_files(folder)
    archived(tmp_path / "a.tar", files_of(folder))
    assert len(list_images(str(tmp_path / "a.tar"), format="cifar").entries) == 7


def test_several_sets_of_idx_files_are_said(tmp_path):
    """As EMNIST's archive of six."""
    for name in ("emnist-letters", "emnist-digits"):
        folder = tmp_path / name
        folder.mkdir()
        mnist(folder, train=3)
        for path in folder.iterdir():
            path.rename(tmp_path / f"{name}-{path.name}")
        folder.rmdir()
    listing = list_images(str(tmp_path))
    assert "files of 2 sets (emnist-digits, emnist-letters)" in listing.cautions[0]
    assert "rows and columns exchanged" in listing.notes[0]
    one = list_images(str(tmp_path / "emnist-letters*"))
    assert not one.cautions
    assert len(one.entries) == 3


def with_a_wrong_checksum(path, ending):
    """The zip, as if a bit of a member had changed on the disk after it was written; its name."""
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = next(info for info in archive.infolist() if info.filename.endswith(ending))
    member = info.filename
    wrong = struct.pack("<I", info.CRC ^ 1)
    for magic, at, name in ((b"PK\3\4", 14, 30), (b"PK\1\2", 16, 46)):
        header = next(
            match.start()
            for match in re.finditer(re.escape(magic), bytes(data))
            if data[match.start() + name :].startswith(member.encode())
        )
        data[header + at : header + at + 4] = wrong
    path.write_bytes(data)
    return member


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "x_train.npy"])
def test_images_of_an_array_whose_checksum_is_wrong_are_bad_by_name(tmp_path, name):
    """Not "an empty file", which a person would look for."""
    source = tmp_path / "set.zip"
    images = RNG.integers(0, 256, (9, 300, 300), np.uint8)  # more than is read to recognise it
    if name.endswith(".npy"):
        source = source.with_suffix(".npz")
        np.savez(source, x_train=images, y_train=np.arange(9))
    else:
        labels = idx(np.arange(9, dtype=np.uint8))
        archived(source, {name: idx(images), "train-labels-idx1-ubyte": labels})
    with_a_wrong_checksum(source, name)
    listing = list_images(str(source))
    with (
        at_random(listing.source, [listing.entries], largest=10**6, emit=silent) as readable,
        readable.reader() as reader,
    ):
        reasons = []
        for entry in listing.entries:
            try:
                read(reader, entry)
            except BadImageError as error:
                reasons.append(str(error))
    assert reasons
    for reason in reasons:
        assert re.search(r"the images .* of .*set\.(zip|npz) are damaged: ", reason)


@pytest.mark.parametrize(
    ("write", "ending"), [(cifar_10_files, "data_batch_1.bin"), (npz_files, "set.npz")]
)
def test_the_file_of_an_archive_whose_checksum_is_wrong_is_named(tmp_path, write, ending):
    folder = tmp_path / "folder"
    folder.mkdir()
    write(folder)
    source = tmp_path / "set.zip"
    archived(source, files_of(folder))
    member = with_a_wrong_checksum(source, ending)
    with pytest.raises(InputError, match=rf"{member} in .*set\.zip .*checksum in the archive"):
        list_images(str(source))
