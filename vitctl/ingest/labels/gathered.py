"""Rows of a table by the image that each means: several rows of one image repeat, contradict or
complete each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

Names = tuple[str, ...]
K = TypeVar("K")


@dataclass(frozen=True)
class Gathered(Generic[K]):
    """Classes by image.

    Attributes:
      names: image -> its classes, in the order of the rows; of one whose rows contradict each
        other those of the first.
      contradicting: images whose rows say different classes, where these are not several of one.
      complete: images whose rows say different classes, and are read as several of one.
      repeated: how many rows say what another of their image says.
    """

    names: dict[K, Names]
    contradicting: frozenset[K]
    complete: frozenset[K]
    repeated: int

    def note(self, label: str) -> str | None:
        """A sentence, if rows are read as one label of several each."""
        if not self.complete:
            return None
        return (
            f"{len(self.complete):,} of {len(self.names):,} images have several rows with "
            f"different labels in {label}: each row is read as one label of several"
        )


def gathered(
    rows: Iterable[tuple[K, Names]], *, unite: bool = False, are_labels: bool = False
) -> Gathered[K]:
    """The classes of each image, of rows of (image, classes). Different rows of an image are parts
    of its labels with `unite`, as boxes are, or with `are_labels`, as a user says, or where most
    images have such; else a few images have contradicting ones."""
    first: dict[K, Names] = {}
    all_names: dict[K, dict[str, None]] = {}
    different: set[K] = set()
    repeated = 0
    for image, names in rows:
        if image not in first:
            first[image] = names
            all_names[image] = dict.fromkeys(names)
            continue
        if {*first[image]} != {*names}:
            different.add(image)
        else:
            repeated += 1
        all_names[image].update(dict.fromkeys(names))
    whole = {image: tuple(names) for image, names in all_names.items()}
    if unite:
        return Gathered(whole, frozenset(), frozenset(), 0)
    if are_labels or 2 * len(different) > len(first):
        return Gathered(whole, frozenset(), frozenset(different), repeated)
    return Gathered(first, frozenset(different), frozenset(), repeated)
