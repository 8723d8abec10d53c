"""What a tree of files means, wherever it lies: classes, splits, or only what a label file says.

SRC/CLASS/any/depth/image.jpg                one split, `val` taken from it by hash
SRC/{train,val,test}/CLASS/any/depth/...     splits as they are; see folder_layout.py
SRC/CLASS/{train,val,test}/any/depth/...     the same
SRC/any/depth/image.jpg and a table          any number of labels an image: one that lies there, or
                                             a label file
SRC/any/depth/image.jpg, unlabelled          no labels; splits as they are, too
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from vitctl.data.dataset import SPLITS
from vitctl.errors import InputError, UsageError, VitctlError
from vitctl.ingest import folder_layout
from vitctl.ingest.choices import Choices
from vitctl.ingest.columns import NO_SPLIT, Entries
from vitctl.ingest.folder_layout import Layout, LayoutName, Top
from vitctl.ingest.label_file import Fitted
from vitctl.ingest.label_paths import split_of_name
from vitctl.ingest.relabel import with_labels, with_one_spelling, without
from vitctl.ingest.sources import Listing, Source
from vitctl.ingest.tables_inside import Inside, Sidecars, tables_inside

OUTSIDE = "images outside a class folder"
_NO_LINE = "images without a line in the label file"
_NO_ROW = "images without a row in the table"
_ASIDE = "images outside the folders of splits"

_ARCHIVES = (".tar", ".zip", ".parquet", ".tgz")
_SHOWN = 3
# Folders that are no classes where a table names the images in them: images, images_001, masks.
_OF_IMAGES = re.compile(
    r"(images?|imgs?|photos?|pictures?|pics?|jpe?gs?|pngs?|tiffs?|masks?|data|dataset|"
    r"jpegimages|segmentation(class|object)|voc)"
    r"([-_ ]?[0-9]+)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Tree:
    """Files by their paths.

    Attributes:
      path: what the user gave, as a command repeats it.
      shown: the same in sentences.
      files: without labels and splits; the id of each is its path.
      folders: those at the top and those directly in them, with images or without.
      excluded: those at the top that were left out by name, in NFC.
      skipped: why files were left alone -> how many.
      below: a folder that holds all of them and is no part of their paths.
      sidecars: files that may say the labels of images.
    """

    path: str
    shown: str
    source: Source
    files: Entries
    folders: Mapping[str, Collection[str]]
    excluded: Collection[str] = ()
    skipped: Counter[str] = field(default_factory=Counter)
    below: str | None = None
    sidecars: Sidecars = field(default_factory=Sidecars)


ReadTree = Callable[[Tree, Choices], Listing]
"""Gives the files of a tree classes and splits."""


def read_tree(tree: Tree, choices: Choices) -> Listing:
    """The images of a tree of class folders, or without labels of its own of images anywhere in
    it. Raises `InputError` and `UsageError` with what to do.
    """
    if choices.names_columns and choices.labels is None and not tree.sidecars.paths:
        raise UsageError(
            f"--image-column, --label-column and --label-separator are for tables, and {tree.path} "
            "is none"
        )
    if choices.unlabelled:
        listing = _unlabelled(tree, chosen=choices.layout)
    elif choices.labels is not None:
        ids = [id_.decode() for id_ in tree.files.ids]
        fitted = choices.labels.fit(ids, shown=tree.shown, below=tree.below)
        listing = _labelled(
            tree, fitted, ids, by="its label file", no_row=_NO_LINE, chosen=choices.layout
        )
    elif tree.sidecars.paths and choices.layout != "classes":
        listing = _in_classes_or_tables(tree, choices)
    else:
        listing = _in_classes(tree, chosen=choices.layout)
    if tree.below is not None:
        listing = replace(listing, reading=f"{listing.reading} (all lie in its {tree.below}/)")
    return with_one_spelling(without(listing, choices.exclude, matched=tree.excluded))


def _in_classes(tree: Tree, *, chosen: LayoutName | None) -> Listing:
    subfolders: dict[bytes, set[bytes]] = {}
    with_images: set[bytes] = set()
    for path in tree.files.ids:
        top, *rest = path.split(b"/", 2)
        if rest:
            below = subfolders.setdefault(top, set())
            below.update(rest[:-1])
            if len(rest) == 1:
                with_images.add(top)
    layout = folder_layout.read_class_layout(
        [
            Top(top.decode(), frozenset(name.decode() for name in below), top in with_images)
            for top, below in subfolders.items()
        ],
        chosen=chosen,
        root=tree.shown,
        source=shlex.quote(tree.path),
    )
    names = _Numbers()
    labels = np.full(len(tree.files), -1, np.int32)
    splits = np.full(len(tree.files), NO_SPLIT, np.int8)
    split_of = _split_numbers(layout)
    skipped = Counter(tree.skipped)
    whole_rest = layout.name == "classes"  # else the first two folders are a split and a class
    deeper, first_deeper = 0, b""
    for row, path in enumerate(tree.files.ids):
        parts = path.split(b"/", 2)
        position = 0
        if layout.name == "splits" and len(parts) > 1:
            splits[row] = split_of.get(parts[0], NO_SPLIT)
            position = 1
            if splits[row] == NO_SPLIT:
                skipped[_ASIDE] += 1
                continue
        if len(parts) <= position + 1:
            skipped[OUTSIDE] += 1
            continue
        if layout.name == "inner-splits":
            splits[row] = split_of.get(parts[1], NO_SPLIT) if len(parts) > 2 else NO_SPLIT
            if splits[row] == NO_SPLIT:
                skipped[_ASIDE] += 1
                continue
        labels[row] = names[parts[position]]
        if len(parts) > 2 and (whole_rest or b"/" in parts[2]):
            deeper += 1
            first_deeper = first_deeper or (parts[1] if whole_rest else parts[2])
    if (labels < 0).all():
        raise _nothing_found(tree, skipped)
    files = replace(tree.files, splits=splits).labelled_one_each(labels)
    classes = [name.decode() for name in names]
    _check_splits_without_classes(tree, layout, splits, labels, classes)
    return Listing(
        tree.shown,
        tree.source,
        files.where(labels >= 0),
        classes,
        skipped=skipped,
        empty_classes=_empty(tree, layout, classes),
        reading=_class_reading(
            tree.shown, layout, deeper=deeper, first=first_deeper.split(b"/")[0].decode()
        ),
        layout=_unless_first(tree, layout),
        inside=_inside(subfolders) if layout.name == "classes" and len(classes) == 1 else None,
    )


def _in_classes_or_tables(tree: Tree, choices: Choices) -> Listing:
    """By the tables that lie among the images, unless folders name the classes. Where both could
    be meant it is the folders, and what the tables say otherwise is said."""
    ids = [id_.decode() for id_ in tree.files.ids]
    folders, refused = None, None
    if choices.layout != "flat":
        try:
            folders = _in_classes(tree, chosen=choices.layout)
        except VitctlError as error:
            refused = error
    by_folders = folders is not None and _names_classes(folders) and not choices.names_columns
    try:
        inside = tables_inside(
            tree.sidecars,
            ids,
            choices=choices,
            root=tree.path,
            below=tree.below,
            in_doubt=not by_folders,
        )
    except InputError as error:
        # A single folder of a class is legitimate, with the classes of another dataset.
        if folders is None or choices.names_columns or _is_of_no_class(folders.classes):
            raise
        remark = "" if by_folders else f"the tables in {tree.shown} are not read: {error}"
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
    listing = _labelled(
        replace(tree, skipped=+skipped),
        inside.fitted,
        ids,
        by=f"its {tables}",
        no_row=_NO_ROW,
        chosen=choices.layout,
    )
    return replace(listing, declared=True, notes=(*inside.notes, *listing.notes))


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
    return all(split_of_name(name) or _OF_IMAGES.fullmatch(name) for name in names)


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


def _labelled(
    tree: Tree,
    fitted: Fitted,
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
            listing.skipped[_ASIDE] += int(aside.sum())
        files = files.where(~aside)
    nested = folder_layout.first_version_layout(list(tree.folders), nested=True)
    same = (nested == "splits") == bool(layout.splits)
    splits = _splits_in_words(layout)
    if fitted.splits:
        splits = "with the splits that it says"
    return replace(
        listing,
        entries=files,
        reading=f"{tree.shown} is read by {by} ({fitted.reading}), {splits}",
        layout=None if same else layout.name,
    )


def _unlabelled(tree: Tree, *, chosen: LayoutName | None) -> Listing:
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
            skipped[_ASIDE] += int(aside.sum())
        files = files.where(~aside)
    if not len(files):
        raise _nothing_found(tree, skipped)
    return Listing(
        tree.shown,
        tree.source,
        files,
        (),
        skipped=skipped,
        reading=f"{tree.shown} is read without labels, {_splits_in_words(layout)}",
        layout=layout.name,
    )


class _Numbers(dict[bytes, int]):
    """Names, numbered in the order in which they are first looked up."""

    def __missing__(self, name: bytes) -> int:
        self[name] = len(self)
        return self[name]


def _split_numbers(layout: Layout) -> dict[bytes, int]:
    return {name.encode(): SPLITS.index(split) for name, split in layout.splits.items()}


def _in_splits(files: Entries, layout: Layout) -> Entries:
    """With the splits that the top folders are."""
    numbers = _split_numbers(layout)
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


def _unless_first(tree: Tree, layout: Layout) -> LayoutName | None:
    """The layout, if the first version would have read these folders in another way."""
    nested = any(tree.folders.values())
    first = folder_layout.first_version_layout(list(tree.folders), nested=nested)
    return None if layout.name == first else layout.name


def _empty(tree: Tree, layout: Layout, classes: Iterable[str]) -> list[str]:
    """Folders that would be classes, had they an image."""
    if layout.name == "splits":
        folders = {
            name for top, names in tree.folders.items() for name in names if top in layout.splits
        }
    else:
        folders = set(tree.folders)
    return sorted(folders.difference(classes))


def _check_splits_without_classes(
    tree: Tree,
    layout: Layout,
    splits: NDArray[np.int8],
    labels: NDArray[np.int32],
    classes: list[str],
) -> None:
    """Refuse a split whose images all lie in one folder that is no class to train on
    (`val/images/`, as of Tiny ImageNet, whose labels are in a file): a class of that name would
    hold them all."""
    if layout.name != "splits":
        return
    of = {
        top: np.unique(labels[(splits == SPLITS.index(split)) & (labels >= 0)])
        for top, split in layout.splits.items()
    }
    train = next((of[top] for top, split in layout.splits.items() if split == "train"), ())
    odd = (
        [top for top, rows in of.items() if len(rows) == 1 and rows[0] not in train]
        if len(train) > 1
        else []
    )
    if odd:
        only = classes[of[odd[0]][0]]
        left_out = " ".join(f"--exclude {shlex.quote(top)}" for top in odd)
        raise InputError(
            f"all images in {tree.shown.rstrip('/')}/{odd[0]} lie in one folder, {only}, which is "
            f"no class of the {len(train):,} to train on",
            hint=f"move the images of each class into a folder of its name, or list all labels in "
            f"a file: --labels FILE; to leave them out: vitctl shard {shlex.quote(tree.path)} "
            f"{left_out}",
        )


def _inside(subfolders: Mapping[bytes, Collection[bytes]]) -> str | None:
    """The one folder that holds all others, if these look as if they were the classes."""
    ((top, below),) = subfolders.items()
    return top.decode() if len(below) > 1 else None


def _class_reading(shown: str, layout: Layout, *, deeper: int, first: str) -> str:
    """`deeper`: how many images lie in folders below those of their class (and split); `first`:
    the first such folder."""
    also = f"; {deeper:,} images lie deeper (in {first}/), which changes no class" if deeper else ""
    if layout.name == "splits":
        return (
            f"{shown} is read {_splits_in_words(layout)}; the folders in them are the classes{also}"
        )
    if layout.name == "inner-splits":
        return f"{shown} is read as folders of classes, each {_splits_in_words(layout)}{also}"
    return f"{shown} is read as folders of classes{also}"


def _splits_in_words(layout: Layout) -> str:
    if not layout.splits:
        return "without splits of its own"
    named = [
        name if name == split else f"{name} (as {split})"
        for name, split in sorted(layout.splits.items(), key=lambda item: SPLITS.index(item[1]))
    ]
    return f"as folders of splits: {', '.join(named)}"


def _nothing_found(tree: Tree, skipped: Counter[str]) -> InputError:
    if skipped[OUTSIDE] and not tree.folders:
        return InputError(
            f"{tree.path} holds files but no class folders",
            hint="put the images of each class into a folder of its name, or give the folder "
            "above; images without labels: --unlabelled",
        )
    for ending in _ARCHIVES:
        if skipped[f"{ending} files"]:
            return InputError(
                f"there is no image in {tree.path}, but {skipped[f'{ending} files']:,} {ending} "
                "files",
                hint="give these: vitctl shard "
                + shlex.quote(f"{tree.path.rstrip('/')}/**/*{ending}"),
            )
    contents = ", ".join(f"{count} {what}" for what, count in skipped.most_common(_SHOWN))
    return InputError(
        f"there is no image in {tree.path}" + (f" (it holds {contents})" if contents else ""),
        hint="give a folder of class folders with images, of images without labels with "
        "--unlabelled, or `digits` for the built-in ones; of archives or tables the files: "
        f"vitctl shard {shlex.quote(tree.path.rstrip('/') + '/*')}",
    )
