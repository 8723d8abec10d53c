"""What is recorded of a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import Field

from vitctl.summaries import Count, Summary


class Dataset(Summary):
    """A dataset, made by `vitctl shard` or of others."""

    classes: Count = Field(description="Number of classes; 0 of images without labels.")
    examples: dict[str, Count] = Field(description="Images in each split.")
    shards: dict[str, Count] = Field(description="Files in each split.")
    bytes: Count = Field(description="Bytes of all shards.")
    converted: dict[str, Count] = Field(
        description="Images stored as PNG because training or other readers would decode their "
        "bytes otherwise: reason -> how many."
    )
    differ: dict[str, Count] = Field(
        default={},
        description="Images kept as they are (--keep-bytes) of which other readers make other "
        "pixels or channels than training: reason -> how many.",
    )
    treatments: dict[str, Count] = Field(
        default={},
        description="Images whose pixels were changed on request (--max-side, --encode, --srgb, "
        "--background): what was done -> how many. An image counts for each thing that was done.",
    )
    rejected: Count = Field(description="Bad images that were left out; rejects.jsonl lists them.")
    skipped: dict[str, Count] = Field(
        description="Files that are no images: what they are -> how many."
    )

    selected_from: dict[str, Count] = Field(
        default={},
        description="Of some images of another dataset (`vitctl subset`): images in each split "
        "there.",
    )

    left_out: dict[str, Count] = Field(
        default={},
        description="Of a dataset without duplicates (`vitctl dedup`): how they are equal (bytes, "
        "pixels or near) -> images left out.",
    )

    @classmethod
    def without_files(
        cls, *, classes: int, examples: Mapping[str, int], **more: Mapping[str, int]
    ) -> Dataset:
        """Of a dataset whose images lie elsewhere or are made when they are read."""
        return cls.model_validate(
            {
                "classes": classes,
                "examples": dict(examples),
                "shards": dict.fromkeys(examples, 0),
                "bytes": 0,
                "converted": {},
                "differ": {},
                "rejected": 0,
                "skipped": {},
                **more,
            }
        )

    def phrases(self) -> Iterable[str]:
        yield f"{self.classes:,} classes" if self.classes else "no labels"
        for split, examples in self.examples.items():
            whole = self.selected_from.get(split, examples)
            yield f"{examples:,} {split}" + (f" of {whole:,}" if whole != examples else "")
        duplicates = sum(self.left_out.values())
        yield f"{duplicates:,} duplicates left out" if duplicates else ""
        yield f"{self.rejected:,} rejected" if self.rejected else ""
