"""The formats of sources, told apart by their contents; every one is listed by `list_images`.

A new one is a row of `FORMATS`: what it is called, how its first bytes look, and what lists it.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar, get_args

from vitctl.data.names import text_of
from vitctl.errors import InputError, UsageError
from vitctl.ingest.choices import Choices
from vitctl.ingest.folder_layout import LayoutName
from vitctl.ingest.labels.label_cells import ENDINGS as LABEL_ENDINGS
from vitctl.ingest.labels.label_file import LabelTable
from vitctl.ingest.labels.label_tables import LabelTables
from vitctl.ingest.labels.named_lists import NamedLists
from vitctl.ingest.listing import Listing
from vitctl.ingest.parts import DamagedError
from vitctl.ingest.reading.streams import open_stream
from vitctl.ingest.sources.array_files import files_of_archive, files_of_folder
from vitctl.ingest.sources.array_records import is_array_record, list_array_records
from vitctl.ingest.sources.array_sets import check_no_pickle, list_arrays
from vitctl.ingest.sources.arrow import is_arrow, is_saved, list_arrows, list_saved
from vitctl.ingest.sources.artifact import is_dataset, list_artifact
from vitctl.ingest.sources.cifar import is_cifar, list_cifar
from vitctl.ingest.sources.file_format import Format
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

_L = TypeVar("_L")

FORMATS = (
    Format(
        "tar", "tar (also .tar.gz, .tar.bz2, .tar.xz, .tar.zst)", is_tar, list_tars, is_tree=True
    ),
    Format.of_arrays("npz", "npz of images and labels", is_npz, list_npz),
    Format("zip", "zip", is_zip, list_zips, is_tree=True),
    Format("parquet", "Parquet with images in it", is_parquet, list_parquets, is_table=True),
    Format("arrow", "Arrow with images in it", is_arrow, list_arrows, is_table=True),
    Format.of_arrays("idx", "IDX (as MNIST; also .gz)", is_idx, list_idx),
    Format.of_arrays("stl10", "STL-10, binary version", is_stl10, list_stl10),
    Format.of_arrays("cifar", "CIFAR-10 and -100, binary version", is_cifar, list_cifar),
    Format.of_arrays("mat", "MATLAB's arrays of pixels (SVHN, CIFAR)", is_mat_file, list_mat),
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
        if format is None and (files := files_of_folder(given)) is not None:
            listing = _listed(list_arrays, given, files, FORMATS, choices)
            if listing is not None:
                return listing
        return read_folder(Path(given), choices, own=own)
    formats: Sequence[Format] = FORMATS
    if format is None:
        head = _head(paths[0])
        chosen = _format_of(paths, head)
    else:
        chosen = _named(format)
        formats = (chosen,) if chosen.list_array_files is not None else ()
        head = _head(paths[0]) if formats and len(paths) == 1 else b""
    if formats and len(paths) == 1 and (is_tar(head) or is_zip(head)):
        files = files_of_archive(paths[0])
        listing = _listed(list_arrays, given, files, formats, choices) if files else None
        if listing is not None:
            return listing
    if chosen.is_table:
        choices = _for_table(choices)
    elif not chosen.is_tree:
        choices.check_no_columns(given)
    # A tar that is called one is no WebDataset, whatever lies in it.
    list_files = partial(list_tars, kind="tar") if format == "tar" else chosen.list_files
    return _listed(list_files, given, paths, choices)


def _listed(list_files: Callable[..., _L], given: str, *arguments: object) -> _L:
    try:
        return list_files(given, *arguments)
    except DamagedError as error:
        raise InputError(f"{error.file or given} can't be read {error}") from None
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


def _format_of(paths: Sequence[bytes], head: bytes) -> Format:
    """The format of files, from the contents of the first, which are `head`, and of the last.
    Raises `InputError`."""
    first = _recognised(paths[0], head)
    last = _recognised(paths[-1], _head(paths[-1])) if len(paths) > 1 else first
    if first != last:
        raise InputError(
            f"{text_of(paths[0])} and {text_of(paths[-1])} are of two formats: "
            f"{first.description}; {last.description}",
            hint="give files of one format",
        )
    return first


def _head(path: bytes) -> bytes:
    """The first bytes of what a file holds, decompressed where they can be. Raises `InputError`."""
    shown = text_of(path)
    if not os.path.isfile(path):
        kind = "a folder" if os.path.isdir(path) else "a pipe or a device"
        raise InputError(f"{shown} is {kind}, where a file is expected")
    try:
        try:
            with open_stream(path) as stream:
                return stream.read(HEAD_BYTES)
        except DamagedError:
            with open(path, "rb") as file:
                return file.read(HEAD_BYTES)
    except OSError as error:
        raise InputError(f"{shown} can't be read ({error.strerror})") from None


def _recognised(path: bytes, head: bytes) -> Format:
    """The format of a file whose first bytes, decompressed, are `head`."""
    shown = text_of(path)
    check_no_pickle(head, shown)
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
    advice = None if file_kind is None else file_kind.advice
    raise InputError(
        f"{shown} is not a source of images that vitctl can read{what}",
        hint=advice or f"these are read: folders, {readable}; --format says which one it is",
    )


assert {format.name for format in FORMATS} | {"folder"} == set(get_args(FormatName))
