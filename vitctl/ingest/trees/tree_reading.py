"""What a tree of files means, wherever it lies: classes, splits, or only what a label file says.

SRC/CLASS/any/depth/image.jpg                one split, a share of each class becomes `val`
SRC/{train,val,test}/CLASS/any/depth/...     splits as they are; see folder_layout.py
SRC/CLASS/{train,val,test}/any/depth/...     the same
SRC/any/depth/image.jpg and a table          any number of labels an image: one that lies there, or
                                             a label file
SRC/any/depth/image.jpg, unlabelled          no labels; splits as they are, too
"""

from __future__ import annotations

from dataclasses import replace

from vitctl.ingest.choices import Choices
from vitctl.ingest.labels.relabel import with_one_spelling, without
from vitctl.ingest.listing import Listing
from vitctl.ingest.trees.tree import Tree
from vitctl.ingest.trees.tree_classes import read_classes
from vitctl.ingest.trees.tree_labels import (
    NO_LINE,
    read_labelled,
    read_tables_or_classes,
    read_unlabelled,
)


def read_tree(tree: Tree, choices: Choices) -> Listing:
    """The images of a tree of class folders, or without labels of its own of images anywhere in
    it. Raises `InputError` and `UsageError` with what to do.
    """
    if not tree.sidecars.paths:
        choices.check_no_columns(tree.path)
    if choices.unlabelled:
        listing = read_unlabelled(tree, chosen=choices.layout)
    elif choices.labels is not None:
        ids = [id_.decode() for id_ in tree.files.ids]
        fitted = choices.labels.fit(ids, shown=tree.shown, below=tree.below)
        listing = read_labelled(
            tree, fitted, ids, by="its label file", no_row=NO_LINE, chosen=choices.layout
        )
    elif tree.sidecars.paths and choices.layout != "classes":
        listing = read_tables_or_classes(tree, choices)
    else:
        listing = read_classes(tree, chosen=choices.layout)
    listing = replace(listing, title_files=tree.title_files)
    if tree.below is not None:
        listing = replace(listing, reading=f"{listing.reading} (all lie in its {tree.below}/)")
    return with_one_spelling(without(listing, choices.exclude, matched=tree.excluded))
