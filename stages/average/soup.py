"""Which checkpoints a greedy soup takes.

M. Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves accuracy
without increasing inference time", 2022, https://arxiv.org/abs/2203.05482, recipe 1: from the best
down, each stays in the mean if that does not lower the accuracy on held-out images.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from vitctl.checkpoints import mean

Params = Any
S = TypeVar("S")


class Soup(NamedTuple, Generic[S]):
    """The mean, its scores, and the numbers of the ingredients in the order they were added."""

    params: Params
    scores: S
    ingredients: tuple[int, ...]


def greedy(
    count: int,
    *,
    load: Callable[[int], Params],
    score: Callable[[Params], S],
    accuracy: Callable[[S], float],
    tell: Callable[[int, S, bool], None] = lambda number, scores, taken: None,
) -> tuple[Soup[S], list[S]]:
    """The soup of candidates 0 to `count`, loaded one at a time, and the scores of each alone.
    Of equally accurate ones the lower number goes first."""
    alone = [score(load(number)) for number in range(count)]
    best, *others = sorted(range(count), key=lambda number: (-accuracy(alone[number]), number))
    soup = Soup(mean.step(None, load(best), share=1.0), alone[best], (best,))
    tell(best, soup.scores, True)
    for number in others:
        tried = mean.step(soup.params, load(number), share=1 / (len(soup.ingredients) + 1))
        scores = score(tried)
        taken = accuracy(scores) >= accuracy(soup.scores)
        if taken:
            soup = Soup(tried, scores, (*soup.ingredients, number))
        tell(number, scores, taken)
    return soup, alone
