"""Finished shards -> the description of the dataset they make."""

from __future__ import annotations

import heapq
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
from vitctl.errors import InputError
from vitctl.ingest.pixels.policy import TREATMENTS, Treatment
from vitctl.ingest.write.finished import FinishedShard, padded
from vitctl.ingest.write.shard_writer import RejectedImage, ShardReport, added_up
from vitctl.ingest.write.tfds_files import description_files

_REJECTS_NAMED = 3


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
    first_rejects: tuple[RejectedImage, ...] = ()
    """A few of them, in the order of `REJECTS`: enough to name what to look at first."""
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
    shards: Sequence[FinishedShard],
    *,
    classes: Sequence[str],
    titles: tuple[str, ...] | None,
    multi_label: bool = False,
) -> SourceOutcome:
    """What the shards hold, those of a split in their order. A split without any usable image is
    not part of the dataset; where no split has one, `InputError` is raised."""
    by_split: dict[Split, list[FinishedShard]] = {}
    for shard in shards:
        by_split.setdefault(shard.split, []).append(shard)
    unusable = tuple(
        split for split, own in by_split.items() if not any(len(shard.keys) for shard in own)
    )
    if len(unusable) == len(by_split):
        raise InputError("no image is usable")
    for split in unusable:
        del by_split[split]
    reports = [shard.report for shard in shards]
    treatments = added_up(report.treatments for report in reports)
    used = (shard.labels for own in by_split.values() for shard in own)
    width = max((labels.shape[1] for labels in used), default=1) or 1
    info = DatasetInfo(
        classes=tuple(classes),
        class_titles=titles,
        multi_label=multi_label,
        max_labels=width,
        splits={split: _split_info(own) for split, own in by_split.items()},
    )
    return SourceOutcome(
        info=info,
        keys={s: np.concatenate([shard.keys for shard in own]) for s, own in by_split.items()},
        labels={
            split: np.concatenate([padded(shard.labels, width) for shard in own])
            for split, own in by_split.items()
        },
        converted=added_up(report.converted for report in reports),
        differ=added_up(report.differ for report in reports),
        warnings=added_up(report.warnings for report in reports),
        treatments={name: treatments[name] for name in TREATMENTS if name in treatments},
        rejected=sum(len(report.rejects) for report in reports),
        first_rejects=_first_rejects(reports),
        unusable=unusable,
    )


def _first_rejects(reports: Sequence[ShardReport]) -> tuple[RejectedImage, ...]:
    rejects = (reject for report in reports for reject in report.rejects)
    return tuple(heapq.nsmallest(_REJECTS_NAMED, rejects, key=lambda reject: reject.id))


def _split_info(shards: Sequence[FinishedShard]) -> SplitInfo:
    return SplitInfo(
        shard_lengths=tuple(shard.report.records for shard in shards),
        record_bytes=sum(shard.report.record_bytes for shard in shards),
    )
