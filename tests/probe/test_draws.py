from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitctl.errors import InputError
from vitctl.probe.draws import (
    classes_with_enough,
    draw,
    everything,
    positions_by_class,
    single_labels,
)


def labels_of(seed: int, *, n: int = 200, classes: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1, classes, size=n).astype(np.int32)


@given(st.integers(0, 2**32 - 1), st.integers(0, 50))
def test_a_draw_is_the_written_protocol(label_seed, seed):
    labels = labels_of(label_seed)
    rng = np.random.default_rng(seed)
    expected = [rng.permutation(np.where(labels == c)[0])[:5] for c in range(4)]
    positions = positions_by_class(labels, classes=4)
    np.testing.assert_array_equal(draw(positions, shots=5, seed=seed), expected)


@given(st.integers(0, 2**32 - 1), st.integers(0, 50))
def test_draws_are_nested_disjoint_and_of_their_class(label_seed, seed):
    labels = labels_of(label_seed)
    positions = positions_by_class(labels, classes=4)
    ten = draw(positions, shots=10, seed=seed)
    for shots in (1, 3, 10):
        np.testing.assert_array_equal(draw(positions, shots=shots, seed=seed), ten[:, :shots])
    assert len(np.unique(ten)) == ten.size
    np.testing.assert_array_equal(labels[ten], np.arange(4)[:, None] * np.ones((1, 10), int))


def test_seeds_draw_differently():
    positions = positions_by_class(labels_of(0), classes=4)
    draws = {draw(positions, shots=5, seed=seed).tobytes() for seed in range(10)}
    assert len(draws) == 10


def test_only_images_of_one_class_are_drawn():
    labels = np.array([[1, -1], [0, 2], [-1, -1], [2, -1], [-1, 0]], np.int32)
    np.testing.assert_array_equal(single_labels(labels), [1, -1, -1, 2, 0])


def test_a_class_without_images_has_no_positions():
    result = positions_by_class(np.array([2, -1, 0, 2], np.int32), classes=4)
    assert [at.tolist() for at in result] == [[2], [], [0, 3], []]


def test_a_class_with_too_few_images_is_named():
    positions = positions_by_class(np.array([0, 1, 1, 2, 2, 2], np.int32), classes=3)
    enough = classes_with_enough(positions, names=["cat", "dog", "eel"], shots=1)
    assert enough.tolist() == [0, 1, 2]
    with pytest.raises(InputError, match=r"3 shots .* 'cat' has 1, 'dog' has 2$") as caught:
        classes_with_enough(positions, names=["cat", "dog", "eel"], shots=3)
    assert caught.value.hint == "every class has enough for --shots 1"
    with pytest.raises(InputError) as caught:
        classes_with_enough(positions, names=["cat", "dog", "eel"], shots=2)
    assert caught.value.hint.endswith("--too-few leave-out probes the 2 classes that have enough")


def test_many_classes_with_too_few_images_are_counted():
    positions = positions_by_class(np.arange(5, dtype=np.int32), classes=6)
    with pytest.raises(InputError, match="'0' has 1, '1' has 1, '2' has 1; too few in 6 of 6"):
        classes_with_enough(positions, names=list("012345"), shots=2)
    with pytest.raises(InputError, match=r"but 'f' has 0$") as caught:
        classes_with_enough(positions, names=list("abcdef"), shots=1)
    assert caught.value.hint == "--too-few leave-out probes the 5 classes that have enough"


def test_classes_with_too_few_images_may_be_left_out():
    positions = positions_by_class(np.array([0, 1, 1, 2, 2, 2], np.int32), classes=4)
    names = ["cat", "dog", "eel", "fox"]
    assert classes_with_enough(positions, names=names, shots=2, leave_out=True).tolist() == [1, 2]
    with pytest.raises(InputError, match="too few in 4 of 4"):
        classes_with_enough(positions, names=names, shots=4, leave_out=True)
    with pytest.raises(InputError, match="'cat' has 1"):  # one class is nothing to tell apart
        classes_with_enough(positions, names=names, shots=3, leave_out=True)


def test_everything_is_every_image_of_one_class_once():
    labels = np.array([[1, -1], [0, 2], [-1, -1], [2, -1], [-1, 0], [2, -1]], np.int32)
    drawn = everything(labels, names=list("abc"), seed=0)
    assert drawn.positions.shape == (1, 3, 2)
    assert [sorted(row[row >= 0].tolist()) for row in drawn.positions[0]] == [[4], [0], [3, 5]]
    with pytest.raises(InputError, match="'d' has 0"):
        everything(labels, names=list("abcd"), seed=0)
    assert everything(labels, names=list("abcd"), seed=0, leave_out=True).classes.tolist() == [
        0,
        1,
        2,
    ]
