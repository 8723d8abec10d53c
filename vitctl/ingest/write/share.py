"""How many images of each class are held out, where a share of all is wanted."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Literal

ShareOf = Literal["class", "image"]
"""What a share is held out of: each class, or all images by a hash of each alone."""


def shares(sizes: Mapping[str, int], *, fraction: float) -> dict[str, int]:
    """How many images of each class are held out: its share, rounded so that all together are the
    share of all (largest remainders, of equal ones by a hash of the name), and never all of it.

    One more image of a class changes its own number, and by one that of one other at most.
    """
    exact = {name: size * fraction for name, size in sizes.items()}
    counts = {name: min(math.floor(exact[name]), size - 1) for name, size in sizes.items()}
    left = math.floor(sum(sizes.values()) * fraction + 0.5) - sum(counts.values())
    open_to_more = [name for name, size in sizes.items() if counts[name] + 1 < size]
    by_remainder = sorted(
        open_to_more,
        key=lambda name: (counts[name] - exact[name], hashlib.sha256(name.encode()).digest()),
    )
    for name in by_remainder[: max(0, left)]:
        counts[name] += 1
    return counts
