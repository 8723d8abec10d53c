"""Which trunks one of several machines trains. Every machine comes to the same division: it depends
on the grid alone, not on what is trained already or how fast a machine is."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence

from stages.sweep.trunks import GridTrunk
from vitctl.errors import UsageError


def part_of(trunks: Sequence[GridTrunk], *, index: int, count: int) -> tuple[GridTrunk, ...]:
    """Part `index`, from 1, of `count`: trunks in the order of the grid. The largest goes first to
    whichever part has least (the greedy rule of Graham, 1969: at most 4/3 of the best makespan).

    Raises UsageError for more parts than there are trunks: a trunk is one run.
    """
    if count > len(trunks):
        raise UsageError(
            f"--part {index}/{count}: the grid has {len(trunks)} trunks, each of which is one run",
            hint=f"at most {len(trunks)} parts: --part {min(index, len(trunks))}/{len(trunks)}",
        )
    sharing = Counter(trunk.search.key for trunk in trunks if trunk.search is not None)

    def cost(trunk: GridTrunk) -> float:
        search = trunk.search
        return trunk.flops + (0.0 if search is None else search.flops / sharing[search.key])

    loads = [(0.0, part) for part in range(1, count + 1)]
    owner: dict[int, int] = {}
    for place in sorted(range(len(trunks)), key=lambda place: (-cost(trunks[place]), place)):
        load, part = heapq.heappop(loads)
        owner[place] = part
        heapq.heappush(loads, (load + cost(trunks[place]), part))
    return tuple(trunk for place, trunk in enumerate(trunks) if owner[place] == index)
