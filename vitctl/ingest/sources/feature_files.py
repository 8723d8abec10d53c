"""Features that other programs computed, with their labels: npz, npy or Parquet, read whole.

    features.npz      train_features, train_labels, test_features, test_labels (or x_train, ...);
                      or features, labels and split; class_names where labels are numbers
    DIR/train.npz     features, labels: one file a split
    DIR/*.npy         train_features.npy, train_labels.npy, test_features.npy, ...
    features.parquet  a column of lists of numbers, one of labels, one of splits; or a file a split

Which array is what is taken from its name, and said. Pickles are refused: they can run code.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitctl.data.dataset import SPLITS
from vitctl.errors import DoesNotFitError, InputError, NotFoundError
from vitctl.feature_sets.foreign import ForeignFeatures
from vitctl.hardware.machine import host_bytes
from vitctl.ingest.folder_layout import split_named
from vitctl.ingest.sources.arrow_table import pyarrow_missing
from vitctl.text.quoting import one_line, quoted

_FEATURES = (
    *("features", "feature", "feats", "embeddings", "embedding", "embeds", "emb", "vectors"),
    *("representations", "prelogits", "x"),
)
_LABELS = ("labels", "label", "targets", "target", "classes", "y")
_CLASS_NAMES = ("classnames", "labelnames")
_SPLIT = ("split", "splits")
_SUFFIXES = (".npz", ".npy", ".parquet")
_SHOWN = 6
_NO_LABELS = "no labels"
_FORMS = (
    "an npz with train_features, train_labels, test_features and test_labels; a folder of "
    "train.npz and test.npz (or Parquet) with features and labels; or Parquet with columns "
    "features, label and split"
)


@dataclass
class _Arrays:
    """Arrays by split (None: of all), and the names that they had."""

    features: dict[str | None, tuple[str, NDArray[Any]]]
    labels: dict[str | None, tuple[str, NDArray[Any]]]
    splits: NDArray[Any] | None = None
    class_names: NDArray[Any] | None = None


def read_features(path: Path, *, labelled: bool = True) -> ForeignFeatures:
    """The features in a file or a folder of files. Unless `labelled`, labels may be missing, and
    are not read: there are no classes then, and one array of no split is of `train`.

    Raises NotFoundError where there are none, InputError for what can't be read or understood.
    """
    files = _files(path, labelled=labelled)
    arrays = _Arrays({}, {})
    for file in files:
        # One file a split is named by it; of one file alone the name says nothing.
        split = _split_in(file.stem) if len(files) > 1 else None
        for name, array in _arrays(file):
            _put(arrays, name, array, file=file, split=split)
    if not labelled:
        _without_labels(arrays)
    splits = _by_split(arrays, path)
    classes, labels = _numbered(
        {split: y for split, (_, y) in splits.items()}, arrays.class_names, path
    )
    if not labelled:
        classes, labels = (), {split: np.full_like(y, -1) for split, y in labels.items()}
    rows = {split: _checked(x, split=split, path=path) for split, (x, _) in splits.items()}
    widths = {x.shape[1] for x in rows.values()}
    if len(widths) > 1:
        raise InputError(
            f"{path} has features of different widths: "
            + ", ".join(f"{split} {x.shape[1]:,}" for split, x in rows.items())
        )
    reading = "; ".join(
        f"{split}: {len(rows[split]):,} rows of {names}"
        for split, names in _names(arrays, splits).items()
    )
    if labelled:
        reading += f"; {len(classes):,} classes"
    return ForeignFeatures(
        name=path.stem if path.is_file() else path.resolve().name,
        sha256=_digest(files),
        reading=reading,
        classes=classes,
        splits={split: (rows[split], labels[split]) for split in rows},
    )


def _without_labels(arrays: _Arrays) -> None:
    """One label for all rows, and of a single array the split that is trained on."""
    if arrays.splits is None and None in arrays.features and len(arrays.features) == 1:
        arrays.features = {"train": arrays.features[None]}
    arrays.labels = {
        split: (_NO_LABELS, np.zeros(len(x) if x.ndim else 0, np.int32))
        for split, (_, x) in arrays.features.items()
    }
    arrays.class_names = None


def _files(path: Path, *, labelled: bool = True) -> list[Path]:
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix in _SUFFIXES and p.is_file())
        kinds = {file.suffix for file in files}
        if len(kinds) > 1:
            raise InputError(
                f"{path} has features as {', '.join(sorted(kinds))}: which of them is not clear",
                hint="name one file, or keep one kind in the folder",
            )
    elif path.is_file():
        files = [path]
    else:
        raise NotFoundError(f"there are no features at {path}", hint=f"what can be read: {_FORMS}")
    if labelled and [file.suffix for file in files] == [".npy"]:
        raise InputError(
            f"{files[0]} is one array, and a probe needs features and labels of two splits",
            hint=f"what can be read: {_FORMS}",
        )
    if not files or files[0].suffix not in _SUFFIXES:
        raise InputError(
            f"{path} holds no features that can be read (.npz, .npy or .parquet)",
            hint=f"what can be read: {_FORMS}",
        )
    return files


def _arrays(file: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays of a file by name; an npy is called after its file."""
    try:
        if file.suffix == ".parquet":
            yield from _columns(file)
        elif file.suffix == ".npy":
            _check_room(file, file.stat().st_size)
            yield file.stem, np.load(file, allow_pickle=False)
        else:
            with zipfile.ZipFile(file) as archive:
                _check_room(file, sum(member.file_size for member in archive.infolist()))
            with np.load(file, allow_pickle=False) as archive:
                for name in archive.files:
                    yield name, archive[name]
    except (InputError, DoesNotFitError, NotFoundError):
        raise
    except Exception as error:  # zipfile and numpy raise what the bytes make them raise
        if "pickle" in str(error):
            raise InputError(
                f"{file} holds Python objects, which are not read: they can run code",
                hint="save plain arrays: np.savez(file, train_features=x.astype('float32'), ...)",
            ) from None
        raise InputError(f"{file} can't be read ({one_line(error)})") from None


def _columns(file: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    """Columns of a Parquet file that may be features, labels or splits."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise pyarrow_missing(str(file)) from None
    table = pq.ParquetFile(file)
    groups = (table.metadata.row_group(i) for i in range(table.metadata.num_row_groups))
    _check_room(file, sum(group.total_byte_size for group in groups))
    for field in table.schema_arrow:
        nested = pa.types.is_list(field.type) or pa.types.is_large_list(field.type)
        fixed = pa.types.is_fixed_size_list(field.type)
        column = _role(field.name)[0]
        if not (nested or fixed) and column not in ("labels", "splits"):
            continue
        values = table.read(columns=[field.name]).column(0).combine_chunks()
        if isinstance(values, pa.ChunkedArray):  # of no rows
            continue
        if values.null_count:
            raise InputError(f"{file}: {values.null_count:,} rows of {field.name} are empty")
        if not (nested or fixed):
            if pa.types.is_dictionary(values.type):
                values = values.dictionary_decode()
            yield field.name, np.array(values.to_pylist())
            continue
        flat = values.flatten().to_numpy(zero_copy_only=False)
        if column == "labels" or not np.issubdtype(flat.dtype, np.number):
            raise InputError(
                f"{file}: column {field.name} has a list a row, of {field.type.value_type}",
                hint="expected a list of numbers for features and one label a row",
            )
        if len(values) == 0 or len(flat) % len(values) or not _even(values, fixed=fixed):
            raise InputError(f"{file}: the lists of column {field.name} have different lengths")
        name = field.name if column == "features" else f"features {field.name}"
        yield name, flat.reshape(len(values), -1)


def _even(values: Any, *, fixed: bool) -> bool:
    return fixed or len(np.unique(np.diff(values.offsets.to_numpy()))) == 1


def _check_room(file: Path, size: int) -> None:
    free = host_bytes()
    if free is not None and 2 * size > free:
        raise DoesNotFitError(
            f"{file} holds {size / 2**30:,.1f} GiB, and {free / 2**30:,.1f} GiB of memory are free",
            hint="keep the splits that are probed, as float16 or float32",
        )


def _role(name: str) -> tuple[str | None, str | None]:
    """(features, labels, splits or class names; the split in the name), by the words of a name."""
    parts = re.split(r"[^a-z0-9]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower())
    split = next((s for word in parts if (s := split_named(word))), None)
    rest = [word for word in parts if word and not split_named(word)]
    joined = "".join(rest)
    if joined in _CLASS_NAMES:
        return "class names", split
    if joined in _SPLIT:
        return "splits", split
    for role, known in (("features", _FEATURES), ("labels", _LABELS)):
        if joined in known or (rest and (rest[0] in known or rest[-1] in known)):
            return role, split
    return None, split


def _split_in(stem: str) -> str | None:
    return _role(stem)[1]


def _put(arrays: _Arrays, name: str, array: NDArray[Any], *, file: Path, split: str | None) -> None:
    role, own = _role(name)
    shown = f"{file.name}:{name}" if file.suffix != ".npy" else file.name
    if role in ("features", "labels"):
        held = arrays.features if role == "features" else arrays.labels
        where = own or split
        if where in held:
            raise InputError(
                f"both {held[where][0]} and {shown} may be the {role}"
                + (f" of {where}" if where else ""),
                hint="keep one of them: " + _FORMS,
            )
        held[where] = shown, array
    elif role == "splits":
        arrays.splits = array
    elif role == "class names":
        arrays.class_names = array


def _by_split(arrays: _Arrays, path: Path) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """Features and labels of every split."""
    if set(arrays.features) != set(arrays.labels) or not arrays.features:
        named = [name for name, _ in [*arrays.features.values(), *arrays.labels.values()]]
        shown = ", ".join(named[:_SHOWN]) or "no array of a known name"
        raise InputError(
            f"features and labels of {path} don't pair up: {shown}",
            hint=f"what can be read: {_FORMS}",
        )
    if set(arrays.features) == {None}:
        (_, x), (_, y) = arrays.features[None], arrays.labels[None]
        if arrays.splits is None:
            raise InputError(
                f"{path} doesn't say which rows are learned from and which are scored",
                hint=f"what can be read: {_FORMS}",
            )
        names = np.array(
            [_split_of(str(word), path) for word in arrays.splits.reshape(-1).tolist()]
        )
        if not len(x) == len(y) == len(names):
            raise _uneven(path, "", x, y)
        held = (split for split in SPLITS if split in names)
        return {split: (x[names == split], y[names == split]) for split in held}
    if None in arrays.features:
        raise InputError(
            f"{path}: {arrays.features[None][0]} is of no split, the others are",
            hint="call it train_..., val_... or test_...",
        )
    pairs = {}
    for split in SPLITS:
        if split in arrays.features:
            x, y = arrays.features[split][1], arrays.labels[split][1]
            if len(x) != len(y):
                raise _uneven(path, split, x, y)
            pairs[str(split)] = x, y
    return pairs


def _split_of(word: str, path: Path) -> str:
    split = split_named(word)
    if split is None:
        raise InputError(f"{path}: {quoted(word)} is no split", hint="expected train, val or test")
    return split


def _names(arrays: _Arrays, splits: Mapping[str, Any]) -> dict[str, str]:
    def of(split: str) -> str:
        key = split if split in arrays.features else None
        labels = "" if arrays.labels[key][0] == _NO_LABELS else f" and {arrays.labels[key][0]}"
        return f"{arrays.features[key][0]}{labels}"

    return {split: of(split) for split in splits}


def _uneven(path: Path, split: str, x: NDArray[Any], y: NDArray[Any]) -> InputError:
    of = f" {split}" if split else ""
    return InputError(f"{path} has {len(x):,}{of} features and {len(y):,} labels")


def _checked(x: NDArray[Any], *, split: str, path: Path) -> NDArray[np.float32]:
    """Features as float32[n, d]."""
    if not (np.issubdtype(x.dtype, np.floating) or np.issubdtype(x.dtype, np.integer)):
        raise InputError(f"{path}: features of {split} are {x.dtype}, not numbers")
    if x.ndim != 2 or not x.shape[1]:
        raise InputError(
            f"{path}: features of {split} have the shape {list(x.shape)}",
            hint="expected [images, numbers]: pool tokens or pixels first",
        )
    with np.errstate(over="ignore"):
        rows = x.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if bad.size:
        raise InputError(
            f"{path}: features of {split} are not finite in {bad.size:,} of {len(x):,} rows, first "
            f"in row {bad[0]:,}"
        )
    return rows


def _numbered(
    labels: Mapping[str, NDArray[Any]], names: NDArray[Any] | None, path: Path
) -> tuple[tuple[str, ...], dict[str, NDArray[np.int32]]]:
    """Names of the classes, and int32[n, 1] labels of each split. Names are sorted; numbers are the
    places of `names`, or names themselves, in their order."""
    flat = {split: _flat(y, split=split, path=path) for split, y in labels.items()}
    if not all(len(y) for y in flat.values()):
        raise InputError(
            f"{path} has a split without rows: {[s for s in flat if not len(flat[s])]}"
        )
    kinds = {y.dtype.kind for y in flat.values()}
    if len(kinds & {"U", "S"}) and len(kinds) > 1:
        raise InputError(f"{path} has labels that are text and labels that are numbers")
    values = np.unique(np.concatenate(list(flat.values())))
    if names is None or values.dtype.kind not in "iu":
        classes = tuple(str(value) for value in values.tolist())
        places = {s: np.searchsorted(values, y) for s, y in flat.items()}
    else:
        classes = tuple(str(value) for value in names.reshape(-1).tolist())
        if values[0] < 0 or values[-1] >= len(classes):
            raise InputError(
                f"{path} has labels {values[0]} to {values[-1]}, and {len(classes)} names"
            )
        places = dict(flat)
    return classes, {s: y.astype(np.int32).reshape(-1, 1) for s, y in places.items()}


def _flat(y: NDArray[Any], *, split: str, path: Path) -> NDArray[Any]:
    y = y.reshape(-1) if y.ndim == 2 and y.shape[1] == 1 else y
    if y.ndim != 1:
        raise InputError(
            f"{path}: labels of {split} have the shape {list(y.shape)}",
            hint="expected one class an image, as a number or a name",
        )
    if y.dtype.kind == "f" and np.isfinite(y).all() and (y == np.floor(y)).all():
        y = y.astype(np.int64)
    if y.dtype.kind not in "iuUSb":
        raise InputError(f"{path}: labels of {split} are {y.dtype}, neither numbers nor names")
    return y.astype(str) if y.dtype.kind == "S" else y


def _digest(files: Sequence[Path]) -> str:
    """sha256 over the names and contents of the files: what a result is of."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            content = hashlib.file_digest(opened, "sha256").digest()
        digest.update((file.suffix if len(files) == 1 else file.name).encode() + b"\0" + content)
    return digest.hexdigest()
