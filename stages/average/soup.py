"""Which checkpoints a greedy soup takes.

M. Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves accuracy
without increasing inference time", 2022, https://arxiv.org/abs/2203.05482, recipe 1: from the best
down, each stays in the mean if that does not lower the accuracy on held-out images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from vitctl.checkpoints import mean

Params = Any
S = TypeVar("S")


class Soup(NamedTuple):
    """The mean, its accuracy, and the numbers of the ingredients in the order they were added."""

    params: Params
    accuracy: float
    ingredients: tuple[int, ...]


def greedy(
    count: int,
    *,
    load: Callable[[int], Params],
    accuracy_of: Callable[[Params], float],
    tell: Callable[[int, float, bool], None] = lambda number, accuracy, taken: None,
) -> tuple[Soup, list[float]]:
    """The soup of candidates 0 to `count`, loaded one at a time, and the accuracy of each alone.
    Of equal ones the lower number goes first."""
    alone = [accuracy_of(load(number)) for number in range(count)]
    order = _best_first(alone)
    soup = Soup(mean.step(None, load(order[0]), share=1.0), alone[order[0]], (order[0],))
    tell(order[0], soup.accuracy, True)
    for number in order[1:]:
        tried = mean.step(soup.params, load(number), share=1 / (len(soup.ingredients) + 1))
        accuracy = accuracy_of(tried)
        taken = accuracy >= soup.accuracy
        if taken:
            soup = Soup(tried, accuracy, (*soup.ingredients, number))
        tell(number, accuracy, taken)
    return soup, alone


def _best_first(accuracies: Sequence[float]) -> list[int]:
    return sorted(range(len(accuracies)), key=lambda number: (-accuracies[number], number))
