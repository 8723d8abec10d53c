"""The formats of sources, told apart by their contents; every one is listed by `list_images`.

A new one is a row of `FORMATS`: what it is called, how its first bytes look, and what lists it.
"""

from __future__ import annotations

import glob
import itertools
import os
import re
import shlex
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import get_args

from vitctl.data.names import text_of
from vitctl.errors import InputError, NotFoundError, UsageError
from vitctl.ingest.choices import Choices
from vitctl.ingest.folder_layout import LayoutName
from vitctl.ingest.labels.label_cells import ENDINGS as LABEL_ENDINGS
from vitctl.ingest.labels.label_file import LabelTable
from vitctl.ingest.labels.label_tables import LabelTables
from vitctl.ingest.labels.named_lists import NamedLists
from vitctl.ingest.listing import Listing
from vitctl.ingest.litter import IMAGE_ENDINGS, file_kind
from vitctl.ingest.parts import DamagedError
from vitctl.ingest.reading.streams import compression_of, open_stream
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
from vitctl.ingest.trees.folder import read_folder
from vitctl.ingest.trees.tar import list_tars
from vitctl.ingest.trees.tar_members import is_tar
from vitctl.ingest.trees.zip import list_zips
from vitctl.ingest.trees.zip_members import is_zip
from vitctl.pixels.file_kinds import HEAD_BYTES, kind_of
from vitctl.places.local import is_there

_MOST_FILES = 100_000
_MOST_ARRAY_FILES = 100
"""In a folder of them; CIFAR-10 has six, and a page and names of classes."""
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


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
    """

    name: FormatName
    description: str
    recognises: Callable[[bytes, bytes], bool] | None
    list_files: Callable[[str, Sequence[bytes], Choices], Listing]
    is_table: bool = False
    is_tree: bool = False
    is_array: bool = False


FORMATS = (
    Format(
        "tar", "tar (also .tar.gz, .tar.bz2, .tar.xz, .tar.zst)", is_tar, list_tars, is_tree=True
    ),
    Format("npz", "npz of images and labels", is_npz, list_npz, is_array=True),
    Format("zip", "zip", is_zip, list_zips, is_tree=True),
    Format("parquet", "Parquet with images in it", is_parquet, list_parquets, is_table=True),
    Format("arrow", "Arrow with images in it", is_arrow, list_arrows, is_table=True),
    Format("idx", "IDX (as MNIST; also .gz)", is_idx, list_idx, is_array=True),
    Format("stl10", "STL-10, binary version", is_stl10, list_stl10, is_array=True),
    Format("cifar", "CIFAR-10 and -100, binary version", is_cifar, list_cifar, is_array=True),
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
        if format is None and (arrays := _arrays_in(given)) is not None:
            choices.check_no_columns(given)
            listing = _listed(arrays.format.list_files, given, arrays.paths, choices)
            return replace(listing, notes=(*listing.notes, *arrays.notes))
        return read_folder(Path(given), choices, own=own)
    chosen = _named(format) if format is not None else _format_of(paths)
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


def expanded(given: str) -> list[bytes]:
    """The files that one word names: itself if it exists, else as shells read `{000..099}`,
    `{a,b}`, `*`, `?` and `**`. Raises `NotFoundError`."""
    if os.path.lexists(given):
        return [os.fsencode(given)]
    spelled = list(itertools.islice(_braces(given), _MOST_FILES + 1))
    if len(spelled) > _MOST_FILES:
        raise UsageError(f"{given} names more than {_MOST_FILES:,} files")
    paths: list[str] = []
    missing: list[str] = []
    for word in spelled:
        matches = sorted(glob.glob(word, recursive=True)) if glob.has_magic(word) else [word]
        missing += [match for match in matches or [word] if not is_there(match)]
        paths += matches
    if missing:
        several = f" ({len(missing)} of {len(spelled)} are missing)" if len(spelled) > 1 else ""
        if "://" in missing[0]:
            raise NotFoundError(
                f"{missing[0]} is no local file{several}",
                hint="nothing is downloaded: get the files first, or mount them as a folder",
            )
        raise NotFoundError(
            f"{missing[0]} does not exist{several}",
            hint="give a folder of class folders, archives of such, or `digits` for the built-in "
            "ones",
        )
    return [os.fsencode(path) for path in dict.fromkeys(paths)]


def _braces(word: str) -> Iterable[str]:
    match = re.search(r"\{([^{}]*)\}", word)
    if match is None or not ("," in match[1] or _RANGE.fullmatch(match[1])):
        yield word
        return
    if span := _RANGE.fullmatch(match[1]):
        first, last = int(span[1]), int(span[2])
        width = len(span[1]) if span[1].startswith("0") else 1
        step = 1 if last >= first else -1
        middles: Iterable[str] = (f"{i:0{width}d}" for i in range(first, last + step, step))
    else:
        middles = match[1].split(",")
    for middle in middles:
        for rest in _braces(word[match.end() :]):
            yield word[: match.start()] + middle + rest


def _named(name: FormatName) -> Format:
    return next(format for format in FORMATS if format.name == name)


@dataclass(frozen=True)
class _ArrayFiles:
    """The files of a folder that hold arrays of pixels."""

    format: Format
    paths: list[bytes]
    notes: list[str]


def _arrays_in(folder: str) -> _ArrayFiles | None:
    """Files of pixels in a folder that holds no images and no folders, as datasets of small images
    come; None for other folders. Files without an ending may be images."""
    paths = []
    try:
        with os.scandir(os.fsencode(folder)) as items:
            for item in items:
                name = os.fsdecode(item.name)
                if name.startswith("."):
                    continue
                if not item.is_file() or name.lower().endswith(tuple(IMAGE_ENDINGS)):
                    return None
                paths.append(item.path)
                if len(paths) > _MOST_ARRAY_FILES:
                    return None
    except OSError:
        return None
    formats = {path: _array_format(path) for path in sorted(paths)}
    arrays = {path: format for path, format in formats.items() if format is not None}
    if any(file_kind(text_of(path)) is None for path in formats.keys() - arrays.keys()):
        return None
    if not arrays or len({format.name for format in arrays.values()}) > 1:
        return None
    packed = {path for path in arrays if path.endswith(b".gz") and path[:-3] in arrays}
    notes = []
    if packed:
        notes.append(f"{text_of(min(packed))} is not read, since it lies there unpacked, too")
    own = [path for path in arrays if path not in packed]
    return _ArrayFiles(next(iter(arrays.values())), own, notes)


def _array_format(path: bytes) -> Format | None:
    try:
        head = _head_of(path)
    except (DamagedError, OSError):
        return None
    for format in FORMATS:
        if format.is_array and format.recognises is not None and format.recognises(head, path):
            return format
    return None


def _head_of(path: bytes) -> bytes:
    """The first bytes of a file, decompressed."""
    with open(path, "rb") as file:
        head = file.read(HEAD_BYTES)
    if compression_of(head) is None:
        return head
    with open_stream(path) as stream:
        return stream.read(HEAD_BYTES)


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
    if head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        raise InputError(
            f"{shown} is a Python pickle, which can run any code when it is read, so it is not",
            hint="of CIFAR, take the binary version or MATLAB's; else save the arrays: "
            "numpy.savez(FILE, x_train=images, y_train=labels)",
        )
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
