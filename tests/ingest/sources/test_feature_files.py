"""Features as other programs write them, against the arrays that were written."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vitctl.errors import InputError, NotFoundError, VitctlError
from vitctl.ingest.sources.feature_files import read_features

RNG = np.random.default_rng(0)
X, TX = RNG.normal(size=(20, 6)).astype(np.float32), RNG.normal(size=(9, 6)).astype(np.float32)
Y, TY = RNG.integers(0, 3, 20), RNG.integers(0, 3, 9)
NAMES = np.array(["ant", "bee", "cat"])


def one_npz(folder: Path, **arrays: Any) -> Path:
    path = folder / "vectors.npz"
    np.savez(path, **arrays)
    return path


def by_split(folder: Path) -> Path:
    return one_npz(folder, train_features=X, train_labels=Y, test_features=TX, test_labels=TY)


def keras_like(folder: Path) -> Path:
    return one_npz(folder, x_train=X, y_train=Y[:, None], x_test=TX, y_test=TY[:, None])


def with_split_column(folder: Path) -> Path:
    split = np.array(["train"] * 20 + ["Testing"] * 9)
    return one_npz(folder, embeddings=np.r_[X, TX], targets=np.r_[Y, TY], split=split)


def wide_types(folder: Path) -> Path:
    return one_npz(
        folder,
        train_features=X.astype(np.float64),
        train_labels=Y.astype(np.float32),
        test_features=TX.astype(np.float64),
        test_labels=TY.astype(np.uint8),
    )


def file_a_split(folder: Path) -> Path:
    np.savez(folder / "train.npz", features=X, labels=NAMES[Y])
    np.savez(folder / "test.npz", features=TX, labels=NAMES[TY])
    return folder


def npy_pairs(folder: Path) -> Path:
    for name, array in {"X_train": X, "y_train": Y, "X_test": TX, "y_test": TY}.items():
        np.save(folder / f"{name}.npy", array)
    return folder


def parquet(folder: Path) -> Path:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    table = pa.table(
        {
            "image_id": list(range(29)),
            "embedding": [row.tolist() for row in np.r_[X, TX]],
            "label": pa.array(NAMES[np.r_[Y, TY]].tolist()).dictionary_encode(),
            "split": ["train"] * 20 + ["test"] * 9,
        }
    )
    path = folder / "table.parquet"
    pq.write_table(table, path, row_group_size=7)
    return path


FORMS = (by_split, keras_like, with_split_column, wide_types, file_a_split, npy_pairs, parquet)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_holds_the_same_arrays(form: Callable[[Path], Path], tmp_path):
    table = read_features(form(tmp_path))
    assert list(table.splits) == ["train", "test"]
    for split, x, y in (("train", X, Y), ("test", TX, TY)):
        rows, labels = table.splits[split]
        np.testing.assert_array_equal(rows, x)
        assert rows.dtype == np.float32
        names = np.array(table.classes)[labels[:, 0]]
        np.testing.assert_array_equal(
            names, NAMES[y] if table.classes[0] == "ant" else y.astype(str)
        )


def test_what_was_taken_for_what_is_said(tmp_path):
    assert read_features(by_split(tmp_path)).reading == (
        "train: 20 rows of vectors.npz:train_features and vectors.npz:train_labels; "
        "test: 9 rows of vectors.npz:test_features and vectors.npz:test_labels; 3 classes"
    )


def test_the_digest_is_of_the_contents(tmp_path):
    path = by_split(tmp_path)
    before = read_features(path).sha256
    assert read_features(path.rename(tmp_path / "other.npz")).sha256 == before
    one_npz(tmp_path, train_features=X + 1, train_labels=Y, test_features=TX, test_labels=TY)
    assert read_features(path).sha256 != before


def test_class_names_belong_to_numbers(tmp_path):
    arrays = {"train_features": X, "train_labels": Y, "test_features": TX, "test_labels": TY}
    table = read_features(one_npz(tmp_path, **arrays, class_names=NAMES))
    assert table.classes == ("ant", "bee", "cat")
    with pytest.raises(InputError, match="labels 0 to 2, and 2 names"):
        read_features(one_npz(tmp_path, **arrays, class_names=NAMES[:2]))


def changed(**arrays: Any) -> dict[str, Any]:
    given = {"train_features": X, "train_labels": Y, "test_features": TX, "test_labels": TY}
    return {name: array for name, array in {**given, **arrays}.items() if array is not None}


def with_nan() -> np.ndarray:
    x = X.copy()
    x[7, 3] = np.nan
    return x


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"train_features": with_nan()}, "not finite in 1 of 20 rows, first in row 7"),
        ({"train_labels": Y[:-1]}, "has 20 train features and 19 labels"),
        ({"train_features": X[:, :4]}, "different widths: train 4, test 6"),
        ({"train_features": X[:, :, None]}, r"the shape \[20, 6, 1\]"),
        ({"train_labels": NAMES[Y]}, "labels that are text and labels that are numbers"),
        ({"train_labels": np.eye(3)[Y]}, r"labels of train have the shape \[20, 3\]"),
        ({"train_labels": Y + 0.5}, "labels of train are float64"),
        ({"train_embeddings": X}, "both vectors.npz:train_features and vectors.npz:train_emb"),
        ({"test_labels": None}, "don't pair up"),
        ({"train_labels": Y.astype(object)}, "Python objects"),
        ({"test_features": TX[:0], "test_labels": TY[:0]}, "a split without rows"),
        ({"train_features": X.astype(str)}, "features of train are <U"),
    ],
)
def test_what_is_wrong_is_said(arrays, sentence, tmp_path):
    path = tmp_path / "vectors.npz"
    np.savez(path, allow_pickle=True, **changed(**arrays))
    with pytest.raises(InputError, match=sentence):
        read_features(path)


def test_rows_of_no_split_are_refused(tmp_path):
    with pytest.raises(InputError, match="which rows are learned from"):
        read_features(one_npz(tmp_path, features=X, labels=Y))


def test_files_that_hold_none(tmp_path):
    with pytest.raises(NotFoundError):
        read_features(tmp_path / "missing.npz")
    with pytest.raises(InputError, match="holds no features"):
        read_features(tmp_path)
    np.save(tmp_path / "alone.npy", X)
    with pytest.raises(InputError, match="one array"):
        read_features(tmp_path / "alone.npy")
    np.savez(tmp_path / "beside.npz", X)
    with pytest.raises(InputError, match=r"as \.npy, \.npz"):
        read_features(tmp_path)


@pytest.mark.parametrize("form", [by_split, parquet])
def test_damaged_bytes_end_in_a_sentence(form: Callable[[Path], Path], tmp_path):
    path = form(tmp_path)
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(120):
        content = bytearray(whole)
        for at in rng.integers(0, len(whole), rng.integers(1, 4)):
            content[at] ^= 1 << rng.integers(0, 8)
        path.write_bytes(
            content[: rng.integers(1, len(whole) + 1)] if rng.random() < 0.3 else content
        )
        with suppress(VitctlError):
            read_features(path)
