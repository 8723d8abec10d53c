"""What is recorded of a part of a dataset."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from vitctl.summaries import Count, Summary


class DatasetPart(Summary):
    """A part of a dataset, made by `vitctl shard --part`: `vitctl merge` makes the dataset of all
    parts."""

    dataset: str = Field(description="Id of the dataset that all parts make.")
    name: str = Field(description="Name of the dataset.")
    index: int = Field(ge=1, description="Which part it is, from 1.")
    count: int = Field(ge=1, description="Number of parts.")
    examples: dict[str, Count] = Field(description="Images of each split in this part.")
    shards: dict[str, Count] = Field(description="Files of each split in this part.")
    bytes: Count = Field(description="Bytes of its shards.")
    rejected: Count = Field(description="Bad images that were left out; rejects.jsonl lists them.")

    def phrases(self) -> Iterable[str]:
        yield f"part {self.index} of {self.count} of {self.name}"
        for split, examples in self.examples.items():
            yield f"{examples:,} {split}"
        yield f"{self.rejected:,} rejected" if self.rejected else ""
