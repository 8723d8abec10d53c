"""Which axes of a parameter are divided: a table by role."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from vitctl.model.roles import RoleTable, is_stacked

Axis = Literal["fsdp", "tensor"]
Axes = tuple[Axis | None, ...]
"""One entry an axis of the parameter; () means whole on every device."""

DIVIDED: RoleTable[Axes] = RoleTable(
    "sharding",
    (
        (r"embedding/kernel", (None, None, None, "fsdp")),
        (r"position", (None, None, "fsdp")),
        (r"(.*/)?attention/(query|key|value)/kernel", ("fsdp", "tensor", None)),
        (r"(.*/)?attention/(query|key|value)/bias", ("tensor", None)),
        (r"(.*/)?attention/out/kernel", ("tensor", None, "fsdp")),
        (r"(.*/)?mlp/(up|gate)/kernel", ("fsdp", "tensor")),
        (r"(.*/)?mlp/(up|gate)/bias", ("tensor",)),
        (r"(.*/)?mlp/down/kernel", ("tensor", "fsdp")),
        (r"(pre_logits|head)/kernel", ("fsdp", None)),
        (r"(.*/)?(bias|scale)|cls|registers|map_head/probe", ()),
    ),
)
"""`tensor` divides heads and hidden features, so that a block's two products need one sum over
devices each (https://arxiv.org/abs/1909.08053). `fsdp` divides the width, which every kernel has:
only storage, as kernels are gathered before use. Vectors are too small to divide."""


def axes_of(names: Iterable[str]) -> dict[str, Axes]:
    """name -> axes; stacked parameters have a layer axis in front, which is never divided.

    Raises:
      ValueError: a name matches no rule.
    """
    return {
        name: (None, *axes) if is_stacked(name) and axes else axes
        for name, axes in DIVIDED.of(names).items()
    }


def is_axes(value: object) -> bool:
    """Whether this is one array's axes, in a tree of them (whose nodes may be tuples, too)."""
    return type(value) is tuple and all(a is None or isinstance(a, str) for a in value)
