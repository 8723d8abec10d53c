"""Sentences of formal languages, checked by parsers that know the languages and not the maker."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from vitctl.data import sequences
from vitctl.data.config import ProceduralConfig

ROWS = np.arange(300)


def config(language="dyck", **changes):
    return ProceduralConfig(steps=10, language=language, **{"kinds": 3, **changes})


def sentences(language, *, length, step=2):
    made, follows = sequences.sentences(
        config(language), seed=5, step=step, rows=ROWS, length=length
    )
    assert made.shape == follows.shape == (len(ROWS), length)
    return made.tolist(), follows


@pytest.mark.parametrize("length", [2, 4, 16, 50])
def test_brackets_are_properly_nested(length):
    made, follows = sentences("dyck", length=length)
    for sentence, closes in zip(made, follows, strict=True):
        opened = []
        for symbol, closing in zip(sentence, closes, strict=True):
            assert closing == (symbol >= 3)
            if closing:
                assert opened.pop() == symbol - 3
            else:
                opened.append(symbol)
        assert not opened


@pytest.mark.parametrize("length", [2, 16, 50])
def test_shuffled_brackets_open_before_they_close(length):
    made, _ = sentences("shuffle", length=length)
    crossing = 0
    for sentence in made:
        opened: Counter[int] = Counter()
        for symbol in sentence:
            opened[symbol % 3] += 1 if symbol < 3 else -1
            assert opened[symbol % 3] >= 0
        assert not any(opened.values())
        crossing += not _nests(sentence)
    assert crossing > 100 or length == 2


def _nests(sentence):
    opened = []
    for symbol in sentence:
        if symbol < 3:
            opened.append(symbol)
        elif opened.pop() != symbol - 3:
            return False
    return True


def test_a_copy_is_a_string_twice():
    made, follows = sentences("copy", length=12)
    for sentence in made:
        assert sentence[:6] == sentence[6:]
        assert set(sentence) <= set(range(6))
    assert len({tuple(sentence) for sentence in made}) > 290
    np.testing.assert_array_equal(follows, np.arange(12)[None] >= np.full((len(ROWS), 1), 6))


@pytest.mark.parametrize("language", ["dyck", "shuffle", "copy"])
def test_a_row_is_the_same_whoever_makes_it(language):
    """Several processes make some rows each."""
    cfg = config(language)
    whole = sequences.masked(cfg, seed=1, step=7, rows=ROWS, length=17)
    some = np.asarray([3, 40, 41, 299])
    part = sequences.masked(cfg, seed=1, step=7, rows=some, length=17)
    for of_whole, of_part in zip(whole, part, strict=True):
        np.testing.assert_array_equal(of_whole[some], of_part)
    for other in ({"seed": 2, "step": 7}, {"seed": 1, "step": 8}):
        assert (sequences.masked(cfg, rows=ROWS, length=17, **other).symbols != whole.symbols).any()


@pytest.mark.parametrize("length", [16, 17])
def test_what_is_hidden_follows_and_is_asked_for(length):
    cfg = config(masked=0.25)
    rows = np.arange(4000)
    symbols, targets = sequences.masked(cfg, seed=0, step=0, rows=rows, length=length)
    whole, follows = sequences.sentences(cfg, seed=0, step=0, rows=rows, length=16)
    assert symbols.shape == targets.shape == (4000, length)
    assert (symbols[:, 16:] == 6).all()
    assert (targets[:, 16:] == -1).all()
    hidden = symbols[:, :16] == 6
    assert not (hidden & ~follows).any()
    np.testing.assert_array_equal(symbols[:, :16][~hidden], whole[~hidden])
    np.testing.assert_array_equal(targets[:, :16], np.where(hidden, whole, -1))
    # 32,000 brackets close: the share has a standard error of 0.0024.
    assert hidden[follows].mean() == pytest.approx(0.25, abs=0.012)


def test_all_that_follows_can_be_hidden():
    cfg = config("copy", masked=1.0)
    symbols, targets = sequences.masked(cfg, seed=0, step=0, rows=ROWS, length=8)
    assert (symbols[:, 4:] == 6).all()
    np.testing.assert_array_equal(targets[:, 4:], symbols[:, :4])
