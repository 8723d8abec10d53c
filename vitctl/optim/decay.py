"""Which parameters decay: a table by role."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, assert_never

from vitctl.model.roles import RoleTable
from vitctl.optim.config import OptimConfig

Group = Literal["head", "body", "none"]

GROUPS: RoleTable[Group] = RoleTable(
    "weight decay",
    (
        (r"head/kernel", "head"),
        (r".*/kernel", "body"),
        (r".*/(bias|scale)", "none"),
        (r"position|cls|registers|map_head/probe", "none"),
    ),
)
"""Paper section 3.1: the classifier's own decay is worth 5 points of few-shot accuracy. Only
kernels decay; `map_head/...` is body, since patterns match whole roles."""


def decays(names: Iterable[str], *, config: OptimConfig) -> dict[str, float]:
    """The decay of each parameter name under `config`. ValueError for one without a rule."""
    return {name: _decay(group, config=config) for name, group in GROUPS.of(names).items()}


def _decay(group: Group, *, config: OptimConfig) -> float:
    match group:
        case "head":
            return config.wd_head
        case "body":
            return config.wd_body
        case "none":
            return 0.0
        case _:
            assert_never(group)
