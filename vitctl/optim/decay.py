"""Which parameters decay: a table by role."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, assert_never

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


class Decays(NamedTuple):
    """The decay of the classifier's kernel and of every other one: numbers, or scalars on devices,
    traced or not."""

    head: Any
    body: Any

    @classmethod
    def of(cls, config: OptimConfig) -> Decays:
        return cls(head=config.wd_head, body=config.wd_body)


def decays(names: Iterable[str], *, of: Decays) -> dict[str, Any]:
    """The decay of each parameter name, one of `of` or 0.0. ValueError for one without a rule."""
    return {name: _decay(group, of=of) for name, group in GROUPS.of(names).items()}


def _decay(group: Group, *, of: Decays) -> Any:
    match group:
        case "head":
            return of.head
        case "body":
            return of.body
        case "none":
            return 0.0
        case _:
            assert_never(group)
