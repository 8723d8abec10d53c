"""Parts of one job, as in `--part 2/8`: what the second of eight machines does.

Every machine comes to the same division: it depends on the work alone, not on what is done already
or how fast a machine is.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Sequence
from dataclasses import dataclass

from vitctl.errors import UsageError
from vitctl.text.quoting import quoted


@dataclass(frozen=True)
class JobPart:
    """Part `index`, from 1, of `count`."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @property
    def in_a_name(self) -> str:
        """As folders are named by it."""
        return f"part-{self.index}-of-{self.count}"


def parsed_part(text: str) -> JobPart:
    """`2/8` -> part 2 of 8. Raises UsageError."""
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
    index, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= index <= count:
        raise UsageError(
            f"--part {quoted(text)} is no part",
            hint="as in --part 2/8, the second of eight; the first is 1/8, the last 8/8",
        )
    return JobPart(index, count)


def rows_of(part: JobPart, costs: Sequence[float], *, pieces: str) -> list[int]:
    """The rows of `costs` that a part does, in their order: at least one. The largest goes first to
    whichever part has least (the greedy rule of Graham, 1969: at most 4/3 of the best makespan).

    Raises UsageError for more parts than there are pieces of work; `pieces` says what these are, as
    in "the grid has 4 trunks, each of which is one run".
    """
    if part.count > len(costs):
        most = JobPart(min(part.index, len(costs)), len(costs))
        raise UsageError(
            f"--part {part}: {pieces}", hint=f"at most {len(costs)} parts: --part {most}"
        )
    loads = [(0.0, index) for index in range(1, part.count + 1)]
    owner: dict[int, int] = {}
    for row in sorted(range(len(costs)), key=lambda row: (-costs[row], row)):
        load, index = heapq.heappop(loads)
        owner[row] = index
        heapq.heappush(loads, (load + costs[row], index))
    return [row for row in range(len(costs)) if owner[row] == part.index]
