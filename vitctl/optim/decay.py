"""Which parameters decay, by rules on names: the first match wins, and every name must match."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from vitctl.optim.config import OptimConfig

Group = Literal["head", "body", "none"]

RULES: tuple[tuple[str, Group], ...] = (
    (r"head/kernel", "head"),
    (r".*/kernel", "body"),
    (r".*/(bias|scale)", "none"),
    (r"position|cls|map_head/probe", "none"),
)
"""Paper section 3.1: the classifier's own decay is worth 5 points of few-shot accuracy. Only
kernels decay; `map_head/...` is body, since patterns match whole names."""


def groups(names: Iterable[str], *, rules: Sequence[tuple[str, Group]] = RULES) -> dict[str, Group]:
    """The decay group of each parameter name.

    Raises:
      ValueError: a name matches no rule. A new parameter needs a decision, not a default.
    """
    found: dict[str, Group] = {}
    uncovered = []
    for name in names:
        matches = (group for pattern, group in rules if re.fullmatch(pattern, name))
        group = next(matches, None)
        if group is None:
            uncovered.append(name)
        else:
            found[name] = group
    if uncovered:
        raise ValueError(f"no weight decay rule covers {', '.join(uncovered)}")
    return found


def decays(names: Iterable[str], *, config: OptimConfig) -> dict[str, float]:
    """The decay of each parameter name under `config`."""
    value = {"head": config.wd_head, "body": config.wd_body, "none": 0.0}
    return {name: value[group] for name, group in groups(names).items()}
