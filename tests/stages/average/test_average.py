"""Means of weights: by hand, by rule, as a run that other stages take."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from stages.average import run as stage
from stages.average import soup
from stages.average.settings import newest_of, resolve
from stages.average.spec import AverageConfig
from stages.evaluate import run as evaluate_stage
from stages.evaluate import spec as evaluate_spec
from tests import made
from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.kinds import CHECKPOINT
from vitctl.checkpoints import mean, position
from vitctl.errors import InputError, NotFoundError, UsageError
from vitctl.events import Caution, Note, silent
from vitctl.recipes import branching
from vitctl.recipes.measuring import MeasuringRuntime
from vitctl.settings.overrides import Overrides
from vitctl.train.trained_model import load

RUNTIME = MeasuringRuntime(devices=1, batch=16)
MODEL = made.config().model
CLASSES = tuple("0123456")
"""Of synthetic images."""


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def trunk(store) -> list[Artifact]:
    """Steps 4, 8 and 12 of one run, of weights 3, 5 and 7."""
    return [
        made.checkpoint(store, step=step, drawn=drawn, cooled=False, classes=CLASSES)
        for step, drawn in ((4, 3), (8, 5), (12, 7))
    ]


def average(
    store: Store, checkpoints: list[Artifact], *, emit: Any = silent, **flags: Any
) -> Artifact:
    overrides = Overrides(file={}, flags=flags, settings={})
    cfg, inputs = resolve(overrides, checkpoints, None, emit=emit)
    return stage.run(cfg, inputs, store=store, runtime=RUNTIME, emit=emit)


def evaluated(store: Store, checkpoint: Artifact) -> Artifact:
    cfg = branching.trained_with(checkpoint)
    given = evaluate_spec.EvaluateConfig(
        eval_split="val",
        loss=cfg.loss,
        preprocess=cfg.data.evaluation,
        precision=cfg.precision,
    )
    inputs = evaluate_spec.Inputs(checkpoint, None)
    return evaluate_stage.run(given, inputs, store=store, runtime=RUNTIME)


def by_hand(shares: dict[int, float]) -> Any:
    """In float64: seed of weights -> share."""
    trees = [made.weights(MODEL, seed=seed) for seed in shares]
    return jax.tree.map(
        lambda *leaves: sum(
            share * np.asarray(leaf, np.float64)
            for share, leaf in zip(shares.values(), leaves, strict=True)
        ),
        *trees,
    )


def check_weights(artifact: Artifact, expected: Any) -> None:
    params = load(artifact, devices=1).params
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=2e-7), params, expected)


def test_the_mean_of_a_trunk(store, trunk):
    artifact = average(store, trunk)
    check_weights(artifact, by_hand({7: 1 / 3, 5: 1 / 3, 3: 1 / 3}))
    summary = CHECKPOINT.summary(artifact)
    assert (summary.step, summary.finished_schedule) == (12, True)
    assert [(p.step, p.id) for p in summary.averaged.ingredients] == [
        (c.step, c.id) for c in reversed(trunk)
    ]
    assert "mean of 3 checkpoints" in list(summary.phrases())
    assert position.read(artifact.path) == position.read(trunk[-1].path)


def test_the_order_in_which_they_are_named_changes_nothing(store, trunk):
    assert average(store, trunk).id == average(store, [trunk[1], trunk[2], trunk[0]]).id
    assert average(store, trunk).id != average(store, trunk[1:]).id


def test_newer_ones_count_more(store, trunk):
    artifact = average(store, trunk, rule="ema", decay=0.5)
    check_weights(artifact, by_hand({7: 4 / 7, 5: 2 / 7, 3: 1 / 7}))


def test_equal_weights_stay_bitwise():
    tree = {"a": np.random.default_rng(0).normal(size=1000).astype(np.float32)}
    result = mean.weighted((w, tree) for w in (1.0, 0.3, 0.7))
    np.testing.assert_array_equal(result["a"], tree["a"])
    assert result["a"].dtype == np.float32


def test_a_mean_is_a_model_that_others_take(store, trunk):
    artifact = average(store, trunk)
    scored = evaluated(store, artifact)
    assert scored.summary["examples"] == 37
    with pytest.raises(UsageError, match="mean of checkpoints"):
        branching.cooled(artifact, steps=2, shape="linear")


def test_a_soup_is_scored_as_evaluate_scores_it(store, trunk):
    notes: list[str] = []

    def emit(event):
        if isinstance(event, Note):
            notes.append(event.text)

    artifact = average(store, trunk, rule="greedy", emit=emit)
    summary = CHECKPOINT.summary(artifact)
    top1 = {c.id: evaluated(store, c).summary["top1"] for c in (artifact, *trunk)}
    assert summary.eval.top1 == top1[artifact.id]
    assert summary.eval.top1 >= max(top1.values())
    shares = [part.share for part in summary.averaged.ingredients]
    assert sum(shares) == pytest.approx(1)
    seeds = [seed for seed, share in zip((7, 5, 3), shares, strict=True) if share]
    check_weights(artifact, by_hand(dict.fromkeys(seeds, 1 / len(seeds))))
    assert sum(note.startswith(("with ", "without ")) for note in notes) == 3


@pytest.mark.parametrize("seed", range(20))
def test_greedy_as_recipe_1_says(seed):
    """On numbers whose accuracy is a table of their mean."""
    draw = np.random.default_rng(seed)
    candidates = draw.normal(size=5)

    def accuracy_of(tree):
        return round(float(np.cos(3 * tree["x"])), 1)

    result, alone = soup.greedy(
        5, load=lambda i: {"x": candidates[i]}, score=accuracy_of, accuracy=lambda score: score
    )
    # Written anew, with means of lists.
    order = sorted(range(5), key=lambda i: -alone[i])
    taken = [order[0]]
    for i in order[1:]:
        if accuracy_of({"x": np.mean(candidates[[*taken, i]])}) >= accuracy_of(
            {"x": np.mean(candidates[taken])}
        ):
            taken.append(i)
    assert list(result.ingredients) == taken
    assert float(result.params["x"]) == pytest.approx(np.mean(candidates[taken]), abs=1e-12)


def test_the_last_ones_of_a_run(trunk):
    assert [c.step for c in newest_of([trunk[2]], count=2)] == [8, 12]
    assert [c.step for c in newest_of([trunk[1]], count=2)] == [4, 8]
    with pytest.raises(UsageError, match="has 3 checkpoints"):
        newest_of([trunk[2]], count=4)
    with pytest.raises(UsageError, match="one run"):
        newest_of(trunk, count=2)


def test_refused(store, trunk):
    other = made.checkpoint(store, saved=False, model={"depth": 2})
    named_otherwise = made.checkpoint(store, saved=False, classes=("x",) * 7, seed=9)
    for flags, checkpoints, error, sentence in (
        ({}, trunk[:1], UsageError, "two checkpoints or more"),
        ({}, [trunk[0], trunk[0]], UsageError, "two checkpoints or more"),
        ({}, [trunk[0], other], InputError, "depth is 1 and 2|depth is 2 and 1"),
        ({}, [trunk[0], named_otherwise], InputError, "other classes"),
        ({"rule": "ema"}, trunk, UsageError, "decay"),
        ({"decay": 0.5}, trunk, UsageError, "decay"),
        ({"weights": "ema"}, trunk, UsageError, "no average"),
    ):
        with pytest.raises(error, match=sentence):
            average(store, checkpoints, **flags)


def test_images_that_choose(store, trunk):
    images = made.dataset_artifact(store)
    with pytest.raises(UsageError, match="greedy alone"):
        resolve(Overrides(file={}, flags={}, settings={}), trunk, images, emit=silent)
    greedy = Overrides(file={}, flags={"rule": "greedy"}, settings={})
    with pytest.raises((NotFoundError, InputError)):
        resolve(greedy, trunk, images, emit=silent)


def test_a_split_that_synthetic_images_do_not_have_is_refused_before_work(store, trunk):
    overrides = Overrides(file={}, flags={"rule": "greedy", "split": "nope"}, settings={})
    with pytest.raises(NotFoundError, match="no split 'nope' of synthetic images") as error:
        resolve(overrides, trunk, None, emit=silent)
    assert error.value.hint == "give one of train, val: --split NAME"


@pytest.mark.parametrize("requested", [None, "raw"])
def test_averages_and_raw_weights_together_are_cautioned(store, trunk, requested):
    cautions: list[str] = []

    def emit(event):
        if isinstance(event, Caution):
            cautions.append(event.text)

    averaging = made.checkpoint(
        store, saved=False, classes=CLASSES, parent=trunk[2], optim={"ema": 0.5}
    )
    overrides = Overrides(file={}, flags={"weights": requested} if requested else {}, settings={})
    resolve(overrides, [trunk[2], averaging], None, emit=emit)
    assert [c.split(" (")[0] for c in cautions] == (
        [] if requested else ["1 of 2 checkpoints give the average that their run kept"]
    )


def test_weights_that_began_apart_are_cautioned(store, trunk):
    cautions: list[str] = []

    def emit(event):
        if isinstance(event, Caution):
            cautions.append(event.text)

    apart = made.checkpoint(store, saved=False, seed=1, classes=CLASSES)
    overrides = Overrides(file={}, flags={}, settings={})
    resolve(overrides, [trunk[0], apart], None, emit=emit)
    assert "no common beginning" in cautions[0]
    branches = [
        made.checkpoint(store, saved=False, seed=seed, classes=CLASSES, parent=trunk[2])
        for seed in (2, 3)
    ]
    cautions.clear()
    resolve(overrides, branches, None, emit=emit)
    resolve(overrides, [trunk[2], trunk[0]], None, emit=emit)
    resolve(overrides, [branches[0], trunk[2]], None, emit=emit)  # what it branched off
    resolve(overrides, [branches[0], trunk[0]], None, emit=emit)  # an earlier one of that run
    assert not cautions
    assert AverageConfig().rule == "uniform"
