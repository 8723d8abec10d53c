"""Sources that say themselves which class each image has: shards of samples, tables, arrays.

Their splits are in the names of their files, if anywhere: `train-00000.tar`, `val.parquet`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vitctl.data.dataset import SPLITS, Split
from vitctl.data.names import text_of
from vitctl.errors import InputError, UsageError
from vitctl.ingest.choices import Choices
from vitctl.ingest.columns import NO_SPLIT, Entries, EntriesBuilder
from vitctl.ingest.folder_layout import LayoutName, split_in
from vitctl.ingest.labels.relabel import with_labels, with_one_spelling, without
from vitctl.ingest.listing import Listing


def read_table(listing: Listing, choices: Choices) -> Listing:
    """A listing whose source declares labels and splits, with those of a label file instead, or
    none, and without what is excluded."""
    if not len(listing.entries):
        raise InputError(f"there is no image in {listing.root} that can be taken")
    if choices.unlabelled:
        entries = listing.entries.unlabelled()
        listing = replace(
            listing, entries=entries, names=(), reading=f"{listing.reading}, and without labels"
        )
    elif choices.labels is not None:
        ids = [id_.decode() for id_ in listing.entries.ids]
        fitted = choices.labels.fit(ids, shown=listing.root)
        if unnamed := len(ids) - len(fitted.labels):
            listing.skipped["images without a line in the label file"] += unnamed
        listing = replace(
            with_labels(listing, fitted),
            reading=f"{listing.reading}, and by its label file ({fitted.reading})",
        )
    return with_one_spelling(without(replace(listing, declared=True), choices.exclude, matched=()))


def part_names(paths: Sequence[bytes]) -> list[str]:
    """A name for each file, without its endings; different ones, unless it is a single file."""
    folder = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths])
    names = []
    for path in paths:
        below = os.path.relpath(os.path.abspath(path), folder)
        head, slash, name = below.rpartition(b"/")
        names.append(text_of(head + slash + name.split(b".", 1)[0]))
    if len(set(names)) < len(names):
        names = [text_of(os.path.relpath(os.path.abspath(path), folder)) for path in paths]
    return names


def in_parts(
    files: Entries, paths: Sequence[bytes], *, layout: LayoutName | None, shown: str
) -> tuple[Entries, str]:
    """Images of several files: with ids that begin with the name of theirs, in the split that it
    names, and these splits in words. Raises `InputError` where only some names have one."""
    names = part_names(paths)
    splits, reading = named_splits(names, layout=layout, shown=shown)
    if len(paths) > 1:
        files = _prefixed(files, names)
    numbers = np.array([NO_SPLIT if s is None else SPLITS.index(s) for s in splits], np.int8)
    files = replace(files, splits=numbers[files.parts])
    return files, reading


def named_splits(
    names: Sequence[str], *, layout: LayoutName | None, shown: str
) -> tuple[list[Split | None], str]:
    """The splits that names of files or arrays say, and the same in words."""
    if layout in ("classes", "inner-splits"):
        raise UsageError(
            f"--layout {layout} is for folders, and {shown} says itself what its classes are",
            hint="--layout splits or flat chooses whether names are splits",
        )
    splits = [None if layout == "flat" else split_in(name) for name in names]
    if layout == "splits" and None in splits:
        missing = names[splits.index(None)]
        raise UsageError(f"--layout splits: the name {missing} holds no train, val or test")
    if any(splits) and None in splits:
        missing = names[splits.index(None)]
        raise InputError(
            f"some parts of {shown} have the name of a split, and {missing} does not",
            hint="name them all by their splits, give fewer, or take all as one: --layout flat",
        )
    if not any(splits):
        return splits, "without splits of its own"
    used = [split for split in SPLITS if split in splits]
    return splits, f"with the splits that its names say: {', '.join(used)}"


def _prefixed(files: Entries, names: Sequence[str]) -> Entries:
    builder = EntriesBuilder()
    for entry in files:
        builder.add(
            f"{names[entry.part]}/{entry.id}".encode(),
            size=entry.size,
            mtime_ns=entry.mtime_ns,
            split=entry.split,
            labels=entry.labels,
            part=entry.part,
            offset=entry.offset,
        )
    return builder.build()
