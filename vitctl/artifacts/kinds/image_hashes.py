"""What is recorded of the hashes of a dataset's images."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from vitctl.summaries import Count, Summary
from vitctl.text.quantities import counted


class ImageHashes(Summary):
    """Hashes of images, made by `vitctl dedup` on its way and used again by it."""

    dataset: str = Field(description="Name of the dataset.")
    split: str = Field(description="Whose images they are of.")
    examples: Count = Field(description="Images.")
    unreadable: Count = Field(description="Images that Pillow cannot decode.")
    flat: Count = Field(description="Images of one colour, which are compared exactly alone.")

    def phrases(self) -> Iterable[str]:
        yield f"{self.dataset} {self.split}"
        yield counted(self.examples, "image")
        yield f"{self.unreadable:,} unreadable" if self.unreadable else ""
