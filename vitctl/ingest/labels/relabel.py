"""Changes to a listing of any source: exclusions, labels from a file, one spelling a class."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from vitctl.data.dataset import SPLITS
from vitctl.ingest.columns import NO_SPLIT
from vitctl.ingest.labels.label_file import FittedLabels
from vitctl.ingest.listing import Listing
from vitctl.ingest.spelling import nfc


def without(listing: Listing, exclude: Collection[str], *, matched: Collection[str]) -> Listing:
    """The listing without the classes and ids named by `exclude`, in whatever form of Unicode;
    `matched` are those of its names, in NFC, that were left out already."""
    if not exclude:
        return listing
    wanted = {nfc(name): name for name in exclude}
    classes = {name for name in (*listing.classes, *listing.empty_classes) if nfc(name) in wanted}
    ids = {name for name in map(bytes.decode, listing.entries.ids) if nfc(name) in wanted}
    left = listing.without(classes, ids=ids)
    done = {*matched, *map(nfc, classes | ids)}
    return replace(left, unmatched=tuple(name for form, name in wanted.items() if form not in done))


def with_one_spelling(listing: Listing) -> Listing:
    """Classes whose names are the same text in two forms of Unicode (NFC and NFD, as macOS writes
    it) become one, in NFC. Other names stay as they are."""
    forms: dict[str, set[str]] = {}
    for name in listing.classes:
        forms.setdefault(nfc(name), set()).add(name)
    one = {name: form for form, names in forms.items() if len(names) > 1 for name in names}
    if not one:
        return listing
    names = [one.get(name, name) for name in listing.names]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    new = np.array([numbers[name] for name in names], np.int32)
    return replace(
        listing,
        entries=listing.entries.relabelled(new),
        names=list(numbers),
        united=tuple(sorted(set(one.values()))),
    )


def with_labels(listing: Listing, fitted: FittedLabels) -> Listing:
    """The images that a table of labels names, with its class names, and its splits if it has
    any."""
    labels = fitted.labels
    entries = listing.entries
    rows = [row for row, id_ in enumerate(entries.ids) if id_.decode() in labels]
    entries = entries.take(rows)
    numbers: dict[str, int] = {}
    flat: list[int] = []
    label_ends: list[int] = []
    for id_ in entries.ids:
        flat += (numbers.setdefault(name, len(numbers)) for name in labels[id_.decode()])
        label_ends.append(len(flat))
    entries = replace(
        entries, labels=np.array(flat, np.int32), label_ends=np.array(label_ends, np.int64)
    )
    if fitted.splits:
        splits = (fitted.splits.get(id_.decode()) for id_ in entries.ids)
        numbered = (NO_SPLIT if split is None else SPLITS.index(split) for split in splits)
        entries = replace(entries, splits=np.fromiter(numbered, np.int8, len(entries)))
    return replace(
        listing,
        entries=entries,
        names=list(numbers),
        skipped=listing.skipped + fitted.skipped,
        notes=(*listing.notes, *fitted.notes),
        cautions=(*listing.cautions, *fitted.cautions),
        several_labels=fitted.several,
        declared=listing.declared or bool(fitted.splits),
    )
