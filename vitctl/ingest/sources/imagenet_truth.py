"""The class of each ImageNet image, and what the classes are called, from its makers' tables.

Two makers give them. The development kit of ILSVRC-2012 (a .tar.gz, or a folder that it was
unpacked to) has `meta.mat`, with a WordNet id for each of its own numbers from 1 on, and
`ILSVRC2012_validation_ground_truth.txt`, a line with such a number for each validation image. These
numbers are not the order of the WordNet ids. Kaggle has `LOC_val_solution.csv` and
`LOC_synset_mapping.txt`, with WordNet ids throughout.
"""

from __future__ import annotations

import csv
import os
import re
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vitctl.data.names import text_of
from vitctl.errors import InputError, NotFoundError
from vitctl.ingest.reading.matlab import read_mat
from vitctl.ingest.trees.zip import read_members
from vitctl.ingest.trees.zip_members import is_zip_file
from vitctl.text.quoting import quoted
from vitctl.text.textfiles import decode, read_bytes

_META = "meta.mat"
_GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
_SOLUTION = "LOC_val_solution.csv"
_MAPPING = "LOC_synset_mapping.txt"
_MOST_BYTES = 2**27
"""Of one file. The largest, LOC_val_solution.csv, is of 3 MB; meta.mat is of 0.4 MB."""
_WNID = re.compile(r"n\d{8}")
_VAL_IMAGE = re.compile(r"ILSVRC2012_val_(\d{8})")


@dataclass(frozen=True)
class Truth:
    """What the makers' files say.

    Attributes:
      classes: number of a validation image, from 1 on -> WordNet id of its class.
      titles: WordNet id -> the words for it, as in "tench, Tinca tinca".
      origin: the file that says it, for messages.
    """

    classes: Mapping[int, str]
    titles: Mapping[str, str]
    origin: str


def read_devkit(path: Path) -> Truth:
    """The development kit of ILSVRC-2012. Raises `NotFoundError`, `InputError` for another file."""
    files = (_in_folder if path.is_dir() else _in_tar)(path, (_META, _GROUND_TRUTH))
    for name in (_META, _GROUND_TRUTH):
        if name not in files:
            raise InputError(
                f"--devkit {path} holds no {name}",
                hint="give ILSVRC2012_devkit_t12.tar.gz, or the folder that it was unpacked to",
            )
    wnids, titles = _synsets(files[_META], label=f"{_META} of {path}")
    classes = {}
    text = decode(files[_GROUND_TRUTH], label=f"{_GROUND_TRUTH} of {path}")
    for image, (number, line) in enumerate(text.numbered(), start=1):
        ilsvrc_id = int(line) if line.strip().isdecimal() and len(line) < 10 else None
        if ilsvrc_id not in wnids:
            raise InputError(
                f"line {number} of {text.label} is {quoted(line.strip()[:40])}, where one of the "
                f"{len(wnids)} numbers in {_META} is expected"
            )
        classes[image] = wnids[ilsvrc_id]
    return Truth(classes, titles, str(path))


def _synsets(data: bytes, *, label: str) -> tuple[dict[int, str], dict[str, str]]:
    """ILSVRC2012_ID -> WordNet id of the classes without others below them; id -> words."""
    try:
        table = np.atleast_1d(read_mat(data, label=label, most_bytes=_MOST_BYTES)["synsets"])
        rows = [
            (int(row["ILSVRC2012_ID"]), str(row["WNID"]), str(row["words"]))
            for row in table
            if not int(row["num_children"])
        ]
    except (InputError, KeyError, IndexError, ValueError, TypeError):
        raise InputError(
            f"{label} is not the list of classes that it should be",
            hint="download the development kit again; its md5 is fa75699e90414af021442c21a62c3abf",
        ) from None
    wnids = {number: wnid for number, wnid, _ in rows}
    wrong = next((wnid for wnid in wnids.values() if not _WNID.fullmatch(wnid)), None)
    if wrong is not None:
        raise InputError(f"{label} has a class {quoted(wrong)}, which is no WordNet id")
    return wnids, {wnid: _one_line(text) for _, wnid, text in rows}


def read_kaggle(path: Path) -> Truth:
    """The tables of Kaggle's "ImageNet Object Localization Challenge", in its zip, in the folder
    that it was unpacked to or the one above, or beside its .tar.gz. Raises `InputError`."""
    wanted = (_SOLUTION, _MAPPING)
    if path.is_dir():
        files = _in_folder(path.absolute().parent, wanted, deep=False) | _in_folder(
            path, wanted, deep=False
        )
    else:
        files = _in_folder(path.absolute().parent, wanted, deep=False)
        if is_zip_file(archive := os.fsencode(path)):
            files |= read_members(archive, wanted, most_bytes=_MOST_BYTES)
    titles = {}
    if _MAPPING in files:
        text = decode(files[_MAPPING], label=f"{_MAPPING} of {path}")
        for number, line in text.numbered():
            wnid, _, title = line.strip().partition(" ")
            if not _WNID.fullmatch(wnid):
                raise InputError(f"line {number} of {text.label} does not begin with a WordNet id")
            titles[wnid] = _one_line(title) or wnid
    classes = {}
    if _SOLUTION in files:
        text = decode(files[_SOLUTION], label=f"{_SOLUTION} of {path}")
        for number, row in enumerate(csv.reader(text.lines()), start=1):
            if (number == 1 and row[:1] == ["ImageId"]) or not row:
                continue
            image = _VAL_IMAGE.fullmatch(row[0])
            wnid = row[1].strip().partition(" ")[0] if len(row) > 1 else ""
            if image is None or not _WNID.fullmatch(wnid):
                raise InputError(
                    f"line {number} of {text.label} is not like "
                    "`ILSVRC2012_val_00048981,n03995372 85 1 499 272`"
                )
            classes[int(image[1])] = wnid
    return Truth(classes, titles, _SOLUTION)


def number_of(name: str) -> int | None:
    """The number of a validation image, from the name of its file; None for another file."""
    match = _VAL_IMAGE.match(name)
    return None if match is None else int(match[1])


def wnid_in(folders: list[str]) -> str | None:
    """The innermost of these folders that is called as a WordNet id."""
    return next((name for name in reversed(folders) if _WNID.fullmatch(name)), None)


def _one_line(text: str) -> str:
    return text_of(" ".join(text.split()).encode())


def _in_folder(path: Path, names: tuple[str, ...], *, deep: bool = True) -> dict[str, bytes]:
    """Files of these names in a folder, or with `deep` in one of those in it."""
    folders = [path, *(sorted(p for p in path.iterdir() if p.is_dir()) if deep else [])]
    if deep:
        folders += [folder / "data" for folder in folders]
    files = {}
    for name in names:
        for folder in folders:
            if (folder / name).is_file():
                files[name] = read_bytes(
                    folder / name, label=str(folder / name), most_bytes=_MOST_BYTES
                )
                break
    return files


def _in_tar(path: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """Files of these names in a tar, wherever in it."""
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = member.name.rpartition("/")[2]
                if name in names and member.isfile() and name not in files:
                    file = archive.extractfile(member)
                    assert file is not None
                    files[name] = file.read(_MOST_BYTES + 1)
                    if len(files[name]) > _MOST_BYTES:
                        raise InputError(
                            f"{name} of {path} is larger than {_MOST_BYTES >> 20} MiB, so it is "
                            "another file"
                        )
    except FileNotFoundError:
        raise NotFoundError(f"--devkit {path} does not exist") from None
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise InputError(
            f"--devkit {path} can't be read as a tar ({error})",
            hint="give ILSVRC2012_devkit_t12.tar.gz, or the folder that it was unpacked to",
        ) from None
    return files
