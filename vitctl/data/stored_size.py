"""The size of a source's images, measured on a sample: a recipe chooses its crop by it.

Only headers are read, by Pillow: what is stored is upright and whole (`vitctl shard` saw to it).
"""

from __future__ import annotations

import io
from contextlib import closing
from statistics import median

from vitctl.data.example import decode_example
from vitctl.data.image_source import ImageSource
from vitctl.data.records import spread
from vitctl.errors import InputError

_TRIED = 32
_AROUND = 16 * 1024
"""Bytes of a record beside its pixels: id, labels, colour profiles, what a file adds."""


def may_be_below(source: ImageSource, split: str, *, below: int) -> bool:
    """Whether images with a side of less than `below` pixels are possible: not where a mean record
    is longer than all pixels of such an image. Nothing is read."""
    info = source.info.split(split)
    if not info.examples or source.info.formula is not None:
        return False
    return info.record_bytes / info.examples <= 3 * below**2 + _AROUND


def typical_side(source: ImageSource, split: str, *, below: int) -> int | None:
    """The median side (root of the area) of the images of a split in pixels, if it is under
    `below`; else None.

    Raises `InputError` for a damaged record.
    """
    from PIL import Image

    with closing(source.records(split)) as records:
        sides = []
        for record in records.read(spread(records, most=_TRIED)):
            try:
                with Image.open(io.BytesIO(decode_example(record).image)) as image:
                    sides.append((image.width * image.height) ** 0.5)
            except (OSError, ValueError, SyntaxError) as error:
                raise InputError(f"an image of {split} cannot be read") from error
    side = round(median(sides))
    return side if side < below else None
