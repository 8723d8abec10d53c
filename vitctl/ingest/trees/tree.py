"""A tree of files, wherever it lies, and what is said of it however it is read."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from vitctl.data.dataset import SPLITS
from vitctl.errors import InputError
from vitctl.ingest.choices import Choices
from vitctl.ingest.columns import Entries
from vitctl.ingest.folder_layout import Layout
from vitctl.ingest.listing import Listing, Source
from vitctl.ingest.litter import kinds_in_words
from vitctl.ingest.trees import own_output
from vitctl.ingest.trees.tables_inside import Sidecars
from vitctl.ingest.trees.title_files import TitleFiles

OUTSIDE = "images outside a class folder"
ASIDE = "images outside the folders of splits"
_ARCHIVES = (".tar", ".zip", ".parquet", ".tgz")
_SHOWN = 3


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
      title_files: contents of those in an archive that may give classes readable names.
      own: folders that vitctl made, whose files are left out.
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
    title_files: TitleFiles = field(default_factory=dict)
    own: Collection[bytes] = ()


ReadTree = Callable[[Tree, Choices], Listing]
"""Gives the files of a tree classes and splits."""


def without_own_output(tree: Tree) -> Tree:
    """A tree whose source is read at random, without pictures that vitctl made, and without the
    folders that hold nothing but what vitctl made."""
    files, pictures = own_output.without_pictures(tree.files, tree.source)
    if pictures:
        tree.skipped[own_output.PICTURES] += len(pictures)
    empty = own_output.emptied([*pictures, *tree.own], files)
    if not empty and not pictures:
        return tree
    folders = {
        name: [inner for inner in folders if (name, inner) not in empty]
        for name, folders in tree.folders.items()
        if (name,) not in empty
    }
    return replace(tree, files=files, folders=folders)


def split_numbers(layout: Layout) -> dict[bytes, int]:
    return {name.encode(): SPLITS.index(split) for name, split in layout.splits.items()}


def splits_in_words(layout: Layout) -> str:
    if not layout.splits:
        return "without splits of its own"
    named = [
        name if name == split else f"{name} (as {split})"
        for name, split in sorted(layout.splits.items(), key=lambda item: SPLITS.index(item[1]))
    ]
    return f"as folders of splits: {', '.join(named)}"


def nothing_found(tree: Tree, skipped: Counter[str]) -> InputError:
    if skipped[OUTSIDE] and not tree.folders:
        return InputError(
            f"{tree.path} holds files but no class folders",
            hint="put the images of each class into a folder of its name, or give the folder "
            "above; labels in other files (KEY.json or KEY.txt beside KEY.jpg) as one table of "
            "images and labels: --labels FILE; images without labels: --unlabelled",
        )
    for ending in _ARCHIVES:
        if skipped[f"{ending} files"]:
            return InputError(
                f"there is no image in {tree.path}, but {skipped[f'{ending} files']:,} {ending} "
                "files",
                hint="give these: vitctl shard "
                + shlex.quote(f"{tree.path.rstrip('/')}/**/*{ending}"),
            )
    if skipped[own_output.KIND] or skipped[own_output.PICTURES]:
        return own_output.refusal(tree.path)
    contents = kinds_in_words(skipped, most=_SHOWN)
    hint = (
        "give a folder of class folders with images, of images without labels with "
        "--unlabelled, or `digits` for the built-in ones"
    )
    if os.path.isdir(tree.path):
        files = shlex.quote(f"{tree.path.rstrip('/')}/*")
        hint += f"; of archives or tables the files: vitctl shard {files}"
    return InputError(
        f"there is no image in {tree.path}" + (f" (it holds {contents})" if contents else ""),
        hint=hint,
    )
