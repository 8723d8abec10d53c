"""Finished shards -> the description of the dataset they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitctl.data.dataset import (
    DESCRIPTION,
    DatasetInfo,
    Split,
    SplitInfo,
    keys_name,
    labels_name,
)
from vitctl.data.order import sample_key
from vitctl.errors import InputError
from vitctl.ingest.columns import Entries
from vitctl.ingest.pixels.policy import TREATMENTS, Treatment
from vitctl.ingest.write.shard_plan import Unit
from vitctl.ingest.write.shard_writer import ShardReport, added_up
from vitctl.ingest.write.tfds_files import description_files


@dataclass(frozen=True)
class SourceOutcome:
    """A dataset in all but its images."""

    info: DatasetInfo
    keys: dict[Split, NDArray[np.uint64]]
    labels: dict[Split, NDArray[np.int32]]
    converted: dict[str, int]
    differ: dict[str, int]
    """Why other readers see images, kept as they are, otherwise than training -> how many."""
    warnings: dict[str, int]
    """What a decoder warned of -> in how many images."""
    treatments: dict[Treatment, int]
    """What a policy did -> to how many images."""
    rejected: int
    unusable: tuple[Split, ...] = ()
    """Splits of which every image was rejected; they are not in `info`."""

    def files(self) -> dict[str, bytes]:
        """Every file beside the shards: name -> content."""
        return {
            DESCRIPTION: self.info.as_document(),
            **description_files(self.info),
            **{keys_name(split): keys.tobytes() for split, keys in self.keys.items()},
            **{labels_name(split): labels.tobytes() for split, labels in self.labels.items()},
        }

    def classes_without(self, split: Split) -> list[str]:
        """Classes with no image in a split; none if there is no such split."""
        if split not in self.labels:
            return []
        present = set(self.labels[split].ravel().tolist())
        return [name for i, name in enumerate(self.info.classes) if i not in present]


def assemble(
    units: Sequence[Unit],
    reports: Sequence[ShardReport],
    *,
    classes: Sequence[str],
    titles: tuple[str, ...] | None,
    multi_label: bool = False,
) -> SourceOutcome:
    """What the shards hold, rejects left out. A split without any usable image is not part of the
    dataset; where no split has one, `InputError` is raised."""
    parts: dict[Split, list[Entries]] = {unit.split: [] for unit in units}
    for unit, report in zip(units, reports, strict=True):
        usable = np.ones(len(unit.entries), bool)
        usable[[reject.position for reject in report.rejects]] = False
        parts[unit.split].append(unit.entries.where(usable))
    unusable = tuple(split for split, own in parts.items() if not any(map(len, own)))
    if len(unusable) == len(parts):
        raise InputError("no image is usable")
    for split in unusable:
        del parts[split]
    treatments = added_up(report.treatments for report in reports)
    counts = (part.label_counts for own in parts.values() for part in own if len(part))
    width = max((int(count.max()) for count in counts), default=1) or 1
    info = DatasetInfo(
        classes=tuple(classes),
        class_titles=titles,
        multi_label=multi_label,
        max_labels=width,
        splits={split: _split_info(split, units, reports) for split in parts},
    )
    return SourceOutcome(
        info=info,
        keys={split: np.concatenate([_keys(part) for part in own]) for split, own in parts.items()},
        labels={
            split: np.concatenate([_padded(part, width) for part in own])
            for split, own in parts.items()
        },
        converted=added_up(report.converted for report in reports),
        differ=added_up(report.differ for report in reports),
        warnings=added_up(report.warnings for report in reports),
        treatments={name: treatments[name] for name in TREATMENTS if name in treatments},
        rejected=sum(len(report.rejects) for report in reports),
        unusable=unusable,
    )


def _split_info(split: Split, units: Sequence[Unit], reports: Sequence[ShardReport]) -> SplitInfo:
    own = [r for u, r in zip(units, reports, strict=True) if u.split == split]
    return SplitInfo(
        shard_lengths=tuple(report.records for report in own),
        record_bytes=sum(report.record_bytes for report in own),
    )


def _keys(entries: Entries) -> NDArray[np.uint64]:
    return np.fromiter(map(sample_key, map(bytes.decode, entries.ids)), "<u8", len(entries))


def _padded(entries: Entries, width: int) -> NDArray[np.int32]:
    """int32[n, width], -1 where an image has fewer labels."""
    padded = np.full((len(entries), width), -1, "<i4")
    counts = entries.label_counts
    places = np.arange(len(entries.labels)) - np.repeat(entries.label_ends - counts, counts)
    padded[entries.rows_of_labels, places] = entries.labels
    return padded
