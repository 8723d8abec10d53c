"""Which axes of a parameter are divided, by its role: the first match wins, and every name must
match."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from vitctl.model.names import STACKED

Axis = Literal["fsdp", "tensor"]
Axes = tuple[Axis | None, ...]
"""One entry an axis of the parameter; () means whole on every device."""

RULES: tuple[tuple[str, Axes], ...] = (
    (r"embedding/kernel", (None, None, None, "fsdp")),
    (r"position", (None, None, "fsdp")),
    (r"(.*/)?attention/(query|key|value)/kernel", ("fsdp", "tensor", None)),
    (r"(.*/)?attention/(query|key|value)/bias", ("tensor", None)),
    (r"(.*/)?attention/out/kernel", ("tensor", None, "fsdp")),
    (r"(.*/)?mlp/up/kernel", ("fsdp", "tensor")),
    (r"(.*/)?mlp/up/bias", ("tensor",)),
    (r"(.*/)?mlp/down/kernel", ("tensor", "fsdp")),
    (r"(pre_logits|head)/kernel", ("fsdp", None)),
    (r"(.*/)?(bias|scale)|cls|map_head/probe", ()),
)
"""`tensor` divides heads and hidden features, so that a block's two products need one sum over
devices each (https://arxiv.org/abs/1909.08053). `fsdp` divides the width, which every kernel has:
only storage, as kernels are gathered before use. Vectors are too small to divide."""


def axes_of(names: Iterable[str], *, rules: Sequence[tuple[str, Axes]] = RULES) -> dict[str, Axes]:
    """name -> axes; stacked parameters have a layer axis in front, which is never divided.

    Raises:
      ValueError: a name matches no rule. A new parameter needs a decision, not a default.
    """
    found: dict[str, Axes] = {}
    uncovered = []
    for name in names:
        stacked = name.startswith(f"{STACKED}/")
        role = name.removeprefix(f"{STACKED}/") if stacked else name
        axes = next((axes for pattern, axes in rules if re.fullmatch(pattern, role)), None)
        if axes is None:
            uncovered.append(name)
        else:
            found[name] = (None, *axes) if stacked and axes else axes
    if uncovered:
        raise ValueError(f"no sharding rule covers {', '.join(uncovered)}")
    return found


def is_axes(value: object) -> bool:
    """Whether this is one array's axes, in a tree of them (whose nodes may be tuples, too)."""
    return type(value) is tuple and all(a is None or isinstance(a, str) for a in value)
