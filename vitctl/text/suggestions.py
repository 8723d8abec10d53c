"""Names near to one that is unknown, and the hint that offers them: all "did you mean" is here."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

_COMPARED = 256
"""Names that are compared letter by letter, which costs some 50 us each: of more, those that share
the most pairs of letters with the unknown name."""
_LONGEST = 200
"""Characters of a name that are compared: a comparison costs their square."""

_BEGINNING = 3
"""Letters by which a beginning tells what is meant: half of all names begin with any one letter."""


def suggest(
    name: str, known: Iterable[str], *, otherwise: str, count: int = 2, cutoff: float = 0.6
) -> str:
    """The hint on an unknown name: at most `count` of the `known` ones that are near to it, or
    `otherwise` where none is.

    >>> suggest("pretain", ["shard", "pretrain"], otherwise="see vitctl --help")
    'did you mean pretrain?'
    """
    return did_you_mean(nearest(name, known, count=count, cutoff=cutoff)) or otherwise


def did_you_mean(near: Sequence[str]) -> str | None:
    """The hint that offers these names; None for none.

    >>> did_you_mean(["a", "b", "c"])
    'did you mean a, b or c?'
    """
    return f"did you mean {either(near)}?" if near else None


def either(names: Sequence[str]) -> str:
    """Names as a choice: `a, b or c`."""
    *some, last = names
    return f"{', '.join(some)} or {last}" if some else last


def nearest(name: str, known: Iterable[str], *, count: int = 2, cutoff: float = 0.6) -> list[str]:
    """At most `count` of `known`, the nearest first, in spelling and whatever their case.

    Nearness is the share of letters in common runs (`difflib.SequenceMatcher.ratio`); `cutoff` is
    the least that counts. Of equals the one that is known first. Where none is near, those that
    begin with `name`, the shortest first.
    """
    wanted = _compared(name)
    spelled: dict[str, str] = {}
    for one in filter(None, known):
        spelled.setdefault(one, _compared(one))
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(wanted)  # what it prepares is kept for all of the others
    scores = []
    for order, one in enumerate(_most_alike(wanted, spelled)):
        matcher.set_seq1(spelled[one])
        if (
            matcher.real_quick_ratio() >= cutoff  # two bounds, cheaper than the ratio
            and matcher.quick_ratio() >= cutoff
            and (score := matcher.ratio()) >= cutoff
        ):
            scores.append((-score, order, one))
    if not scores and len(wanted) >= _BEGINNING:
        return heapq.nsmallest(
            count, (one for one, text in spelled.items() if text.startswith(wanted)), key=len
        )
    return [one for _, _, one in heapq.nsmallest(count, scores)]


def likeness(one: str, other: str) -> float:
    """Share of letters in common runs, 0 to 1; case counts."""
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


def _compared(name: str) -> str:
    return name[:_LONGEST].casefold()


def _most_alike(wanted: str, spelled: dict[str, str]) -> list[str]:
    """Of many names those worth a closer look, by the pairs of letters that they share."""
    if len(spelled) <= _COMPARED:
        return list(spelled)
    pairs = _pairs(wanted)

    def shared(one: str) -> float:
        own = _pairs(spelled[one])
        return len(pairs & own) / len(pairs | own)

    return heapq.nlargest(_COMPARED, spelled, key=shared)


def _pairs(text: str) -> set[str]:
    """Neighbouring letters, the edges of the text among them."""
    framed = f"\0{text}\0"
    return {framed[i : i + 2] for i in range(len(framed) - 1)}
