"""The options of a source beside its name, the same for every format."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from vitctl.errors import UsageError
from vitctl.ingest.folder_layout import LayoutName
from vitctl.ingest.labels.label_file import LabelTable
from vitctl.ingest.labels.label_tables import LabelTables
from vitctl.ingest.labels.named_lists import NamedLists


@dataclass(frozen=True)
class Choices:
    """How images are labelled and split, and which are left out.

    Attributes:
      labels: a table of labels, or lists of images, that replaces what the source says.
      unlabelled: whether images are taken without labels.
      layout: what folders or names mean where they leave it open.
      exclude: top folders, classes and ids that are left out.
      image_column: the column of a table that holds the images, where several could.
      label_column: the column of a table that holds the labels, where several could.
      label_separator: what separates several labels in a cell of a table.
      multi_label: whether different rows of an image in a table are labels of it.
    """

    labels: LabelTable | LabelTables | NamedLists | None = None
    unlabelled: bool = False
    layout: LayoutName | None = None
    exclude: Collection[str] = ()
    image_column: str | None = None
    label_column: str | None = None
    label_separator: str | None = None
    multi_label: bool = False

    @property
    def names_columns(self) -> bool:
        """Whether anything is said of the columns of a table."""
        named = (self.image_column, self.label_column, self.label_separator)
        return self.multi_label or any(name is not None for name in named)

    def check_no_columns(self, source: str) -> None:
        """Raise UsageError where columns are named and there is no table."""
        if self.names_columns and self.labels is None:
            raise UsageError(
                "--image-column, --label-column, --label-separator and --multi-label are for "
                f"tables, and {source} is none"
            )

    @property
    def takes_labels(self) -> bool:
        """Whether labels are those of the source itself."""
        return self.labels is None and not self.unlabelled
