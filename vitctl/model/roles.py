"""What each parameter is given by its role: weight decay, axes on devices, another code's name.

A role is a parameter's name, as in `attention/query/kernel`, without the prefix of the stacked
layers: a layer's parameter plays the same role whether layers are stacked or not. A table lists
rules, the first match wins, and every parameter must match one: a new parameter needs a decision,
not a default. Rules that match nothing in any model of the family are an error in the tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

STACKED = "blocks"
"""The subtree whose every array has a leading layer axis; each layer is a parameter of its own."""

T = TypeVar("T")


@dataclass(frozen=True)
class RoleTable(Generic[T]):
    """Rules (pattern of the whole role, value), in the order in which they are tried.

    Attributes:
      subject: what the values are, as an error names it, e.g. "weight decay".
    """

    subject: str
    rules: tuple[tuple[str, T], ...]

    def of(self, names: Iterable[str]) -> dict[str, T]:
        """The value of each name. ValueError, with every name that no rule matches."""
        return {name: value for name, (_, value) in self.matches(names).items()}

    def matches(self, names: Iterable[str]) -> dict[str, tuple[re.Match[str], T]]:
        """The match of each name's role beside its value, for values that are templates.

        Raises:
          ValueError: no rule matches some names; the error lists them all.
        """
        by_name: dict[str, tuple[re.Match[str], T]] = {}
        uncovered = []
        for name in names:
            tried = ((re.fullmatch(pattern, role(name)), value) for pattern, value in self.rules)
            first = next(((match, value) for match, value in tried if match is not None), None)
            if first is None:
                uncovered.append(name)
            else:
                by_name[name] = first
        if uncovered:
            raise ValueError(f"no {self.subject} rule covers {', '.join(uncovered)}")
        return by_name

    def unused(self, names: Iterable[str]) -> list[str]:
        """Patterns that are the first match of none of these names, in the order of the rules."""
        used = {match.re.pattern for match, _ in self.matches(names).values()}
        return [pattern for pattern, _ in self.rules if pattern not in used]


def role(name: str) -> str:
    """The name without the prefix of the stacked layers.

    >>> role("blocks/mlp/up/kernel")
    'mlp/up/kernel'
    """
    return name.removeprefix(f"{STACKED}/")


def is_stacked(name: str) -> bool:
    """Whether the parameter has a layer axis in front."""
    return name.startswith(f"{STACKED}/")
