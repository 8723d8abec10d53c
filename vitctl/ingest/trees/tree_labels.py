"""Images of a tree whose labels are in a table, or nowhere: folders are splits at most."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vitctl.errors import InputError, VitctlError
from vitctl.ingest import folder_layout
from vitctl.ingest.choices import Choices
from vitctl.ingest.columns import NO_SPLIT, Entries
from vitctl.ingest.folder_layout import Layout, LayoutName
from vitctl.ingest.labels.label_file import FittedLabels
from vitctl.ingest.labels.label_paths import split_of_name
from vitctl.ingest.labels.listed import ListedLabels, pattern_of
from vitctl.ingest.labels.relabel import with_labels
from vitctl.ingest.listing import Listing
from vitctl.ingest.trees.lists_inside import beside_folders, lists_inside
from vitctl.ingest.trees.tables_inside import Inside, tables_inside
from vitctl.ingest.trees.tree import ASIDE, Tree, nothing_found, split_numbers, splits_in_words
from vitctl.ingest.trees.tree_classes import read_classes

NO_LINE = "images without a line in the label file"
NOT_LISTED = "images in no list"
_NO_ROW = "images without a row in the table"
_SHOWN = 3


def read_tables_or_classes(tree: Tree, choices: Choices) -> Listing:
    """By the tables that lie among the images, unless folders name the classes. Where both could
    be meant it is the folders, and what the tables say otherwise is said."""
    ids = [id_.decode() for id_ in tree.files.ids]
    folders, refused = None, None
    if choices.layout != "flat":
        try:
            folders = read_classes(tree, chosen=choices.layout)
        except VitctlError as error:
            refused = error
    by_folders = folders is not None and _names_classes(folders) and not choices.names_columns
    lists, notes = _lists(tree, choices, ids)
    if lists is not None and lists.fitted.labels:
        if folders is not None and by_folders:
            lists = beside_folders(lists, folders, shown=tree.shown, root=tree.path)
        if lists is not None:
            return _by_lists(tree, lists, ids, notes, chosen=choices.layout)
    try:
        inside = tables_inside(
            tree.sidecars,
            ids,
            choices=choices,
            root=tree.path,
            below=tree.below,
            in_doubt=not by_folders,
        )
        inside = replace(inside, notes=(*notes, *inside.notes))
        if lists is not None:
            inside = _with_listed_splits(inside, lists)
    except InputError as error:
        # A single folder of a class is legitimate, with the classes of another dataset.
        if folders is None or choices.names_columns or _is_of_no_class(folders.classes):
            raise
        remark = (
            ""
            if by_folders
            else f"the tables in {tree.shown} are not read: {error}; --labels FILE reads one"
        )
        return replace(folders, cautions=(*folders.cautions, *filter(None, [remark])))
    if folders is not None and by_folders:
        return replace(folders, cautions=(*folders.cautions, *_disagreement(folders, inside)))
    if folders is not None and inside.fitted is None:
        return replace(folders, cautions=(*folders.cautions, *inside.notes))
    if inside.fitted is None:
        useful = inside.notes and len(tree.files)
        raise refused if refused is not None and not useful else _no_table(tree, inside)
    skipped = Counter(tree.skipped)
    for ending, count in inside.endings.items():
        skipped[f"{ending} files"] -= count
    tables = ", ".join(inside.tables[:_SHOWN]) + (", ..." if len(inside.tables) > _SHOWN else "")
    listing = read_labelled(
        replace(tree, skipped=+skipped),
        inside.fitted,
        ids,
        by=f"its {tables}",
        no_row=_NO_ROW,
        chosen=choices.layout,
    )
    return replace(listing, declared=True, notes=(*inside.notes, *listing.notes))


def _lists(
    tree: Tree, choices: Choices, ids: Sequence[str]
) -> tuple[ListedLabels | None, tuple[str, ...]]:
    """What lists of images say, and sentences on those that can't be read."""
    if choices.names_columns or choices.layout not in (None, "flat"):
        return None, ()
    notes: list[str] = []
    lists = lists_inside(
        tree.sidecars, ids, root=tree.path, shown=tree.shown, below=tree.below, notes=notes
    )
    return lists, tuple(notes)


def _with_listed_splits(inside: Inside, lists: ListedLabels) -> Inside:
    """Tables that say the labels, with the splits of lists that say no labels."""
    fitted, splits = inside.fitted, lists.fitted.splits
    if fitted is None or fitted.splits or lists.fitted.labels:
        return inside
    labels = {id_: names for id_, names in fitted.labels.items() if id_ in splits}
    pattern = pattern_of(lists.lists)
    if not labels:
        return replace(inside, notes=(*inside.notes, f"{pattern} is not read: no labels"))
    reading = f"{fitted.reading}, splits by {pattern}"
    return replace(inside, fitted=replace(fitted, labels=labels, splits=splits, reading=reading))


def _by_lists(
    tree: Tree,
    lists: ListedLabels,
    ids: Sequence[str],
    notes: Sequence[str],
    *,
    chosen: LayoutName | None,
) -> Listing:
    skipped = Counter(tree.skipped)
    for path in lists.lists:
        skipped[f"{os.path.splitext(path)[1].lower()} files"] -= 1
    listing = read_labelled(
        replace(tree, skipped=+skipped),
        lists.fitted,
        ids,
        by=f"its {pattern_of(lists.lists)}",
        no_row=NOT_LISTED,
        chosen=chosen,
    )
    return replace(listing, declared=True, notes=(*notes, *listing.notes))


def _names_classes(folders: Listing) -> bool:
    """Whether folders have names of classes: more than one, not all of splits or of images."""
    names = folders.classes
    if len(names) < 2:
        return False
    if folders.layout == "splits" or any(split >= 0 for split in folders.entries.splits.tolist()):
        return True
    return not _is_of_no_class(names)


def _is_of_no_class(names: Sequence[str]) -> bool:
    """Whether folders have names of splits or of what images are called, and of no class."""
    return all(split_of_name(name) or folder_layout.names_no_class(name) for name in names)


def _disagreement(folders: Listing, inside: Inside) -> Iterator[str]:
    """A sentence, if tables say other classes of images than their folders."""
    if inside.fitted is None:
        return
    labels = inside.fitted.labels
    other = sum(
        entry.id in labels and labels[entry.id] != folders.class_names(entry)
        for entry in folders.entries
    )
    if other:
        yield (
            f"{', '.join(inside.tables[:_SHOWN])} names other labels for {other:,} of these images "
            f"({inside.fitted.reading}); --label-column NAME takes the table "
            "instead of the folders"
        )


def _no_table(tree: Tree, inside: Inside) -> InputError:
    return InputError(
        f"{tree.shown} has no folders of classes, and no table in it names its images: "
        + "; ".join(inside.notes[:_SHOWN]),
        hint="give labels with --labels FILE, or shard without any: --unlabelled",
    )


def read_labelled(
    tree: Tree,
    fitted: FittedLabels,
    ids: Sequence[str],
    *,
    by: str,
    no_row: str,
    chosen: LayoutName | None,
) -> Listing:
    labels = fitted.labels
    if chosen == "flat":
        fitted = replace(fitted, splits={})
    tops = dict.fromkeys(name.split("/", 1)[0] for name in ids if name in labels and "/" in name)
    others = any("/" in name and name.split("/", 1)[0] not in tops for name in ids)
    layout = Layout("flat", {})
    if not fitted.splits or chosen == "classes":
        layout = folder_layout.read_flat_layout(
            tops, others=others, chosen=chosen, root=tree.shown, source=shlex.quote(tree.path)
        )
    skipped = Counter(tree.skipped)
    if unnamed := len(tree.files) - len(labels):
        skipped[no_row] += unnamed
    listing = with_labels(
        Listing(tree.shown, tree.source, _in_splits(tree.files, layout), (), skipped=skipped),
        fitted,
    )
    files = listing.entries
    if layout.splits:
        aside = _aside(files, layout)
        if aside.any():
            listing.skipped[ASIDE] += int(aside.sum())
        files = files.where(~aside)
    nested = folder_layout.first_version_layout(list(tree.folders), nested=True)
    same = (nested == "splits") == bool(layout.splits)
    splits = splits_in_words(layout)
    if fitted.splits:
        splits = "with the splits that it says"
    return replace(
        listing,
        entries=files,
        reading=f"{tree.shown} is read by {by} ({fitted.reading}), {splits}",
        layout=None if same else layout.name,
    )


def read_unlabelled(tree: Tree, *, chosen: LayoutName | None) -> Listing:
    paths = [path.partition(b"/") for path in tree.files.ids]
    layout = folder_layout.read_flat_layout(
        dict.fromkeys(top.decode() for top, separator, _ in paths if separator),
        others=any(not separator for _, separator, _ in paths),
        chosen=chosen,
        root=tree.shown,
        source=shlex.quote(tree.path),
    )
    files = _in_splits(tree.files, layout)
    skipped = Counter(tree.skipped)
    if layout.splits:
        aside = files.splits == NO_SPLIT
        if aside.any():
            skipped[ASIDE] += int(aside.sum())
        files = files.where(~aside)
    if not len(files):
        raise nothing_found(tree, skipped)
    return Listing(
        tree.shown,
        tree.source,
        files,
        (),
        skipped=skipped,
        reading=f"{tree.shown} is read without labels, {splits_in_words(layout)}",
        layout=layout.name,
    )


def _in_splits(files: Entries, layout: Layout) -> Entries:
    """With the splits that the top folders are."""
    numbers = split_numbers(layout)
    splits = np.full(len(files), NO_SPLIT, np.int8)
    if numbers:
        for row, path in enumerate(files.ids):
            top, separator, _ = path.partition(b"/")
            if separator:
                splits[row] = numbers.get(top, NO_SPLIT)
    return replace(files, splits=splits)


def _aside(files: Entries, layout: Layout) -> NDArray[np.bool_]:
    """bool[n]: files in top folders that are no splits; those in no folder are of all splits."""
    in_folder = np.fromiter((b"/" in path for path in files.ids), bool, len(files))
    return in_folder & (files.splits == NO_SPLIT)
