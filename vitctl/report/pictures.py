"""Small copies of images, written into the page, which loads nothing."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vitctl.artifacts import Artifact
from vitctl.artifacts.kinds import DATASET
from vitctl.data.image_source import ImageSource
from vitctl.data.opening import open_dataset
from vitctl.data.records import read_examples
from vitctl.duplicates.prints import decoded
from vitctl.errors import InputError
from vitctl.places import nofollow, place

MOST_BYTES = 6 * 2**20
"""Of all pictures of a page, as text in it."""
TILES = 24
"""Images of one dataset."""
_SIDE = 96
_PIXELS = 48
"""Images up to this side stay as they are, and are enlarged as squares."""
_SHEET = 1100
_MOST_PIXELS = 100_000_000
_COUNTED = 5_000_000
"""Images of a split up to which all labels are read."""


class Album:
    """All pictures of a page: when it is full, no more are made, and the page says so."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self.left = most
        self.left_out = 0

    def take(self, uri: str) -> str | None:
        if len(uri) > self.left:
            self.left_out += 1
            return None
        self.left -= len(uri)
        return uri


@dataclass(frozen=True)
class Tile:
    """One image of a dataset, and the names of its classes; no picture if it can't be decoded."""

    uri: str | None
    classes: tuple[str, ...]
    is_small: bool


@dataclass(frozen=True)
class Counted:
    """Images a class of one split: int64[classes], None where they are too many to count."""

    split: str
    images: int
    of_class: NDArray[np.int64] | None


def tiles(dataset: Artifact, album: Album) -> tuple[list[Tile], Counted]:
    """Some images of a dataset, spread over its classes and always the same.

    Raises InputError or NotFoundError where a shard is damaged, or what it is made of is gone.
    """
    if any(at is not None and place(at).local is None for at in _places(dataset)):
        raise InputError("they lie in a bucket, and a report copies none")
    source = open_dataset(dataset)
    split = "train" if "train" in source.info.splits else next(iter(source.info.splits))
    images = source.info.examples(split)
    positions, of_class = _spread(source, split)
    counted = Counted(split, images, of_class)
    if not len(positions):
        return [], counted
    names = source.info.class_titles or source.info.classes
    labels = np.asarray(source.labels(split)[positions])
    with closing(source.records(split)) as records:
        examples = read_examples(records, positions)
    return [
        _tile(example.image, tuple(names[label] for label in row if label >= 0), album)
        for example, row in zip(examples, labels, strict=True)
    ], counted


def _places(dataset: Artifact) -> Iterator[str | None]:
    """Where the images may lie."""
    yield str(dataset.path)
    yield from (parent.path for parent in dataset.manifest.parents if parent.kind == DATASET.name)


def _spread(source: ImageSource, split: str) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Positions of images: as many of each class, in the order of the classes; of a huge split
    some at equal distances."""
    images, classes = source.info.examples(split), len(source.info.classes)
    if images > _COUNTED or not classes:
        return np.unique(np.linspace(0, images - 1, min(TILES, images)).astype(np.int64)), None
    first = np.asarray(source.labels(split))[:, 0]
    of_class = np.bincount(first[first >= 0], minlength=classes)
    order = np.argsort(first, kind="stable")
    begins = np.searchsorted(first[order], np.arange(classes))
    present = np.flatnonzero(of_class)
    if len(present) > TILES:
        present = present[np.linspace(0, len(present) - 1, TILES).round().astype(np.int64)]
    each = max(1, TILES // max(1, len(present)))
    rows = [order[begins[c] : begins[c] + min(each, of_class[c])].astype(np.int64) for c in present]
    return (np.concatenate(rows) if rows else np.zeros(0, np.int64)), of_class


def _tile(data: bytes, classes: tuple[str, ...], album: Album) -> Tile:
    image = decoded(data)
    if image is None:
        return Tile(None, classes, False)
    small = max(image.size) <= _PIXELS
    if not small:
        image.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    return Tile(album.take(_uri(image, lossless=small)), classes, small)


def sheet_of(artifact: Artifact, name: str, album: Album, *, lossless: bool = False) -> str | None:
    """A picture that lies in an artifact, made anew without what else its file holds; None where
    it has none, or the page is full. Raises InputError if it is not what was published."""
    entry = artifact.manifest.file(name)
    if entry is None:
        return None
    artifact.require_files(name.__eq__)
    try:
        data = (artifact.path / name).read_itself()
        with Image.open(io.BytesIO(data)) as opened:
            if opened.width * opened.height > _MOST_PIXELS:
                return None
            image = opened.convert("RGB")
    except (OSError, SyntaxError, ValueError, nofollow.LinkError):
        return None
    if image.width > _SHEET:
        size = (_SHEET, max(1, round(image.height * _SHEET / image.width)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    return album.take(_uri(image, lossless=lossless))


def _uri(image: Image.Image, *, lossless: bool) -> str:
    """Pixels alone: comments and profiles of the file it was read from hold names of people and
    their devices, and Pillow would write some of them again."""
    image = image.copy()
    image.info.clear()
    out = io.BytesIO()
    if lossless:
        # Drawings have few colours.
        drawn = image if image.width <= _PIXELS else image.quantize(128)
        drawn.save(out, "PNG", optimize=True)
    else:
        image.save(out, "JPEG", quality=82, optimize=True)
    kind = "png" if lossless else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}"
