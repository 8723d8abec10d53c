"""The methods that every place has, so that no caller needs to know its kind.

Where a library needs a file on this machine, or a lease an object, `local` and `remote` say which
it is by giving it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Self, TypeVar

from vitctl.errors import InputError

T = TypeVar("T")
R = TypeVar("R")


class PlaceContract(ABC):
    """Beside it, a place has what `pathlib.Path` has for names and for looking: `name`, `suffix`,
    `parent`, `/`, `is_relative_to`, `is_file`, `is_dir`, `exists`, `stat`, `iterdir`, `open`,
    `read_bytes`, `read_text`, `absolute`, `resolve`; and two properties:

      local: itself if it is on this machine, as a path that can be given to a library; else None.
      remote: itself if it is in a bucket, as what requests are made for; else None.
    """

    __slots__ = ()

    # Names

    @abstractmethod
    def based(self) -> Self:
        """The same place, links on the way to which are its owner's."""

    @abstractmethod
    def inside(self, root: PlaceContract) -> str | None:
        """What to add to `root` to get here; None if this lies elsewhere."""

    # Looking

    @abstractmethod
    def children(self) -> list[Self]:
        """What is directly in this folder, sorted. Raises FileNotFoundError and NotADirectoryError
        where there is no such folder on a disk; in a bucket that is an empty one."""

    @abstractmethod
    def files_below(self, *, refuse_links: bool = False) -> list[str]:
        """Relative POSIX paths of all that is no folder, however deep. With `refuse_links`, raises
        LinkError for a link among them."""

    @abstractmethod
    def sizes(self, names: Iterable[str]) -> Iterator[int | OSError | InputError]:
        """Bytes of each of these files below, or why that isn't known (LinkError for a link)."""

    @abstractmethod
    def free_bytes(self) -> int | None:
        """Room on the disk that this is on, or would be on once it is made; None in a bucket, which
        tells of no end. Raises OSError."""

    @abstractmethod
    def blocks(self, *, sync: bool = False) -> Iterator[bytes]:
        """The content of a file in blocks; with `sync` it is made to survive a power cut first.
        Raises LinkError for a link."""

    @abstractmethod
    def read_part(self, begin: int, end: int) -> bytes:
        """Bytes `begin` to `end` of a file, fewer where it ends before. Raises
        FileNotFoundError."""

    @abstractmethod
    def read_itself(self) -> bytes:
        """The content of a file that is no link itself; the folders above are taken as they are.
        Raises LinkError."""

    @abstractmethod
    def links(self) -> list[str]:
        """Names directly in this folder that are symbolic links. A bucket has none."""

    @abstractmethod
    def refuse_link(self) -> None:
        """Raise LinkError if this, or a folder on the way to it from its base, is a link."""

    @property
    @abstractmethod
    def is_read_only(self) -> bool:
        """Whether it is known that nothing may be written here; of a bucket that is known when it
        is tried."""

    @abstractmethod
    def stands_in_the_way(self) -> Self | None:
        """What keeps this from being a folder: itself or one above it that is there and is none.
        Objects stand in nobody's way."""

    @abstractmethod
    def each(
        self, function: Callable[[T], R], items: Iterable[T], *, reads: bool = False
    ) -> list[R]:
        """`function` of each item, which asks for something below here, in their order: several at
        a time in a bucket, where each waits for its answer; on a disk if it `reads` files."""

    # Changing. Each asks `vitctl.places.guards` first, where something is replaced or removed.

    @abstractmethod
    def write_atomic(self, content: bytes) -> None:
        """Replace a file; after a crash it holds the old or the new bytes whole."""

    @abstractmethod
    def write_new(self, content: bytes) -> None:
        """`write_atomic`; in a bucket FileExistsError where there is one already: of two that both
        think they hold its lease, one writes. (On a disk a lock keeps the other out.)"""

    @abstractmethod
    def write_behind(self, content: bytes) -> None:
        """`write_atomic`; in a bucket sometime soon, and not at all if that fails."""

    @abstractmethod
    def remove(self, *, missing_ok: bool = False) -> None:
        """Remove a file; of a link only the link itself."""

    @abstractmethod
    def remove_tree(self, *, ignore_errors: bool = False) -> None:
        """Remove a folder with all that is in it."""

    @abstractmethod
    def remove_if_empty(self) -> None:
        """Remove a folder, if nobody has put something there. A bucket has none."""

    @abstractmethod
    def make_folder(self) -> None:
        """The folder, and those above it, made where they are not there. A bucket has none."""

    @abstractmethod
    def sync(self) -> None:
        """Make a file, or the names in a folder, survive a power cut. An object does."""
