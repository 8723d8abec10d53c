"""Lists of splits and files of labels that lie among images, as makers of datasets ship them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import replace

from vitctl.errors import InputError
from vitctl.ingest.labels.image_lists import (
    ClassFiles,
    class_names,
    distinct,
    may_be_list,
    names_classes,
)
from vitctl.ingest.labels.label_file import FittedLabels
from vitctl.ingest.labels.listed import ListedLabels, ListFiles, listed, pattern_of
from vitctl.ingest.labels.listed_classes import folder_classes
from vitctl.ingest.labels.mat_lists import MOST_MAT_BYTES, may_be_mat
from vitctl.ingest.listing import Listing
from vitctl.ingest.reading.matlab import Variables, read_mat
from vitctl.ingest.trees.tables_inside import MOST_BYTES, Sidecars
from vitctl.text.quantities import first_few
from vitctl.text.textfiles import Text, decode

_SHOWN = 3
MOST_LISTS = 200
"""Of ten partitions of three splits, or three kinds of labels of four. More are something else:
a caption for each image."""


def lists_inside(
    sidecars: Sidecars,
    ids: Sequence[str],
    *,
    root: str,
    shown: str,
    below: str | None,
    notes: list[str],
) -> ListedLabels | None:
    """What lists among images say of them; None where there are none. `notes` takes a sentence on
    each file that should be one and can't be read. Raises InputError where they contradict each
    other."""
    texts, mats = _read(sidecars, notes)
    if not texts and not mats:
        return None
    class_files = {path: class_names(text) for path, text in texts.items() if names_classes(path)}
    files = ListFiles(texts, mats, class_files)
    one = listed(files, ids, below=below, shown=shown, command=shlex.quote(root))
    return one or _by_class_file(ids, class_files)


def _read(sidecars: Sidecars, notes: list[str]) -> tuple[dict[str, Text], dict[str, Variables]]:
    texts: dict[str, Text] = {}
    mats: dict[str, Variables] = {}
    paths = sorted(path for path in sidecars.paths if may_be_list(path) or may_be_mat(path))
    # Pascal VOC's own lists belong to its annotations.
    paths = [path for path in paths if "imagesets/" not in path.lower()]
    if len(paths) > MOST_LISTS:
        return {}, {}
    for path in paths:
        is_mat = may_be_mat(path)
        most = MOST_MAT_BYTES if is_mat else MOST_BYTES
        try:
            with sidecars.opening(path) as file:
                data = file.read(most + 1)
            if len(data) > most:
                raise InputError(f"{path} is larger than {most >> 20} MiB")
            if is_mat:
                mats[path] = read_mat(data, label=path, most_bytes=2 * most)
            else:
                texts[path] = decode(data, label=path)
        except InputError as error:
            hint = f"; {error.hint}" if error.hint else ""
            notes.append(f"{path} is not read: {str(error).removeprefix(f'{path} ')}{hint}")
    return texts, mats


def _by_class_file(ids: Sequence[str], class_files: ClassFiles) -> ListedLabels | None:
    """Classes that are paths of several folders, as a list of them says (SUN397's ClassName.txt):
    without it the first folder would be the class, a letter of the alphabet."""
    deep = {
        path: names
        for path, names in class_files.items()
        if any("/" in name for name in distinct(names))
    }
    for path, names in deep.items():
        own = folder_classes(ids, {path: names})
        if own is not None and set(own) <= distinct(names):
            labels: dict[str, tuple[str, ...]] = {
                id_: (name,) for id_, name in zip(ids, own, strict=True)
            }
            return ListedLabels(
                FittedLabels(labels, False, {}, "folders that it lists"), (path,), True
            )
    return None


def beside_folders(
    lists: ListedLabels, folders: Listing, *, shown: str, root: str
) -> ListedLabels | None:
    """Lists of a source whose folders name classes: the splits of the lists with the classes of the
    folders. None where the folders say all of it already. Raises InputError where the lists say
    other classes or splits, or leave out most images."""
    labels, splits = lists.fitted.labels, lists.fitted.splits
    by_folder = {entry.id: folders.class_names(entry) for entry in folders.entries}
    own_splits = {entry.id: entry.split for entry in folders.entries if entry.split is not None}
    pairs = {(labels[id_], name) for id_, name in by_folder.items() if id_ in labels}
    same = len(pairs) == len({own for own, _ in pairs}) == len({name for _, name in pairs})
    named = sum(id_ in by_folder for id_ in labels)
    if own_splits:
        agree = all(own_splits.get(id_) in (None, split) for id_, split in splits.items())
        if same and agree:
            return None
    elif lists.by_class_file:
        return lists
    elif same and 2 * named >= len(by_folder) and named == len(labels):
        fitted = replace(lists.fitted, labels={id_: by_folder[id_] for id_ in labels})
        return replace(lists, fitted=fitted)
    own = sorted({name for names in labels.values() for name in names})
    raise InputError(
        f"{shown} can be read in two ways: by its folders, with the classes "
        f"{first_few(folders.classes, most=_SHOWN)}{' and splits' if own_splits else ''}, or by "
        f"its lists {pattern_of(lists.lists)}, which name {len(labels):,} of its "
        f"{len(by_folder):,} images, of the classes {first_few(own, most=_SHOWN)}",
        hint=f"choose one: vitctl shard {shlex.quote(root)} --layout "
        f"{'splits' if own_splits else 'classes'}, or --labels "
        f"{shlex.quote(os.path.join(root, pattern_of(lists.lists)))}",
    )
