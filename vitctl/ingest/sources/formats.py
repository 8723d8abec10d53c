"""The formats of sources, told apart by their contents; every one is listed by `list_images`.

A new one is a row of `FORMATS`: what it is called, how its first bytes look, and what lists it.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import get_args

from vitctl.data.names import text_of
from vitctl.errors import InputError, UsageError
from vitctl.ingest.choices import Choices
from vitctl.ingest.folder_layout import LayoutName
from vitctl.ingest.labels.label_cells import ENDINGS as LABEL_ENDINGS
from vitctl.ingest.labels.label_file import LabelTable
from vitctl.ingest.labels.label_tables import LabelTables
from vitctl.ingest.labels.named_lists import NamedLists
from vitctl.ingest.listing import Listing
from vitctl.ingest.litter import file_kind
from vitctl.ingest.parts import DamagedError
from vitctl.ingest.reading.streams import compression_of, open_stream
from vitctl.ingest.sources.array_files import (
    ArrayFile,
    HeadedFile,
    files_of_archive,
    files_of_folder,
    without_twins,
)
from vitctl.ingest.sources.array_records import is_array_record, list_array_records
from vitctl.ingest.sources.arrow import is_arrow, is_saved, list_arrows, list_saved
from vitctl.ingest.sources.artifact import is_dataset, list_artifact
from vitctl.ingest.sources.cifar import is_cifar, list_cifar
from vitctl.ingest.sources.format_names import FormatName
from vitctl.ingest.sources.idx import is_idx, list_idx
from vitctl.ingest.sources.mat import check_not_hdf5, is_mat_file, list_mat
from vitctl.ingest.sources.npz import is_npz, list_npz
from vitctl.ingest.sources.parquet import is_parquet, list_parquets
from vitctl.ingest.sources.stl10 import is_stl10, list_stl10
from vitctl.ingest.sources.tfds_folder import is_prepared, list_prepared
from vitctl.ingest.sources.tfrecord import is_tfrecord, list_tfrecords
from vitctl.ingest.spelled_paths import expanded
from vitctl.ingest.trees.folder import read_folder
from vitctl.ingest.trees.tar import list_tars
from vitctl.ingest.trees.tar_members import is_tar
from vitctl.ingest.trees.zip import list_zips
from vitctl.ingest.trees.zip_members import is_zip
from vitctl.pixels.file_kinds import HEAD_BYTES, kind_of


@dataclass(frozen=True)
class Format:
    """A way in which images are stored in files.

    Attributes:
      name: what `--format` calls it.
      description: what it is, in a list of all.
      recognises: whether a file is of this format, from its first bytes, decompressed, and its
        path; None for one that is never guessed.
      list_files: lists files of this format.
      is_table: whether images and labels are columns.
      is_tree: whether it may hold tables of labels.
      is_array: whether images are arrays of pixels, so that a folder of such files is a source.
      fits, list_array_files: the same two for files of arrays that are read from front to back,
        wherever they lie; None for other formats.
    """

    name: FormatName
    description: str
    recognises: Callable[[bytes, bytes], bool] | None
    list_files: Callable[[str, Sequence[bytes], Choices], Listing]
    is_table: bool = False
    is_tree: bool = False
    is_array: bool = False
    fits: Callable[[bytes, ArrayFile], bool] | None = None
    list_array_files: Callable[[str, Sequence[ArrayFile], Choices], Listing] | None = None

    @classmethod
    def of_streams(
        cls,
        name: FormatName,
        description: str,
        fits: Callable[[bytes, ArrayFile], bool],
        list_files: Callable[[str, Sequence[ArrayFile], Choices], Listing],
    ) -> Format:
        """A format of arrays that are read from front to back."""
        return cls(
            name,
            description,
            lambda head, path: fits(head, ArrayFile.on_disk(path)),
            lambda given, paths, choices: list_files(
                given, [ArrayFile.on_disk(path) for path in paths], choices
            ),
            is_array=True,
            fits=fits,
            list_array_files=list_files,
        )


FORMATS = (
    Format(
        "tar", "tar (also .tar.gz, .tar.bz2, .tar.xz, .tar.zst)", is_tar, list_tars, is_tree=True
    ),
    Format("npz", "npz of images and labels", is_npz, list_npz, is_array=True),
    Format("zip", "zip", is_zip, list_zips, is_tree=True),
    Format("parquet", "Parquet with images in it", is_parquet, list_parquets, is_table=True),
    Format("arrow", "Arrow with images in it", is_arrow, list_arrows, is_table=True),
    Format.of_streams("idx", "IDX (as MNIST; also .gz)", is_idx, list_idx),
    Format.of_streams("stl10", "STL-10, binary version", is_stl10, list_stl10),
    Format.of_streams("cifar", "CIFAR-10 and -100, binary version", is_cifar, list_cifar),
    Format("mat", "MATLAB's arrays of pixels (SVHN, CIFAR)", is_mat_file, list_mat, is_array=True),
    Format("tfrecord", "TFRecord of tf.train.Example", is_tfrecord, list_tfrecords, is_table=True),
    Format(
        "array_record",
        "ArrayRecord of tf.train.Example",
        is_array_record,
        list_array_records,
        is_table=True,
    ),
    Format("webdataset", "WebDataset", None, partial(list_tars, kind="webdataset"), is_tree=True),
)


def list_images(
    given: str,
    *,
    format: FormatName | None = None,
    labels: LabelTable | LabelTables | NamedLists | None = None,
    unlabelled: bool = False,
    layout: LayoutName | None = None,
    exclude: Collection[str] = (),
    image_column: str | None = None,
    label_column: str | None = None,
    label_separator: str | None = None,
    multi_label: bool = False,
    own: Iterable[Path] = (),
) -> Listing:
    """The images of a folder, a file, or files whose names `given` spells with braces or `*`.

    `format` says what they are instead of their contents; the rest is as `Choices` has it.
    """
    choices = Choices(
        labels=labels,
        unlabelled=unlabelled,
        layout=layout,
        exclude=exclude,
        image_column=image_column,
        label_column=label_column,
        label_separator=label_separator,
        multi_label=multi_label,
    )
    paths = expanded(given)
    if format == "folder" or (len(paths) == 1 and os.path.isdir(paths[0])):
        if format not in (None, "folder"):
            raise UsageError(
                f"--format {format} is for files, and {given} is a folder",
                hint=f"give the files in it: '{given.rstrip('/')}/*'",
            )
        if format is None and is_dataset(given):
            choices.check_no_columns(given)
            return list_artifact(given, choices)
        if format is None and is_saved(given):
            return _listed(list_saved, given, _for_table(choices))
        if format is None and is_prepared(given):
            return _listed(list_prepared, given, _for_table(choices))
        if format is None and (arrays := _arrays_of(files_of_folder(given))) is not None:
            return _listed_arrays(given, arrays, choices)
        return read_folder(Path(given), choices, own=own)
    chosen = _named(format) if format is not None else _format_of(paths)
    if format is None and chosen.name in ("tar", "zip") and len(paths) == 1:
        arrays = _arrays_of(files_of_archive(paths[0]))
        if arrays is not None:
            return _listed_arrays(given, arrays, choices)
    if chosen.is_table:
        choices = _for_table(choices)
    elif not chosen.is_tree:
        choices.check_no_columns(given)
    # A tar that is called one is no WebDataset, whatever lies in it.
    list_files = partial(list_tars, kind="tar") if format == "tar" else chosen.list_files
    return _listed(list_files, given, paths, choices)


def _listed(list_files: Callable[..., Listing], given: str, *arguments: object) -> Listing:
    try:
        return list_files(given, *arguments)
    except DamagedError as error:
        raise InputError(f"{given} can't be read {error}") from None
    except OSError as error:
        raise InputError(f"{given} can't be read ({error.strerror or error})") from None


def _for_table(choices: Choices) -> Choices:
    """Where columns hold the images, `--image-column` is one of them; that of a label file is the
    one that names them."""
    if choices.labels is None:
        if choices.multi_label:
            raise UsageError(
                "--multi-label is for tables of labels, and here columns hold the images: a list "
                "in the column of labels gives an image several"
            )
        return choices
    if isinstance(choices.labels, NamedLists):
        return choices
    if isinstance(choices.labels, LabelTables):
        tables = {
            path: replace(table, image_column=None) for path, table in choices.labels.tables.items()
        }
        return replace(choices, labels=replace(choices.labels, tables=tables))
    return replace(choices, labels=replace(choices.labels, image_column=None))


def _named(name: FormatName) -> Format:
    return next(format for format in FORMATS if format.name == name)


@dataclass(frozen=True)
class _Arrays:
    """The files of a folder or an archive that hold arrays of pixels."""

    format: Format
    files: list[ArrayFile]
    notes: list[str]


def _arrays_of(candidates: Sequence[HeadedFile] | None) -> _Arrays | None:
    """Files of arrays among those of a folder or an archive, as datasets of small images come; None
    where there are none. Files without an ending may be images. Raises `InputError` for pickles."""
    unnamed = [each for each in candidates or () if file_kind(each.file.base) is None]
    if unnamed and all(_is_pickle(each.head) for each in unnamed):  # CIFAR's Python version
        _check_no_pickle(unnamed[0].head, unnamed[0].file.shown)
    formats = [(each.file, _array_format(each)) for each in candidates or ()]
    if any(format is None and file_kind(file.base) is None for file, format in formats):
        return None
    arrays = {file.name: (file, format) for file, format in formats if format is not None}
    if not arrays or len({format.name for _, format in arrays.values()}) > 1:
        return None
    packed = {name for name in arrays if name.endswith(b".gz") and name[:-3] in arrays}
    notes = []
    if packed:
        shown = arrays[min(packed)][0].shown
        notes.append(f"{shown} is not read, since it lies there unpacked, too")
    files, twice = without_twins(
        file for name, (file, _) in sorted(arrays.items()) if name not in packed
    )
    if twice:
        other, first = twice[0]
        notes.append(
            f"{other.shown} is not read, since {text_of(first.name)} holds the same bytes"
            + (f" ({len(twice):,} such files)" if len(twice) > 1 else "")
        )
    return _Arrays(next(iter(arrays.values()))[1], files, notes)


def _is_pickle(head: bytes) -> bool:
    return head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5")


def _check_no_pickle(head: bytes, shown: str) -> None:
    if _is_pickle(head):
        raise InputError(
            f"{shown} is a Python pickle, which can run any code when it is read, so it is not",
            hint="of CIFAR, take the binary version or MATLAB's; else save the arrays: "
            "numpy.savez(FILE, x_train=images, y_train=labels)",
        )


def _array_format(candidate: HeadedFile) -> Format | None:
    file, head = candidate.file, candidate.head
    for format in FORMATS:
        if format.fits is not None:
            if format.fits(head, file):
                return format
        elif format.is_array and format.recognises is not None and format.recognises(head, b""):
            return format
    return None


def _listed_arrays(given: str, arrays: _Arrays, choices: Choices) -> Listing:
    choices.check_no_columns(given)
    format = arrays.format
    if format.list_array_files is not None:
        listing = _listed(format.list_array_files, given, arrays.files, choices)
    elif all(file.inside is None for file in arrays.files):
        listing = _listed(format.list_files, given, [file.name for file in arrays.files], choices)
    else:
        raise InputError(
            f"{given} holds files that can't be read inside an archive: {arrays.files[0].base} "
            f"({format.description})",
            hint="unpack it, and give the folder",
        )
    return replace(listing, notes=(*listing.notes, *arrays.notes))


def _format_of(paths: Sequence[bytes]) -> Format:
    """The format of files, from the contents of the first and the last. Raises `InputError`."""
    first, last = (_recognised(path) for path in (paths[0], paths[-1]))
    if first != last:
        raise InputError(
            f"{text_of(paths[0])} and {text_of(paths[-1])} are of two formats: "
            f"{first.description}; {last.description}",
            hint="give files of one format",
        )
    return first


def _recognised(path: bytes) -> Format:
    shown = text_of(path)
    if not os.path.isfile(path):
        kind = "a folder" if os.path.isdir(path) else "a pipe or a device"
        raise InputError(f"{shown} is {kind}, where a file is expected")
    try:
        with open(path, "rb") as file:
            raw = file.read(HEAD_BYTES)
        head = raw
        if compression_of(raw) is not None:
            with open_stream(path) as stream:
                head = stream.read(HEAD_BYTES)
    except DamagedError:
        head = raw
    except OSError as error:
        raise InputError(f"{shown} can't be read ({error.strerror})") from None
    _check_no_pickle(head, shown)
    check_not_hdf5(head, shown)
    for format in FORMATS:
        if format.recognises is not None and format.recognises(head, path):
            return format
    if shown.lower().endswith(LABEL_ENDINGS):
        raise InputError(
            f"{shown} is a table, and holds no images",
            hint="give the folder or archive of the images: a table that lies in it is found, "
            f"another is named: vitctl shard SRC --labels {shlex.quote(shown)}",
        )
    file_kind = kind_of(head)
    what = f" (it is {file_kind.name})" if file_kind is not None else ""
    readable = ", ".join(format.description for format in FORMATS)
    raise InputError(
        f"{shown} is not a source of images that vitctl can read{what}",
        hint=f"these are read: folders, {readable}; --format says which one it is",
    )


assert {format.name for format in FORMATS} | {"folder"} == set(get_args(FormatName))
