"""Folders of a tree as classes, or as splits that hold classes."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vitctl.data.dataset import SPLITS
from vitctl.errors import InputError
from vitctl.ingest import folder_layout
from vitctl.ingest.columns import NO_SPLIT
from vitctl.ingest.folder_layout import Layout, LayoutName, Top
from vitctl.ingest.listing import Listing
from vitctl.ingest.trees.tree import (
    ASIDE,
    OUTSIDE,
    Tree,
    nothing_found,
    split_numbers,
    splits_in_words,
)
from vitctl.text.quantities import counted


def read_classes(tree: Tree, *, chosen: LayoutName | None) -> Listing:
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
    split_of = split_numbers(layout)
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
                skipped[ASIDE] += 1
                continue
        if len(parts) <= position + 1:
            skipped[OUTSIDE] += 1
            continue
        if layout.name == "inner-splits":
            splits[row] = split_of.get(parts[1], NO_SPLIT) if len(parts) > 2 else NO_SPLIT
            if splits[row] == NO_SPLIT:
                skipped[ASIDE] += 1
                continue
        labels[row] = names[parts[position]]
        if len(parts) > 2 and (whole_rest or b"/" in parts[2]):
            deeper += 1
            first_deeper = first_deeper or (parts[1] if whole_rest else parts[2])
    if (labels < 0).all():
        raise nothing_found(tree, skipped)
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


class _Numbers(dict[bytes, int]):
    """Names, numbered in the order in which they are first looked up."""

    def __missing__(self, name: bytes) -> int:
        self[name] = len(self)
        return self[name]


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
    lie = counted(deeper, "image lies", "images lie")
    also = f"; {lie} deeper (in {first}/), which changes no class" if deeper else ""
    if layout.name == "splits":
        return (
            f"{shown} is read {splits_in_words(layout)}; the folders in them are the classes{also}"
        )
    if layout.name == "inner-splits":
        return f"{shown} is read as folders of classes, each {splits_in_words(layout)}{also}"
    return f"{shown} is read as folders of classes{also}"
