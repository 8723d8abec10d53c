"""Which trunks one of several machines trains: a function of the grid alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from stages.sweep.trunks import GridTrunk
from vitctl.job_parts import JobPart, rows_of


def part_of(trunks: Sequence[GridTrunk], part: JobPart) -> tuple[GridTrunk, ...]:
    """The trunks of a part in the order of the grid, divided by FLOPs.

    Raises UsageError for more parts than there are trunks: a trunk is one run.
    """
    sharing = Counter(trunk.search.key for trunk in trunks if trunk.search is not None)

    def cost(trunk: GridTrunk) -> float:
        search = trunk.search
        return trunk.flops + (0.0 if search is None else search.flops / sharing[search.key])

    pieces = f"the grid has {len(trunks)} trunks, each of which is one run"
    rows = rows_of(part, [cost(trunk) for trunk in trunks], pieces=pieces)
    return tuple(trunks[row] for row in rows)
