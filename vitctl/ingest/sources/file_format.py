"""What a format of sources is: how its files look, and what lists them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vitctl.ingest.choices import Choices
from vitctl.ingest.listing import Listing
from vitctl.ingest.sources.array_files import ArrayFile
from vitctl.ingest.sources.format_names import FormatName


@dataclass(frozen=True)
class Format:
    """A way in which images are stored in files.

    Attributes:
      name: what `--format` calls it.
      description: what it is, in a list of all.
      recognises: whether a file is of this format, from its first bytes, decompressed, and its
        path; None for one that is never guessed.
      list_files: lists files of this format.
      is_table: whether images and labels are columns.
      is_tree: whether it may hold tables of labels.
      fits, list_array_files: the first two for files of arrays of pixels, wherever they lie, so
        that a folder or an archive of such files is a source; None for other formats.
    """

    name: FormatName
    description: str
    recognises: Callable[[bytes, bytes], bool] | None
    list_files: Callable[[str, Sequence[bytes], Choices], Listing]
    is_table: bool = False
    is_tree: bool = False
    fits: Callable[[bytes, ArrayFile], bool] | None = None
    list_array_files: Callable[[str, Sequence[ArrayFile], Choices], Listing] | None = None

    @classmethod
    def of_arrays(
        cls,
        name: FormatName,
        description: str,
        fits: Callable[[bytes, ArrayFile], bool],
        list_files: Callable[[str, Sequence[ArrayFile], Choices], Listing],
    ) -> Format:
        """A format of arrays of pixels."""
        return cls(
            name,
            description,
            lambda head, path: fits(head, ArrayFile.on_disk(path)),
            lambda given, paths, choices: list_files(
                given, [ArrayFile.on_disk(path) for path in paths], choices
            ),
            fits=fits,
            list_array_files=list_files,
        )
