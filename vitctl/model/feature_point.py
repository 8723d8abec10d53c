"""Where in a model features are read. Imports no array library."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vitctl.errors import UsageError
from vitctl.text.quoting import quoted

PATTERN = r"^(pre_logits|tokens|block:[1-9][0-9]*)$"
"""As settings and summaries have it."""
PRE_LOGITS = "pre_logits"


@dataclass(frozen=True)
class Point:
    """`blocks`: how many blocks images go through, None for all. `pooled`: what comes after them is
    the model's own head, up to its `pre_logits`; else the mean over the patches' tokens, after the
    model's last norm (before it in a model that pools first and norms then)."""

    blocks: int | None
    pooled: bool


def parse(text: str, *, depth: int) -> Point:
    """`pre_logits`, `tokens` or `block:7` in a model of so many blocks.

    Raises UsageError for other text and for a block that the model lacks.
    """
    if not re.match(PATTERN, text):
        raise UsageError(
            f"--at {quoted(text)} is not a point of the model",
            hint="pre_logits (what the classifier sees), tokens (the mean of the last tokens) or "
            f"block:N, the mean of the tokens after N blocks, up to block:{depth}",
        )
    if not text.startswith("block:"):
        return Point(None, text == PRE_LOGITS)
    blocks = int(text.removeprefix("block:"))
    if blocks > depth:
        raise UsageError(
            f"--at {text}: the model has {depth} blocks", hint=f"the last one is block:{depth}"
        )
    return Point(blocks, False)
