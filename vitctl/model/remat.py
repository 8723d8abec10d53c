"""What the backward pass computes again instead of keeping. Imports no array library.

The rungs of a ladder, from most memory and least work to the reverse; what each keeps of a block is
`vitctl.model.vit.SAVED`.
"""

from __future__ import annotations

from typing import Literal, get_args

Remat = Literal["none", "dots", "mlp", "full"]
RematChoice = Literal["auto", Remat]
"""`auto` takes the first rung that fits."""

LADDER: tuple[Remat, ...] = get_args(Remat)
