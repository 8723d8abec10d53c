"""Formula images as a source: pictures that are made and encoded when a worker reads them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from vitctl.data.dataset import Split
from vitctl.formula.family import FormulaConfig
from vitctl.formula.maker import HostMaker, labels_of
from vitctl.formula.png import as_png
from vitctl.ingest.columns import EntriesBuilder, Entry
from vitctl.ingest.listing import Access, Listing

_PNG_OVERHEAD = 1024


@dataclass(frozen=True)
class FormulaSource:
    """Pictures of a set; `Entry.part` is the class, `Entry.offset` the instance."""

    config: FormulaConfig
    access: Access = "random"

    @contextmanager
    def reader(self) -> Iterator[FormulaReader]:
        yield FormulaReader(self.config)


class FormulaReader:
    """Makes pictures one by one and encodes them as PNG, which loses nothing."""

    def __init__(self, config: FormulaConfig) -> None:
        self._maker = HostMaker(config)

    @contextmanager
    def open(self, entry: Entry) -> Iterator[io.BytesIO]:
        picture = self._maker.pictures(np.asarray([entry.part]), np.asarray([entry.offset]))[0]
        yield io.BytesIO(as_png(picture))


def largest_picture(config: FormulaConfig) -> int:
    """Bytes that a picture takes at most as PNG: its pixels as they are, and a byte a row."""
    return config.resolution**2 * 3 + config.resolution + _PNG_OVERHEAD


def list_formula(config: FormulaConfig) -> Listing:
    """The pictures of a set, in the splits train and val."""
    entries = EntriesBuilder()
    # Sizes are what a picture can take at most; `read` ends where a file ends.
    most = largest_picture(config)
    splits: tuple[Split, ...] = ("train", "val")
    for split in splits:
        first = config.first_instance(split)
        for instance in range(first, first + config.pictures(split) // config.classes):
            classes = np.arange(config.classes)
            labels = labels_of(config, classes, np.full(config.classes, instance))
            for index, row in enumerate(labels.tolist()):
                entries.add(
                    config.picture_id(index, instance).encode(),
                    size=most,
                    mtime_ns=0,
                    split=split,
                    labels=[label for label in row if label >= 0],
                    part=index,
                    offset=instance,
                )
    return Listing(
        root=f"formula ({config.family})",
        source=FormulaSource(config),
        entries=entries.build(),
        names=[config.class_name(index) for index in range(config.classes)],
        declared=config.max_labels > 1,
        reading=f"formula images of the family {config.family}: {config.classes:,} classes, "
        f"{config.per_class:,} pictures each to train on and {config.val_per_class:,} held out",
    )
