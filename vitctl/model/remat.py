"""What the backward pass computes again instead of keeping. Imports no array library.

The rungs of a ladder, from most memory and least work to the reverse; what each keeps of a block is
`vitctl.model.vit.SAVED`.
"""

from __future__ import annotations

from typing import Literal, get_args

Remat = Literal["none", "dots", "mlp", "full"]
RematChoice = Literal["auto", Remat]
"""`auto` takes the first of `to_try` that fits."""

LADDER: tuple[Remat, ...] = get_args(Remat)
_FROM_FASTEST = LADDER[LADDER.index("dots") :]
"""What "none" keeps beyond "dots" takes longer to write and read than to compute again: 11 % of a
step of S/16 on a CPU, and a fourth to a third on TPUs by the compiler's count
(docs/guide/layouts.md)."""


def to_try(choice: RematChoice, *, before: Remat | None = None) -> tuple[Remat, ...]:
    """The rungs that a run may take, the fastest first.

    `before`: what its last start took on such devices. It comes first, as a run that goes on in
    another way is the same up to rounding only.
    """
    if choice != "auto":
        return (choice,)
    if before is None:
        return _FROM_FASTEST
    return (before, *(rung for rung in _FROM_FASTEST if rung != before))
