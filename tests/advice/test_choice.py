"""The choice, against a search of every number of steps of every model, and what must hold of any:
a larger budget is never expected to do worse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitctl.advice import choice
from vitctl.advice.choice import Contender
from vitctl.scaling.laws import Law
from vitctl.scaling.model_law import DrawnLaws, ModelLaw


def law(model, *, a, b, c, worth=math.inf, shortest=1000.0, longest=1e6, overfits=()):
    """A law without uncertainty."""
    drawn = DrawnLaws(
        *(np.full(3, value, np.float64) for value in (a, b, c, 0.0, worth, 0.0)), unit=1.0
    )
    return ModelLaw(
        model=model,
        law=Law(a=a, b=b, c=c),
        worth=worth,
        determined=True,
        runs=8,
        scatter=0.0,
        shortest=shortest,
        longest=longest,
        fewest=shortest,
        smallest=1e4,
        largest=1e6,
        most_epochs=100.0,
        overfits=tuple(overfits),
        drawn=drawn,
    )


def by_hand(one: ModelLaw, images, examples):
    """The law in plain float64."""
    epochs = np.maximum(images / examples - 1, 0)
    new = np.minimum(images, examples)
    if math.isinf(one.worth):
        new = new + examples * epochs
    else:
        new = new + examples * one.worth * (1 - np.exp(-epochs / one.worth))
    return one.law.a * new**-one.law.b + one.law.c


def exhaustive(contenders, *, examples, tolerance, scale=1.0):
    """Every step that the budget pays for, of every model: the smallest share of the budget whose
    error is within the tolerance of the lowest."""
    grid = []
    for one in contenders:
        first = max(1, math.ceil(one.fewest / one.batch))
        last = math.floor(min(one.images * scale, one.most) / one.batch)
        steps = np.arange(first, last + 1)
        errors = by_hand(one.law, steps * one.batch, examples)
        grid += [
            (error, n * one.batch / one.images, one.model, n)
            for n, error in zip(steps.tolist(), errors.tolist(), strict=True)
        ]
    if not grid:
        return None
    enough = min(grid)[0] + tolerance
    _, (_, _, model, steps) = min(
        ((share, error), (error, share, model, n))
        for error, share, model, n in grid
        if error <= enough + 1e-13
    )
    return model, steps


def three(examples=5e4, images=(40_000, 30_000, 8_000), **more):
    models = (
        law("small", a=3.0, b=0.35, c=0.3, worth=50.0),
        law("middle", a=8.0, b=0.45, c=0.2, worth=12.0),
        law("large", a=40.0, b=0.6, c=0.1, worth=3.0, overfits=((2e4, 1.5),)),
    )
    return [
        choice.contender(one, batch=16, images=n, examples=examples, **more)
        for one, n in zip(models, images, strict=True)
    ]


@pytest.mark.parametrize("examples", [2e3, 1e4, 5e4, 1e6])
@pytest.mark.parametrize("tolerance", [0.0, 0.001, 0.02])
@pytest.mark.parametrize("scale", [0.05, 0.3, 1.0, 5.0])
def test_an_exhaustive_search_gives_the_same_choice(examples, tolerance, scale):
    contenders = three(examples)
    chosen = choice.choose(contenders, examples=examples, tolerance=tolerance, scale=scale)
    searched = exhaustive(contenders, examples=examples, tolerance=tolerance, scale=scale)
    if searched is None:
        assert chosen is None
    else:
        assert (chosen.model, chosen.steps) == searched


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(1, 100),
            st.floats(0.1, 0.9),
            st.floats(0, 0.5),
            st.floats(0.5, 100),
            st.floats(2e3, 1e6),
        ),
        min_size=1,
        max_size=4,
    ),
    st.floats(1e3, 1e6),
    st.floats(0, 0.05),
    st.floats(0.01, 10),
    st.floats(1.0, 10),
)
def test_more_budget_is_never_expected_to_do_worse(rows, examples, tolerance, scale, more):
    contenders = [
        choice.contender(law(str(i), a=a, b=b, c=c, worth=r), batch=16, images=n, examples=examples)
        for i, (a, b, c, r, n) in enumerate(rows)
    ]
    some = choice.choose(contenders, examples=examples, tolerance=tolerance, scale=scale)
    larger = choice.choose(contenders, examples=examples, tolerance=tolerance, scale=scale * more)
    if some is None:
        return
    assert larger is not None
    # Lengths are whole steps, so a shortened run may pass the tolerance's bound by one of them.
    slack = max(
        one.law.error(max(one.fewest, run.images - one.batch), examples=examples) - run.error
        for one in contenders
        for run in (some, larger)
        if one.model == run.model
    )
    assert larger.error <= some.error + slack + 1e-12
    assert larger.share <= scale * more * (1 + 1e-9)


def test_without_tolerance_it_is_monotonic_to_the_last_digit():
    contenders = three()
    scales = np.geomspace(0.05, 50, 60)
    errors = [
        run.error
        for s in scales
        if (run := choice.choose(contenders, examples=5e4, tolerance=0.0, scale=float(s)))
    ]
    assert len(errors) > 40
    assert all(np.diff(errors) <= 0)


def test_the_cheapest_run_to_an_error_is_the_first_budget_that_reaches_it():
    """Bisection of the budget finds the cost that inversion of the laws gives."""
    contenders = three()
    cheapest = choice.cheapest(contenders, examples=5e4, error=0.33)
    low, high = 0.001, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        run = choice.choose(contenders, examples=5e4, tolerance=0.0, scale=middle)
        low, high = (low, middle) if run and run.error <= 0.33 else (middle, high)
    assert cheapest.error <= 0.33
    assert cheapest.share == pytest.approx(high, rel=1e-6)


def test_an_error_below_every_floor_is_never_reached():
    assert choice.cheapest(three(), examples=5e4, error=0.1) is None


def test_a_model_that_overfits_is_trained_no_further():
    contenders = three(examples=2e4, images=(1_000, 1_000, 1e9))
    run = choice.choose(contenders, examples=2e4, tolerance=0.0)
    assert run.model == "large"
    assert run.images <= 1.5 * 2e4 < run.images + 16


def test_no_run_is_longer_than_pretrain_takes():
    """However large the budget: its steps can be pasted."""
    without_end = choice.contender(law("any", a=2, b=0.1, c=0), batch=16, images=1e40, examples=5e4)
    assert without_end.steps() * 16 == pytest.approx(10**15)
    assert choice.lowest_error(without_end, examples=5e4) == pytest.approx(2 * 1e15**-0.1)
    assert choice.cheapest([without_end], examples=5e4, error=0.01) is None


def test_a_budget_below_the_shortest_run_pays_for_none():
    contenders = three(images=(900, 900, 900))
    assert choice.choose(contenders, examples=5e4, tolerance=0.0) is None
    assert choice.choose(contenders, examples=5e4, tolerance=0.0, scale=1.2) is not None


def test_what_lies_outside_of_the_measured():
    one = law("m", a=1.0, b=0.5, c=0.1)
    assert choice.extrapolations(one, images=1e6, examples=1e6) == []
    assert "3 times as long" in choice.extrapolations(one, images=3e6, examples=1e6)[0]
    assert "fewer images" in choice.extrapolations(one, images=5e5, examples=5e3)[0]
    assert "more images" in choice.extrapolations(one, images=2e6, examples=4e6)[-1]
    assert "as many epochs" in choice.extrapolations(one, images=1e6, examples=1e3)[-1]


def test_the_pareto_frontier_by_comparison_of_all_pairs():
    rows = [(1.0, 0.5), (2.0, 0.3), (3.0, 0.35), (4.0, 0.2), (4.0, 0.2), (0.5, 0.6)]
    assert choice.on_pareto_frontier(rows) == [True, True, False, True, True, True]


def test_sure_winners_win_always_and_twins_half_the_time():
    far = [law("a", a=1, b=0.5, c=0.1), law("b", a=1, b=0.5, c=0.3)]
    runs = [(Contender(one, 16, 1e5, 1e3, math.inf), 1000) for one in far]
    assert choice.winners(runs, examples=1e6) == {"a": 1.0, "b": 0.0}
    assert choice.winners([], examples=1e6) == {}
