"""Records of `tf.train.Example` as images and labels, whatever file holds them; without TensorFlow.

records(part)  ->  (place, record)  ->  features  ->  an image and its labels
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vitctl.data.dataset import SPLITS, Split
from vitctl.data.names import text_of
from vitctl.errors import InputError, UsageError
from vitctl.ingest.choices import Choices
from vitctl.ingest.columns import NO_SPLIT, EntriesBuilder
from vitctl.ingest.listing import Listing, Source
from vitctl.ingest.parts import DamagedError, Part
from vitctl.ingest.table import in_parts, read_table
from vitctl.protobuf import LENGTH, VARINT, read_varint
from vitctl.text.quantities import counted

# TF-Slim's ImageNet has the first of each, TensorFlow Datasets the second.
_IMAGES = ("image/encoded", "image", "image_raw", "image/data")
_LABELS = ("image/class/label", "label", "labels")

Records = Callable[[Part], Iterator[tuple[int, bytes]]]
"""(where it is, the record) of each record of a file, from front to back. Raises `DamagedError`."""


@dataclass(frozen=True)
class Feature:
    """One feature of an Example.

    Attributes:
      texts: where the values of a list of bytes are in the record, (start, end).
      numbers: the values of a list of integers.
    """

    texts: tuple[tuple[int, int], ...] = ()
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Meaning:
    """What a description beside the files says of their features.

    Attributes:
      image, label: names of features; None where it leaves them open, or there are no labels.
      classes: names of classes by number.
      several: whether an image may have none or several labels.
      splits: of each file; None where they are in the names of files.
      expected: how many records each file has.
    """

    image: str | None = None
    label: str | None = None
    classes: tuple[str, ...] | None = None
    several: bool = False
    splits: tuple[Split | None, ...] | None = None
    expected: tuple[int, ...] | None = None


def list_examples(
    given: str,
    paths: Sequence[bytes],
    choices: Choices,
    *,
    records: Records,
    source_of: Callable[[tuple[Part, ...], str], Source],
    in_file: bool,
    kind: str,
    kinds: str,
    meaning: Meaning | None = None,
) -> Listing:
    """The images of files of Examples, `given` by the user as one word. Columns are features.

    Args:
      records: those of a file.
      source_of: their images, by their parts and the feature of images.
      in_file: whether a record's place is that of its bytes in the file, so that the image's is
        its own in there; else an image is found by the place of its record.
      kind, kinds: what to call one file and several, as in "a TFRecord", "TFRecords".
    """
    shown = text_of(os.fsencode(given))
    meaning = meaning or Meaning()
    parts = tuple(Part.of(path) for path in paths)
    builder = EntriesBuilder()
    numbers: dict[str, int] = {name: i for i, name in enumerate(meaning.classes or ())}
    skipped: Counter[str] = Counter()
    cautions: list[str] = []
    image = choices.image_column or meaning.image
    label = choices.label_column or meaning.label
    described = label is not None and label == meaning.label
    classes = meaning.classes if described else None
    several = meaning.several and described
    for number, part in enumerate(parts):
        count = 0
        try:
            for row, (place, record) in enumerate(records(part)):
                count = row + 1
                features = example(record, at=place)
                if image is None:
                    image = _chosen(_IMAGES, features, what="image", shown=part.shown)
                if label is None and choices.takes_labels:
                    label = _chosen(_LABELS, features, what="label", shown=part.shown)
                texts = features.get(image, Feature()).texts
                if len(texts) != 1:
                    skipped[f"records without an image in {image}"] += 1
                    continue
                names: list[str] = []
                if choices.takes_labels:
                    feature = features.get(label or "", Feature())
                    try:
                        own = _names(record, feature, classes, several=several)
                    except ValueError as error:
                        raise InputError(f"record {row:,} of {part.shown} {error}") from None
                    if own is None:
                        skipped[f"records without a label in {label}"] += 1
                        continue
                    names = own
                builder.add(
                    f"{row:08d}".encode(),
                    size=texts[0][1] - texts[0][0],
                    mtime_ns=part.mtime_ns,
                    labels=dict.fromkeys(numbers.setdefault(name, len(numbers)) for name in names),
                    part=number,
                    offset=place + texts[0][0] if in_file else place,
                )
        except DamagedError as error:
            cautions.append(
                f"{part.shown} is damaged at byte {error.at:,} ({error.reason}); what lies before "
                "is taken"
                if in_file
                else f"{part.shown} is damaged at record {error.at:,} ({error.reason}); what lies "
                "before is taken"
            )
        else:
            if meaning.expected is not None and count != meaning.expected[number]:
                cautions.append(
                    f"{part.shown} holds {counted(count, 'record')}, and dataset_info.json says "
                    f"{meaning.expected[number]:,}"
                )
    for option, column in (("image", choices.image_column), ("label", choices.label_column)):
        if column is not None and not len(builder):
            raise UsageError(f"--{option}-column: no record of {shown} has what it names")
    layout = choices.layout if meaning.splits is None or choices.layout == "classes" else "flat"
    files, splits = in_parts(builder.build(), paths, layout=layout, shown=shown)
    if meaning.splits is not None and choices.layout != "flat":
        of_parts = [NO_SPLIT if s is None else SPLITS.index(s) for s in meaning.splits]
        files = replace(files, splits=np.array(of_parts, np.int8)[files.parts])
        used = [split for split in SPLITS if split in meaning.splits]
        splits = f"with its splits: {', '.join(used)}" if used else "without splits of its own"
    many = kind if len(parts) == 1 else f"{len(parts):,} {kinds}"
    of_labels = f" and labels of {label}" if choices.takes_labels else ""
    listing = Listing(
        shown,
        source_of(parts, image or ""),
        files,
        list(numbers),
        skipped=skipped,
        reading=f"{shown} is read as {many} with images in {image}{of_labels}, {splits}",
        parts=parts,
        cautions=tuple(cautions),
        several_labels=several and choices.takes_labels,
    )
    return read_table(listing, choices)


def example(record: bytes, *, at: int) -> dict[str, Feature]:
    """The features of a serialised `tf.train.Example`; where it is none, `DamagedError` names `at`,
    its place in the file."""
    features: dict[str, Feature] = {}
    try:
        for begin, end in _inside(record, 0, len(record), 1):  # Example.features
            for entry in _inside(record, begin, end, 1):  # Features.feature
                name = b"".join(record[a:b] for a, b in _inside(record, *entry, 1))
                for value in _inside(record, *entry, 2):
                    texts = tuple(
                        span
                        for values in _inside(record, *value, 1)  # Feature.bytes_list
                        for span in _inside(record, *values, 1)
                    )
                    integers = tuple(
                        number
                        for values in _inside(record, *value, 3)  # Feature.int64_list
                        for number in _integers(record, *values)
                    )
                    features[name.decode("utf-8", "replace")] = Feature(texts, integers)
    except ValueError as error:
        raise DamagedError(at, f"a record is no tf.train.Example: {error}") from None
    return features


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """(number, wire type, start and end of the value) of each field between two places."""
    view = memoryview(data)[:end]
    while at < end:
        tag, at = read_varint(view, at)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            _, after = read_varint(view, at)
            yield number, wire, at, after
            at = after
            continue
        if wire == LENGTH:
            length, at = read_varint(view, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if at + length > end:
            raise ValueError("it ends in the middle of a field")
        yield number, wire, at, at + length
        at += length


def _inside(data: bytes, start: int, end: int, wanted: int) -> Iterator[tuple[int, int]]:
    """Where the length-delimited fields of a number are."""
    for number, wire, begin, after in _fields(data, start, end):
        if number == wanted and wire == LENGTH:
            yield begin, after


def _integers(data: bytes, start: int, end: int) -> Iterator[int]:
    """The values of an Int64List, packed or not."""
    for number, _, begin, after in _fields(data, start, end):
        if number != 1:
            continue
        at = begin
        while at < after:
            value, at = read_varint(memoryview(data)[:after], at)
            value &= 2**64 - 1
            yield value - 2**64 if value >= 2**63 else value


def _names(
    record: bytes, feature: Feature, classes: tuple[str, ...] | None, *, several: bool
) -> list[str] | None:
    """Class names of a feature's values; None if it has none, or -1, by which test splits hide
    theirs. Raises ValueError with a clause for a number of no class."""
    names = [text_of(record[begin:end].strip()) for begin, end in feature.texts]
    for number in feature.numbers:
        if number == -1 and not several:
            continue
        if classes is None:
            names.append(str(number))
        elif 0 <= number < len(classes):
            names.append(classes[number])
        else:
            raise ValueError(f"has the label {number}, and there are {len(classes)} classes")
    return names if names or several else None


def _chosen(usual: Sequence[str], features: Mapping[str, Feature], *, what: str, shown: str) -> str:
    column = next((name for name in usual if name in features), None)
    if column is None:
        raise InputError(
            f"the records of {shown} have none of the usual features of {what}s (they have "
            f"{', '.join(sorted(features)[:8])})",
            hint=f"name it: --{what}-column NAME"
            + ("; or shard without labels: --unlabelled" if what == "label" else ""),
        )
    return column
