"""Changes to a listing of any source: exclusions, labels from a file, one spelling a class."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from vitctl.errors import InputError
from vitctl.ingest.sources import Listing
from vitctl.textfiles import slashed


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


def with_labels(listing: Listing, labels: Mapping[str, tuple[str, ...]]) -> Listing:
    """The images that `labels` names, with its class names. It may name no others: see
    `fitting_labels`."""
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
    return replace(listing, entries=entries, names=list(numbers))


def fitting_labels(
    labels: Mapping[str, tuple[str, ...]], ids: Sequence[str], *, shown: str
) -> dict[str, tuple[str, ...]]:
    """A label file's rows, with ids spelled as the source does. Raises `InputError` if it names
    images that are not among `ids`, or none."""
    known = set(ids)
    fitting = {slashed(name, known=known): names for name, names in labels.items()}
    strange = sorted(fitting.keys() - known)
    if strange:
        raise InputError(
            f"{len(strange)} of the {len(fitting)} images in the label file are not in "
            f"{shown} ({', '.join(strange[:3])}{', ...' if len(strange) > 3 else ''})",
            hint="an id is the path of the image below the source",
        )
    if not fitting:
        raise InputError("the label file names no image", hint="give it a line for each image")
    return fitting


def nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)
