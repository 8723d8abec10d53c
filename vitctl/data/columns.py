"""A value for each image of a split: an array, or arithmetic on positions where an array of all
would not fit in memory."""

from __future__ import annotations

from collections.abc import Callable
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


class Computed:
    """`rows(positions)` for int64[b] positions below `length`, as an array would give them."""

    def __init__(
        self, length: int, rows: Callable[[NDArray[np.int64]], NDArray[Any]], *, what: str
    ) -> None:
        self._length = length
        self._rows = rows
        self._what = what

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, positions: Any, /) -> NDArray[Any]:
        return self._rows(np.asarray(positions, np.int64))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All rows. Raises `DoesNotFitError` where they are more than 4 GiB."""
        del copy
        size = self._rows(np.zeros(1, np.int64)).nbytes * self._length
        if size > _MOST_BYTES:
            raise DoesNotFitError(
                f"all {self._length:,} {self._what} at once take {size / 2**30:,.0f} GiB",
                hint="use a smaller set for this",
            )
        rows = self._rows(np.arange(self._length, dtype=np.int64))
        return rows if dtype is None else rows.astype(dtype, copy=False)
