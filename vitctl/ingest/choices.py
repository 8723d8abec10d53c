"""What a user says of a source beside its name; every format obeys the same."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from vitctl.ingest.folder_layout import LayoutName


@dataclass(frozen=True)
class Choices:
    """How images are labelled and split, and which are left out.

    Attributes:
      labels: id -> class names, of a label file that replaces what the source says.
      unlabelled: whether images are taken without labels.
      layout: what folders or names mean where they leave it open.
      exclude: top folders, classes and ids that are left out.
      image_column: the column of a table that holds the images, where several could.
      label_column: the column of a table that holds the labels, where several could.
    """

    labels: Mapping[str, tuple[str, ...]] | None = None
    unlabelled: bool = False
    layout: LayoutName | None = None
    exclude: Collection[str] = ()
    image_column: str | None = None
    label_column: str | None = None

    @property
    def takes_labels(self) -> bool:
        """Whether labels are those of the source itself."""
        return self.labels is None and not self.unlabelled
