"""ImageNet as its makers give it out: tars of ILSVRC-2012 and ImageNet-21k, Kaggle's zip.

    --train ILSVRC2012_img_train.tar --val ILSVRC2012_img_val.tar --devkit ..._devkit_t12.tar.gz
    --train winter21_whole.tar.gz                     ImageNet-21k: a tar a class, in one
    --kaggle imagenet-object-localization-challenge.zip     or the folder that it was unpacked to

Nothing is unpacked. The class of an image is the WordNet id that a folder (or a tar in the tar) of
its path is called; that of a validation image in no such folder is in its makers' tables. Classes
are numbered in the order of their WordNet ids, as nearly all published models do.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vitctl.data.dataset import SPLITS
from vitctl.data.names import text_of
from vitctl.errors import InputError, NotFoundError
from vitctl.ingest.choices import Choices
from vitctl.ingest.columns import NO_SPLIT
from vitctl.ingest.labels.relabel import without
from vitctl.ingest.listing import Listing
from vitctl.ingest.parts import DamagedError
from vitctl.ingest.sources.imagenet_files import ImageNetFiles
from vitctl.ingest.sources.imagenet_truth import Truth, number_of, read_devkit, read_kaggle, wnid_in
from vitctl.ingest.trees.folder import read_folder
from vitctl.ingest.trees.tar import list_tars
from vitctl.ingest.trees.tree import ReadTree, Tree
from vitctl.ingest.trees.zip import list_zips
from vitctl.ingest.trees.zip_members import is_zip_file
from vitctl.places.local import is_there

_TEST = "ILSVRC2012_test_"
_UNKNOWN = "images in no folder with the name of a WordNet id"
_NO_LABELS = "test images, whose classes are not published"
_COUNTS = {"train": 1_281_167, "val": 50_000}
"""Images of ILSVRC-2012 (Russakovsky et al. 2015, Table 2)."""
_ILSVRC_CLASSES = 1_000


def list_imagenet(files: ImageNetFiles, choices: Choices, *, own: Iterable[Path] = ()) -> Listing:
    """The images of ImageNet, with the classes and splits of their makers; `own` are
    places that this command writes to.

    Raises `NotFoundError`, `InputError` where files are others than they should be or a validation
    image has no known class.
    """
    for option, path in files.given.items():
        if not is_there(path):
            raise NotFoundError(f"{option} {path} does not exist")
    tables = None
    if files.devkit is not None:
        tables = read_devkit(files.devkit)
    elif files.kaggle is not None:
        tables = read_kaggle(files.kaggle)
    try:
        return _listed(files, choices, own=own, read=partial(_read_imagenet, tables=tables))
    except DamagedError as error:
        raise InputError(f"ImageNet's files can't be read {error}") from None
    except OSError as error:
        raise InputError(
            f"ImageNet's files can't be read ({error.strerror or error}: {error.filename})"
        ) from None


def _listed(
    files: ImageNetFiles, choices: Choices, *, own: Iterable[Path], read: ReadTree
) -> Listing:
    if (path := files.kaggle) is not None:
        given, paths = str(path), [os.fsencode(path)]
        if path.is_dir():
            return read_folder(path, choices, own=own, read=read)
        if is_zip_file(paths[0]):
            return list_zips(given, paths, choices, read=read)
    else:
        images = [path for path in (files.train, files.val) if path is not None]
        given, paths = str(images[0]), [os.fsencode(path) for path in images]
    return list_tars(given, paths, choices, kind="tar", read=read)


def _read_imagenet(tree: Tree, choices: Choices, *, tables: Truth | None) -> Listing:
    """The classes and splits of a tree of ImageNet's files."""
    labels = np.full(len(tree.files), -1, np.int32)
    splits = np.full(len(tree.files), NO_SPLIT, np.int8)
    numbers: dict[str, int] = {}
    skipped = Counter(tree.skipped)
    known = {} if tables is None else tables.classes
    unknown: list[str] = []
    train, val = SPLITS.index("train"), SPLITS.index("val")
    for row, path in enumerate(tree.files.ids):
        *folders, name = path.decode().split("/")
        number = number_of(name)
        wnid = wnid_in(folders)
        if name.startswith(_TEST):
            skipped[_NO_LABELS] += 1
            continue
        if number is not None:
            listed = known.get(number)
            if wnid is not None and listed is not None and wnid != listed:
                assert tables is not None
                raise InputError(
                    f"{path.decode()} of {tree.shown} lies in the folder of {wnid}, and "
                    f"{tables.origin} says {listed}",
                    hint="give files that belong together",
                )
            wnid = wnid or listed
            if wnid is None:
                unknown.append(path.decode())
                continue
            splits[row] = val
        elif wnid is None:
            skipped[_UNKNOWN] += 1
            continue
        else:
            splits[row] = val if "val" in folders else train
        labels[row] = numbers.setdefault(wnid, len(numbers))
    if unknown:
        raise InputError(
            f"the classes of {len(unknown):,} validation images are not known ({unknown[0]})",
            hint="give --devkit ILSVRC2012_devkit_t12.tar.gz, or of Kaggle LOC_val_solution.csv "
            "in the same folder",
        )
    if not numbers:
        raise InputError(
            f"{tree.shown} holds no image of ImageNet",
            hint="its images lie in folders or tars called n01440764 and so on; any other source: "
            "vitctl shard SRC",
        )
    splits[labels < 0] = NO_SPLIT
    if not (splits == val).any():
        splits[:] = NO_SPLIT  # `val` is taken from it as from any source
    files = replace(tree.files, splits=splits).labelled_one_each(labels)
    listing = Listing(
        tree.shown,
        tree.source,
        files.where(labels >= 0),
        list(numbers),
        skipped=skipped,
        reading=f"{tree.shown} is read as ImageNet: {len(numbers):,} classes by their WordNet ids"
        + (
            f", those of validation images by {text_of(tables.origin.encode())}"
            if known and tables
            else ""
        ),
        declared=True,
        titles={} if tables is None else tables.titles,
        cautions=tuple(_missing(splits[labels >= 0], len(numbers))),
    )
    return without(listing, choices.exclude, matched=tree.excluded)


def _missing(splits: NDArray[np.int8], classes: int) -> list[str]:
    """What is incomplete about files with all classes of ILSVRC-2012."""
    cautions = []
    if classes == _ILSVRC_CLASSES:
        for split, complete in _COUNTS.items():
            count = int((splits == SPLITS.index(split)).sum())
            if count and count != complete:
                cautions.append(
                    f"{split} has {count:,} images, and ILSVRC-2012 has {complete:,}: is a file "
                    "cut off?"
                )
    return cautions
