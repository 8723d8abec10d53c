"""A value for each image of a split: an array, or arithmetic on positions where an array of all
would not fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vitctl.errors import DoesNotFitError

_MOST_BYTES = 4 * 2**30


class Column(Protocol):
    """One row an image; every NumPy array is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, positions: Any, /) -> Any:
        """The rows at int64[b] positions."""

    def __array__(self, dtype: Any = None, /) -> NDArray[Any]: ...


def by_part(
    end_offsets: NDArray[np.int64], positions: NDArray[np.int64]
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """Positions, int64[b], in parts that lie one after the other and end before `end_offsets`,
    int64[m]: of each part that has some its number, the places of those in `positions`, and where
    they are within the part."""
    part_of = np.searchsorted(end_offsets, positions, side="right")
    for number in np.unique(part_of).tolist():
        places = np.flatnonzero(part_of == number)
        yield number, places, positions[places] - (end_offsets[number - 1] if number else 0)


class Computed:
    """`rows(positions)` for int64[b] positions below `length`, as an array would give them.

    `most_bytes`: of all rows at once; None where something as large is in memory already.
    """

    def __init__(
        self,
        length: int,
        rows: Callable[[NDArray[np.int64]], NDArray[Any]],
        *,
        what: str,
        most_bytes: int | None = _MOST_BYTES,
    ) -> None:
        self._length = length
        self._rows = rows
        self._what = what
        self.most_bytes = most_bytes

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, positions: Any, /) -> NDArray[Any]:
        return self._rows(np.asarray(positions, np.int64))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All rows. Raises `DoesNotFitError` where they are more than `most_bytes`."""
        del copy
        if self.most_bytes is not None:
            size = self._rows(np.zeros(1, np.int64)).nbytes * self._length
            if size > self.most_bytes:
                raise DoesNotFitError(
                    f"all {self._length:,} {self._what} at once take {size / 2**30:,.0f} GiB",
                    hint="use a smaller set for this",
                )
        rows = self._rows(np.arange(self._length, dtype=np.int64))
        return rows if dtype is None else rows.astype(dtype, copy=False)


def most_bytes_of(*columns: Column) -> int | None:
    """The `most_bytes` of a column that is computed from these."""
    stored = all(
        isinstance(column, np.ndarray)
        or (isinstance(column, Computed) and column.most_bytes is None)
        for column in columns
    )
    return None if stored else _MOST_BYTES
