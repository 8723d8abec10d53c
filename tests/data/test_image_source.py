"""Every member of `ImageSource` keeps its promises, and nothing asks which member it has."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from vitctl.data import columns, subset
from vitctl.data.columns import Computed
from vitctl.data.config import AugmentConfig, EvalPreprocess, MockConfig
from vitctl.data.mock import MockDataset
from vitctl.data.opening import open_source
from vitctl.data.pipeline import eval_batches, train_batches
from vitctl.data.subset import Subset, subset_of
from vitctl.data.views import EvalView, TrainView
from vitctl.errors import DoesNotFitError
from vitctl.train.run.images import Images

ROOT = Path(__file__).parents[2]
MOCK = MockDataset(classes=5, train_examples=100, val_examples=23)
EVERY_THIRD = np.arange(0, 100, 3)
THIRD = subset_of(MOCK, {"train": EVERY_THIRD})
VIEWS = [TrainView(16, AugmentConfig()), EvalView(16, EvalPreprocess())]
MEMBERS = {
    "mock": MOCK,
    "subset": subset_of(MOCK, {"train": EVERY_THIRD}),
    "subset of a subset": subset_of(
        subset_of(MOCK, {"train": EVERY_THIRD}), {"train": np.arange(9)}
    ),
}


@pytest.fixture(params=MEMBERS)
def source(request):
    return MEMBERS[request.param]


def blocks(source, *positions, split="train", view=VIEWS[0]):
    requests = [(np.array(at), np.zeros((len(at), 2), np.int32)) for at in positions]
    return list(source.images(iter(requests), split=split, view=view, batch=len(positions[0])))


@pytest.mark.parametrize("view", VIEWS)
def test_images_are_those_of_the_positions_whatever_the_order(source, view):
    n = source.info.examples("train")
    (whole,) = blocks(source, range(n), view=view)
    assert whole.shape == (n, 16, 16, 3)
    assert whole.dtype == np.float32
    first, second = blocks(source, [7, 2, 5], [5, 0], view=view)
    assert np.array_equal(first, whole[[7, 2, 5]])
    assert np.array_equal(second, whole[[5, 0]])


def test_columns_have_a_row_an_example(source):
    for split, info in source.info.splits.items():
        assert source.keys(split).shape == (info.examples,)
        assert source.labels(split).shape == (info.examples, source.info.max_labels)
        assert len(np.unique(source.keys(split))) == info.examples
        assert len(source.ids(split, np.arange(3))) == 3


def test_a_subset_is_its_part_of_the_whole():
    part = MEMBERS["subset"]
    assert np.array_equal(part.keys("train"), MOCK.keys("train")[::3])
    assert np.array_equal(part.labels("train"), MOCK.labels("train")[::3])
    assert np.array_equal(blocks(part, [1, 4])[0], blocks(MOCK, [3, 12])[0])
    assert np.array_equal(part.keys("val"), MOCK.keys("val"))
    assert part.info.classes == MOCK.info.classes


class Counting(MockDataset):
    """Labels that are computed, and how many were."""

    def labels(self, split):
        whole = super().labels(split)

        def rows(positions):
            COUNTED.append(positions.size)
            return whole[positions]

        return Computed(len(whole), rows, what="labels")


COUNTED: list[int] = []


@pytest.mark.parametrize("classes", [("0", "1", "2", "3", "4"), ("3", "1")])
@pytest.mark.parametrize("chosen", [{"train": EVERY_THIRD}, {}])
def test_a_subset_computes_the_labels_that_are_asked_for(classes, chosen):
    source = Counting(classes=5, train_examples=100, val_examples=23)
    assert source.info.classes == ("0", "1", "2", "3", "4")
    info = subset_of(source, chosen).info.model_copy(update={"classes": classes})
    part = Subset(source, chosen, info)
    COUNTED.clear()
    labels = part.labels("train")
    cfg = SimpleNamespace(data=SimpleNamespace(split="train"))
    assert Images(part, cfg).labels_an_image == 1
    first = labels[np.array([5, 0])]
    assert sum(COUNTED) == 3
    # All of them, by names: other classes are no label.
    own = chosen.get("train", np.arange(100))
    names = [source.info.classes[label] for label in MOCK.labels("train")[own, 0]]
    expected = [[classes.index(name) if name in classes else -1] for name in names]
    assert np.array_equal(np.asarray(labels), expected)
    assert np.array_equal(first, np.array(expected)[[5, 0]])


def test_a_subset_renumbers_the_labels_that_are_asked_for(monkeypatch):
    """Also where the source has an array of all."""
    info = THIRD.info.model_copy(update={"classes": ("3", "1")})
    images = Images(
        Subset(MOCK, THIRD.rows, info), SimpleNamespace(data=SimpleNamespace(split="train"))
    )
    counted, renumbered = [], subset.renumbered

    def counting(labels, mapping):
        counted.append(len(labels))
        return renumbered(labels, mapping)

    monkeypatch.setattr(subset, "renumbered", counting)
    assert images.labels_an_image == 1
    assert counted == [1]


def test_all_labels_at_once_are_refused_only_where_nothing_as_large_is_in_memory(monkeypatch):
    source = Counting(classes=5, train_examples=100, val_examples=23)
    classes = ("3", "1")
    by_rows = Subset(
        source, {"train": EVERY_THIRD}, THIRD.info.model_copy(update={"classes": classes})
    )
    by_classes = Subset(source, {}, source.info.model_copy(update={"classes": classes}))
    monkeypatch.setattr(columns, "_MOST_BYTES", 0)
    assert np.asarray(by_rows.labels("train")).shape == (34, 1)
    with pytest.raises(DoesNotFitError, match="all 100 labels at once"):
        np.asarray(by_classes.labels("train"))


def test_the_pipeline_feeds_from_any_member(source):
    stream = train_batches(source, resolution=16, augment=AugmentConfig(), seed=3, batch=8)
    batch = next(stream)
    assert np.isin(batch.keys, source.keys("train")).all()
    values = [
        batch.indices[batch.mask]
        for batch in eval_batches(
            source, split="train", resolution=16, preprocess=EvalPreprocess(), batch=8
        )
    ]
    assert np.array_equal(np.concatenate(values), np.arange(source.info.examples("train")))


def test_opening_knows_of_mock():
    made = open_source(None, mock=MockConfig(examples=30, eval_examples=7), classes=4)
    assert made == MockDataset(classes=4, train_examples=30, val_examples=7)


def asks_for_a_member(source: str) -> bool:
    """Whether code branches on the class of an image source."""
    return any(
        isinstance(node, ast.Call)
        and ast.unparse(node.func) == "isinstance"
        and re.search(r"(Dataset|Subset)\b", ast.unparse(node.args[1]))
        for node in ast.walk(ast.parse(source))
    )


def test_nothing_asks_which_member_it_has():
    assert asks_for_a_member("isinstance(x, MockDataset)")
    files = [*ROOT.glob("vitctl/**/*.py"), *ROOT.glob("stages/**/*.py")]
    assert [str(f) for f in files if asks_for_a_member(f.read_text())] == []
