"""Shards that are made, whoever made them: what describing and publishing them takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitctl.data.order import sample_key
from vitctl.ingest.columns import Entries
from vitctl.ingest.write.shard_plan import NumberedShard, Unit
from vitctl.ingest.write.shard_writer import ShardReport


@dataclass(frozen=True, eq=False)
class FinishedShard(NumberedShard):
    """A shard with n records, in their order.

    Attributes:
      report: what came out of its images.
      keys: uint64[n], the first 8 bytes of the sha256 of each id.
      labels: int32[n, w], -1 where an image has fewer labels than the one with most.
    """

    report: ShardReport
    keys: NDArray[np.uint64]
    labels: NDArray[np.int32]


def finished_shards(
    units: Sequence[Unit], reports: Sequence[ShardReport]
) -> tuple[FinishedShard, ...]:
    """Of units and what came out of them; rejected images are left out."""
    pairs = zip(units, reports, strict=True)
    return tuple(_finished(unit, report) for unit, report in pairs)


def _finished(unit: Unit, report: ShardReport) -> FinishedShard:
    usable = np.ones(len(unit.entries), bool)
    usable[[reject.position for reject in report.rejects]] = False
    entries = unit.entries.where(usable)
    width = int(entries.label_counts.max(initial=0))
    return FinishedShard(
        unit.split, unit.index, unit.shards, report, _keys(entries), _padded(entries, width)
    )


def padded(labels: NDArray[np.int32], width: int) -> NDArray[np.int32]:
    """int32[n, w] -> int32[n, width], with -1 behind."""
    return np.pad(labels, ((0, 0), (0, width - labels.shape[1])), constant_values=-1)


def _keys(entries: Entries) -> NDArray[np.uint64]:
    return np.fromiter(map(sample_key, map(bytes.decode, entries.ids)), "<u8", len(entries))


def _padded(entries: Entries, width: int) -> NDArray[np.int32]:
    """int32[n, width], -1 where an image has fewer labels."""
    labels = np.full((len(entries), width), -1, "<i4")
    counts = entries.label_counts
    places = np.arange(len(entries.labels)) - np.repeat(entries.label_ends - counts, counts)
    labels[entries.rows_of_labels, places] = entries.labels
    return labels
