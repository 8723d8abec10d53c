"""Sequences of formal languages with some symbols hidden: what a model can learn before it sees an
image (Shinnick et al., "Can You Learn to See Without Images? Procedural Warm-Up for Vision
Transformers", https://arxiv.org/abs/2511.13945).

    dyck      brackets of several kinds that open and close properly, one inside the other
    shuffle   brackets that open and close, but may cross
    copy      a string, and the same string again

Hidden are symbols that follow from others: closing brackets, and the second string. Which sequence
comes when is arithmetic on (seed, step, row), so that no host has to read or keep any.
"""

from __future__ import annotations

from typing import NamedTuple, assert_never

import numpy as np
from numpy.typing import NDArray

from vitctl.data.config import Language, ProceduralConfig
from vitctl.data.order import hash64

OPENING = 0.6
"""With which chance a bracket opens where one may open and one may close; the authors' choice."""
_TAG_OPENS, _TAG_KIND, _TAG_WHICH, _TAG_HIDDEN = 111, 112, 113, 114


class Sequences(NamedTuple):
    """int32[b, n] each. In `symbols` the number of symbols itself stands for a hidden one, and for
    the last place of an odd length, where none is; `targets` are the hidden symbols, -1 elsewhere.
    """

    symbols: NDArray[np.int32]
    targets: NDArray[np.int32]


def masked(
    cfg: ProceduralConfig, *, seed: int, step: int, rows: NDArray[np.int64], length: int
) -> Sequences:
    """These rows of the batch of a step, each of `length` symbols."""
    places = np.arange(length)
    even = length - length % 2
    whole, follows = sentences(cfg, seed=seed, step=step, rows=rows, length=even)
    chance = _uniform(hash64(seed, step, rows[:, None], places[:even], tag=_TAG_HIDDEN))
    hidden = follows & (chance < cfg.masked)
    symbols = np.full((len(rows), length), cfg.symbols, np.int32)
    targets = np.full((len(rows), length), -1, np.int32)
    symbols[:, :even] = np.where(hidden, cfg.symbols, whole)
    targets[:, :even] = np.where(hidden, whole, -1)
    return Sequences(symbols, targets)


def sentences(
    cfg: ProceduralConfig, *, seed: int, step: int, rows: NDArray[np.int64], length: int
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Sentences of an even length, int32[b, n], and which of their symbols follow from others.

    Bracket k opens as symbol k and closes as symbol `cfg.kinds` + k.
    """
    language: Language = cfg.language
    match language:
        case "dyck" | "shuffle":
            return _brackets(cfg, seed=seed, step=step, rows=rows, length=length)
        case "copy":
            half = np.arange(length // 2)
            bits = hash64(seed, step, rows[:, None], half, tag=_TAG_KIND)
            string = (bits % np.uint64(cfg.symbols)).astype(np.int32)
            second = np.arange(length) >= length // 2
            return np.tile(string, 2), np.broadcast_to(second, (len(rows), length))
        case _:
            assert_never(language)


def _brackets(
    cfg: ProceduralConfig, *, seed: int, step: int, rows: NDArray[np.int64], length: int
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    count, kinds = len(rows), cfg.kinds
    which = np.arange(count)
    places = np.arange(length)
    bits = {
        tag: hash64(seed, step, rows[:, None], places, tag=tag)
        for tag in (_TAG_OPENS, _TAG_KIND, _TAG_WHICH)
    }
    wishes = _uniform(bits[_TAG_OPENS]) < OPENING
    kind = (bits[_TAG_KIND] % np.uint64(kinds)).astype(np.int32)
    stack = np.zeros((count, length // 2 + 1), np.int32)
    depth = np.zeros(count, np.int64)
    symbols = np.zeros((count, length), np.int32)
    for place in range(length):
        # Where as many are open as places are left, each must close.
        opens = (wishes[:, place] | (depth == 0)) & (depth < length - place)
        last = np.maximum(depth - 1, 0)
        if cfg.language == "shuffle":  # any open bracket may close; the last one takes its place
            chosen = bits[_TAG_WHICH][:, place] % np.maximum(depth, 1).astype(np.uint64)
            taken = chosen.astype(np.int64)
        else:
            taken = last
        closing = stack[which, taken]
        symbols[:, place] = np.where(opens, kind[:, place], kinds + closing)
        stack[which, taken] = np.where(opens, closing, stack[which, last])
        top = np.where(opens, depth, length // 2)
        stack[which, top] = np.where(opens, kind[:, place], 0)
        depth += np.where(opens, 1, -1)
    return symbols, symbols >= kinds


def _uniform(bits: NDArray[np.uint64]) -> NDArray[np.float64]:
    """In [0, 1), from the upper 53 bits."""
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
