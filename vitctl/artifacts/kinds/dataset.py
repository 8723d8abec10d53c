"""What is recorded of a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import Field

from vitctl.summaries import Count, Part, Share, Summary
from vitctl.text.quantities import counted


class Clusters(Part):
    """Clusters that label images, made by `vitctl cluster`."""

    count: Count = Field(description="Number of clusters.")
    iterations: Count = Field(description="Iterations of k-means.")
    inertia: float = Field(
        ge=0,
        description="Mean squared distance of an image's features from its center, normalized as "
        "the clusters' settings say.",
    )
    smallest: Count = Field(description="Images in the smallest cluster, of the split fitted to.")
    median: float = Field(ge=0, description="Images in the median cluster.")
    largest: Count = Field(description="Images in the largest cluster.")
    empty: Count = Field(description="Clusters without an image.")
    balance: Share = Field(
        description="Entropy of the clusters' sizes as a share of that of even ones."
    )
    agreement: float | None = Field(
        description="Normalized mutual information with the labels that the images had, which took "
        "no part; null where they had none, or several each.",
    )

    def phrase(self) -> str:
        """In one line."""
        return f"{self.smallest:,} to {self.largest:,} images a cluster"


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

    clusters: Clusters | None = Field(
        default=None,
        description="Of images that are labelled by their clusters (`vitctl cluster`).",
    )

    @classmethod
    def of_clusters(cls, clusters: Clusters, *, examples: Mapping[str, int]) -> Dataset:
        """Of images that lie elsewhere and are labelled by their clusters."""
        plain = cls.without_files(classes=clusters.count, examples=examples)
        return cls.model_validate({**plain.as_json(), "clusters": clusters.as_json()})

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
        if self.clusters is not None:
            yield counted(self.clusters.count, "cluster")
            yield self.clusters.phrase()
        else:
            yield counted(self.classes, "class") if self.classes else "no labels"
        for split, examples in self.examples.items():
            whole = self.selected_from.get(split, examples)
            yield f"{examples:,} {split}" + (f" of {whole:,}" if whole != examples else "")
        duplicates = sum(self.left_out.values())
        yield f"{counted(duplicates, 'duplicate')} left out" if duplicates else ""
        yield f"{self.rejected:,} rejected" if self.rejected else ""
