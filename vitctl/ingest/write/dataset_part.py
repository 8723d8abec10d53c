"""Some of a dataset's shards as an artifact of their own, made by one of several machines.

    part.json                                which part of which dataset, and what came out
    images-train.array_record-00003-of-00008 shards, as the dataset has them
    images-train.keys, images-train.labels   of the records of these shards, one after another
    rejects.jsonl                            images of this part that are left out

A part has the id of the dataset with `part` among its settings, so that what disagrees (another
listing of the source, another setting, another version) belongs to another dataset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vitctl.artifacts import Artifact, Draft, Recipe
from vitctl.artifacts.documents import document_bytes, read_document
from vitctl.artifacts.kinds import DATASET, DATASET_PART
from vitctl.artifacts.kinds.dataset_part import DatasetPart
from vitctl.data.dataset import Split, keys_name, labels_name
from vitctl.errors import InputError
from vitctl.ingest.write.finished import FinishedShard, padded
from vitctl.ingest.write.publishing import record_shards
from vitctl.ingest.write.shard_plan import NumberedShard
from vitctl.ingest.write.shard_writer import REPORTS, ShardReport
from vitctl.job_parts import JobPart
from vitctl.settings.config import Config

FORMAT = 1
DESCRIPTION = "part.json"
SETTING = "part"
"""The setting that is a part's own."""
_REMAKE = "make the part again: the command that made it, with --force"


class PartShard(Config):
    """A shard of a part, and what came out of its images."""

    split: Split
    index: int = Field(ge=0)
    report: ShardReport


class PartInfo(Config):
    """The content of `part.json`."""

    format: int = FORMAT
    index: int = Field(ge=1)
    count: int = Field(ge=1)
    dataset: str
    """The id of the dataset of all parts."""
    name: str
    """What the dataset is called."""
    source: str
    """How the source of the images was named."""
    images: int = Field(ge=0)
    """Of the whole source."""
    classes: tuple[str, ...]
    class_titles: tuple[str, ...] | None = None
    multi_label: bool = False
    max_labels: int = Field(ge=0)
    """L: the most labels any image of this part has."""
    skipped: dict[str, int]
    splits: dict[Split, int]
    """Shards of each split of the dataset, in the order of its splits."""
    shards: tuple[PartShard, ...]
    """Those of this part, in the order of the dataset."""

    @property
    def part(self) -> JobPart:
        return JobPart(self.index, self.count)


def publish_part(
    draft: Draft,
    shards: Sequence[FinishedShard],
    *,
    part: JobPart,
    name: str,
    source: str,
    images: int,
    classes: Sequence[str],
    titles: tuple[str, ...] | None,
    multi_label: bool,
    skipped: Mapping[str, int],
    splits: Mapping[Split, int],
) -> Artifact:
    """Write what describes a part's shards, which lie in the draft, and publish them."""
    width = max((shard.labels.shape[1] for shard in shards), default=0)
    info = PartInfo(
        index=part.index,
        count=part.count,
        dataset=whole_recipe(draft.recipe).id,
        name=name,
        source=source,
        images=images,
        classes=tuple(classes),
        class_titles=titles,
        multi_label=multi_label,
        max_labels=width,
        skipped=dict(sorted(skipped.items())),
        splits=dict(splits),
        shards=tuple(
            PartShard(split=shard.split, index=shard.index, report=shard.report) for shard in shards
        ),
    )
    (draft.path / DESCRIPTION).write_atomic(document_bytes(info))
    examples: dict[str, int] = {}
    counts: dict[str, int] = {}
    for split in splits:
        own = [shard for shard in shards if shard.split == split]
        if not own:
            continue
        keys = np.concatenate([shard.keys for shard in own])
        labels = np.concatenate([padded(shard.labels, width) for shard in own])
        (draft.path / keys_name(split)).write_atomic(keys.tobytes())
        (draft.path / labels_name(split)).write_atomic(labels.tobytes())
        examples[split], counts[split] = len(keys), len(own)
    record_shards(draft, shards)
    artifact = draft.publish(
        summary=DatasetPart(
            dataset=info.dataset,
            name=name,
            index=part.index,
            count=part.count,
            examples=examples,
            shards=counts,
            bytes=sum(shard.report.file_bytes for shard in shards),
            rejected=sum(len(shard.report.rejects) for shard in shards),
        ).as_json()
    )
    (draft.path / REPORTS).remove_tree()
    return artifact


def read_part(artifact: Artifact) -> PartInfo:
    """What describes a part. Raises InputError where it is damaged or is not that of the artifact,
    NewerFormatError for one of a later version."""
    artifact.require_files(lambda name: name == DESCRIPTION)
    info = read_document(
        artifact.path / DESCRIPTION,
        PartInfo,
        what="a part of a dataset",
        newest=FORMAT,
        missing=f"{artifact.path} is no part of a dataset (it has no {DESCRIPTION})",
        repair=_REMAKE,
    )
    own = whole_recipe(artifact.manifest.recipe).id, artifact.setting(SETTING)
    if own != (info.dataset, str(info.part)):
        raise InputError(
            f"{artifact.path / DESCRIPTION} is of another part than its artifact.json", hint=_REMAKE
        )
    return info


def shards_of(artifact: Artifact, info: PartInfo) -> list[FinishedShard]:
    """The shards of a part, in the order of the dataset. Raises InputError where the keys or labels
    are damaged."""
    sides = {name(shard.split) for shard in info.shards for name in (keys_name, labels_name)}
    artifact.require_files(sides.__contains__)
    shards = []
    for split, count in info.splits.items():
        own = [shard for shard in info.shards if shard.split == split]
        if not own:
            continue
        records = sum(shard.report.records for shard in own)
        keys = _side_file(artifact, keys_name(split), "<u8", records)
        labels = _side_file(artifact, labels_name(split), "<i4", records * info.max_labels)
        labels = labels.reshape(records, info.max_labels)
        first = 0
        for shard in own:
            rows = slice(first, first := first + shard.report.records)
            numbered = NumberedShard(split, shard.index, count)
            shards.append(_finished(numbered, shard.report, keys[rows], labels[rows]))
    return shards


def _finished(
    shard: NumberedShard,
    report: ShardReport,
    keys: NDArray[np.uint64],
    labels: NDArray[np.int32],
) -> FinishedShard:
    return FinishedShard(shard.split, shard.index, shard.shards, report, keys, labels)


def _side_file(artifact: Artifact, name: str, dtype: str, values: int) -> NDArray[Any]:
    content = (artifact.path / name).read_bytes()
    if len(content) != values * np.dtype(dtype).itemsize:
        raise InputError(
            f"{artifact.path / name} holds {len(content):,} bytes where "
            f"{values * np.dtype(dtype).itemsize:,} were written",
            hint=_REMAKE,
        )
    return np.frombuffer(content, dtype)


# The dataset of a part, and the parts of a dataset


def whole_recipe(recipe: Recipe) -> Recipe:
    """Of the dataset that a part is of; the same of a dataset itself."""
    config = {key: value for key, value in recipe.config.items() if key != SETTING}
    return recipe.model_copy(update={"config": config, "kind": DATASET.name})


def part_recipe(whole: Recipe, part: JobPart) -> Recipe:
    """Of a part of a dataset."""
    config = {**whole.config, SETTING: str(part)}
    return whole.model_copy(update={"config": config, "kind": DATASET_PART.name})
