"""What a grid stands for: trunks, branches, rates, costs and parts. Nothing is trained."""

from __future__ import annotations

import itertools

import pytest

from stages.sweep.grid import expand
from stages.sweep.parts import part_of
from stages.sweep.sentences import in_a_grid
from stages.sweep.spec import SweepConfig
from stages.sweep.trunks import branches_by_cost, label, searches_of
from tests.stages.sweep.grids import GRID, IMAGES, config
from vitctl.errors import UsageError
from vitctl.events import Caution, Note
from vitctl.job_parts import JobPart
from vitctl.model import accounting
from vitctl.settings.overrides import build, read_toml, to_toml
from vitctl.settings.trees import merge


def trunks(**changes):
    return expand(config(**changes), IMAGES)


def settings(**changes):
    return merge({}, GRID["settings"], changes)


def test_a_trunk_for_each_model_and_size_and_a_branch_for_each_duration():
    every = trunks()
    assert [trunk.label for trunk in every] == [
        "one on 100 images",
        "one on 1k images",
        "two on 100 images",
        "two on 1k images",
    ]
    for trunk in every:
        assert trunk.is_shared
        assert [(b.steps, b.trunk_steps, b.cooldown) for b in trunk.branches] == [
            (10, 8, 2),
            (40, 32, 8),
        ]
        assert [b.cfg.steps for b in trunk.branches] == [8, 32]
        assert len({str(b.cfg.identity()) for b in trunk.branches}) == 1  # one run


def test_a_shared_trunk_costs_what_it_trains():
    trunk = trunks()[0]
    image = 3 * accounting.matmul_flops(trunk.cfg.model)
    assert trunk.flops == (32 + 2 + 8) * 10 * image
    assert trunk.flops_apart == (10 + 40) * 10 * image
    assert [b.flops for b in trunk.branches] == [100 * image, 400 * image]


def test_cooldowns_of_several_shapes_branch_off_one_trunk():
    """Off the same steps; a run whose schedule ends by itself has none."""
    shapes = {"cooldown_shape": ["linear", "1-sqrt"]}
    kinds = {"schedule.kind": ["rsqrt", "cosine"], "seed": [0, 1]}
    every = trunks(**shapes, axes=kinds)
    open_ended, closed = every[0], every[2]
    assert [(b.steps, b.cooldown, b.axes["cooldown_shape"]) for b in open_ended.branches] == [
        (10, 2, "linear"),
        (10, 2, "1-sqrt"),
        (40, 8, "linear"),
        (40, 8, "1-sqrt"),
    ]
    assert [(b.steps, b.axes["cooldown_shape"]) for b in closed.branches] == [
        (10, "none"),
        (40, "none"),
    ]
    image = 3 * accounting.matmul_flops(open_ended.cfg.model)
    assert open_ended.flops == (32 + 2 * (2 + 8)) * 10 * image
    assert open_ended.columns_of(open_ended.branches[1]) == {
        "kind": "rsqrt",
        "seed": 0,
        "cooldown_shape": "1-sqrt",
    }
    # The trunks are those of a grid with one shape, and so is the choice of their learning rates.
    rates = {"lr": {"candidates": [0.1, 0.2], "steps": 20}}
    one = trunks(cooldown_shape=["linear"], axes=kinds, **rates)
    several = trunks(**shapes, axes=kinds, **rates)
    assert [b.cfg for b in one[0].branches] == [b.cfg for b in several[0].branches[::2]]
    assert one[0].search == several[0].search
    assert one[0].branches[0].axes == {}


def test_durations_in_images_and_epochs():
    by_images = trunks(durations={"images": ["100", 400]})
    assert [b.steps for b in by_images[0].branches] == [10, 40]
    by_epochs = trunks(durations={"epochs": [0.5, 1]})
    assert [[b.steps for b in t.branches] for t in by_epochs[:2]] == [[5, 10], [50, 100]]


def test_without_a_share_the_cooldown_is_the_recipes():
    (branch,) = trunks(cooldown=None, durations={"steps": [120]})[0].branches
    assert (branch.trunk_steps, branch.cooldown) == (100, 20)  # 20 % of the trunk


def test_a_schedule_that_ends_by_itself_is_a_run_for_each_duration():
    every = trunks(axes={"schedule": {"kind": ["rsqrt", "cosine"]}}, sizes=[100])
    kinds = [(t.model, t.axes["schedule.kind"], t.is_shared) for t in every]
    assert kinds == [
        ("one", "rsqrt", True),
        ("one", "cosine", False),
        ("two", "rsqrt", True),
        ("two", "cosine", False),
    ]
    closed = every[1]
    assert [(b.steps, b.cooldown, b.cfg.steps) for b in closed.branches] == [
        (10, 0, 10),
        (40, 0, 40),
    ]
    assert closed.flops == closed.flops_apart


def test_axes_are_combined_in_their_order():
    axes = {"optim.wd_head": [0.1, 3.0], "seed": [0, 1]}
    every = trunks(axes=axes, models=GRID["models"][:1], sizes=["all"])
    assert [t.axes for t in every] == [
        dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())
    ]
    assert [(t.cfg.optim.wd_head, t.cfg.seed) for t in every] == [
        (0.1, 0), (0.1, 1), (3.0, 0), (3.0, 1),
    ]  # fmt: skip
    assert every[2].label == "one on 1k images, wd_head 3, seed 0"


def test_an_axis_may_have_a_setting_off():
    every = trunks(axes={"optim.ema": ["none", 0.999]}, models=GRID["models"][:1], sizes=["all"])
    assert [t.cfg.optim.ema for t in every] == [None, 0.999]


def test_columns_of_two_axes_of_one_name_are_their_keys():
    axes = {"schedule.kind": "linear", "model.kind": "x", "optim.wd_body": 1, "model.batch": 3}
    assert label("S/16", 10, axes) == (
        "S/16 on 10 images, schedule.kind linear, model.kind x, wd_body 1, model.batch 3"
    )


def test_cheap_runs_come_first_and_a_trunk_grows():
    pairs = branches_by_cost(trunks())
    costs = [branch.flops for _, branch in pairs]
    assert costs == sorted(costs)
    for trunk in trunks():
        steps = [b.steps for t, b in pairs if t.label == trunk.label]
        assert steps == sorted(steps)


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"axes": {"optim.wd_hed": [1]}}, "no setting 'optim.wd_hed'", "optim.wd_head"),
        ({"axes": {"optim": {"wd_head": 3}}}, "axes.optim.wd_head is no list", "[settings]"),
        ({"axes": {"seed": []}}, "axes.seed is no list", None),
        ({"axes": {"seed": [1, 1]}}, "a value twice", None),
        ({"axes": {"seed": ["x"]}}, "one on 100 images, seed x: seed", None),
        ({"axes": {"name": ["S/16"]}}, "place of its own", "models"),
        ({"settings": settings(schedule={"total_steps": 9})}, "place of its own", "durations"),
        ({"settings": settings(model={"width": 64})}, "place of its own", "models"),
        ({"settings": settings(keep_best={"metric": "top1"})}, "whole duration", None),
        ({"settings": settings(data={"mock": {}})}, "no setting|images", None),
        ({"settings": settings(nonsense=1)}, "no setting 'nonsense'", None),
        ({"sizes": ["2k"]}, "sizes has 2k images, and the dataset has 1,000", "all"),
        ({"sizes": [1000, "all"]}, "a size twice", None),
        ({"sizes": [5]}, "one on 5 images: a batch of 10 images is larger than the 5", None),
        ({"models": ["S/17x"]}, "unknown model", "S/16"),
        ({"models": GRID["models"][:1] * 2}, "the same run", None),
        ({"durations": {"steps": [1]}}, "no room for a cooldown", None),
        ({"durations": {"steps": [10, 10]}}, "two durations are 10 steps", None),
        ({"durations": {"epochs": [1, 1.0001]}, "sizes": [100]}, "two durations", None),
        (
            {"durations": {"steps": [10, 10]}, "cooldown_shape": ["linear", "1-sqrt"]},
            "two durations are 10 steps",
            None,
        ),
        (
            {
                "cooldown_shape": ["linear", "1-sqrt"],
                "axes": {"schedule.cooldown_shape": ["linear", "1-sqrt"]},
                "settings": settings(schedule={"cooldown_steps": 2}),
            },
            "cooldown_shape is a list, and axes.schedule.cooldown_shape is another",
            "keep one",
        ),
        ({"cooldown_shape": ["linear", "linear"]}, "a list of different ones", None),
        ({"cooldown_shape": []}, "a list of different ones", None),
        ({"durations": {}}, "in one of steps, images and epochs", None),
        ({"durations": {"steps": [1], "images": [1]}}, "in one of", None),
        ({"durations": {"steps": ["x"]}}, "'x' is not a whole number", "20k"),
        ({"part": "0/2"}, "'0/2' is no part", "1/8"),
        ({"part": "3/2"}, "'3/2' is no part", "1/8"),
        ({"part": "half"}, "'half' is no part", "1/8"),
        ({"cooldown": 1.5}, "cooldown", None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_grid_that_makes_no_sense(changes, message, hint):
    with pytest.raises(UsageError, match=message) as caught:
        trunks(**changes)
    if hint is not None:
        assert hint in (caught.value.hint or "")


def test_settings_stand_where_pretrain_has_flags():
    sentence = "use --batch 8 or --set optim.ema=1, --warmup 10 or a lower --lr; vitctl --batches"
    assert in_a_grid(sentence) == (
        "use data.batch = 8 or optim.ema = 1, schedule.warmup_steps = 10 or a lower "
        "schedule.peak_lr; vitctl --batches"
    )
    with pytest.raises(UsageError) as caught:
        trunks(sizes=[5])
    assert caught.value.hint == "use data.batch = 1 or less"


def test_what_is_unusual_is_said():
    events = []
    expand(config(durations={"steps": [3]}), IMAGES, emit=events.append)
    assert any(isinstance(e, Caution) and "warmup takes 1 of 3" in e.text for e in events) is False
    expand(config(settings=settings(schedule={"warmup_steps": 30})), IMAGES, emit=events.append)
    cautions = [event.text for event in events if isinstance(event, Caution)]
    assert any("the warmup takes 30 of 40" in text for text in cautions)
    assert any(isinstance(e, Note) and e.text.startswith("recipe small") for e in events)


def test_a_grid_that_is_printed_can_be_read_back(tmp_path):
    cfg = config(lr=RATES, probes=[{"command": "fewshot", "settings": {"shots": [1]}}])
    (tmp_path / "grid.toml").write_text(to_toml(cfg))
    assert build(SweepConfig, read_toml(tmp_path / "grid.toml")) == cfg


# ---- Learning rates

RATES = {"candidates": [0.01, 0.1], "steps": 20}


def searched(**choice):
    return trunks(lr={**RATES, **choice})


def test_a_choice_for_each_model_and_size():
    every = searched()
    assert len(searches_of(every)) == 4
    for trunk in every:
        search = trunk.search
        assert (search.model, search.size) == (trunk.model, trunk.size)
        assert [c.schedule.peak_lr for c in search.candidates] == [0.01, 0.1]
        for candidate in search.candidates:
            assert (candidate.steps, candidate.schedule.cooldown_steps) == (20, 4)
            assert (candidate.data.held_out, candidate.data.eval_split) == (0.1, "held-out")
    image = 3 * accounting.matmul_flops(every[0].cfg.model)
    assert every[0].search.flops == 2 * 20 * 10 * image


def test_a_choice_for_each_model_is_on_the_most_images():
    every = searched(choose="model")
    assert [(t.search.model, t.search.size, t.factor) for t in every] == [
        ("one", 1000, 1), ("one", 1000, 1), ("two", 1000, 1), ("two", 1000, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("carry", "factor"), [("same", 1.0), ("inverse-sqrt-width", 0.5**0.5), ("inverse-width", 0.5)]
)
def test_a_rate_of_the_smallest_model_is_carried_over(carry, factor):
    every = searched(choose="smallest", carry=carry)
    assert {(t.search.model, t.search.size) for t in every} == {("one", 1000)}
    assert [t.factor for t in every] == [1, 1, factor, factor]  # width 16, then 32
    longest = every[3].branches[-1]
    assert every[3].with_rate(longest, 0.1).schedule.peak_lr == pytest.approx(0.1 * factor)
    assert every[3].with_rate(longest, None) == longest.cfg


def test_seeds_share_a_choice_and_other_axes_do_not():
    axes = {"seed": [3, 4], "model.head": ["map", "gap"]}
    every = trunks(lr=RATES, axes=axes, sizes=[100], models=GRID["models"][:1])
    assert len(searches_of(every)) == 2
    assert all(t.search.candidates[0].seed == 3 for t in every)
    assert [t.search.candidates[0].model.head for t in every] == [t.cfg.model.head for t in every]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": {"candidates": [0.1], "steps": 9}}, "candidates"),
        ({"lr": {"candidates": [0.1, 0.1], "steps": 9}}, "twice"),
        ({"lr": {**RATES, "carry": "inverse-width"}}, "for lr.choose=smallest"),
        ({"lr": {**RATES, "chose": "each"}}, "no setting 'lr.chose'"),
        ({"lr": RATES, "axes": {"schedule.peak_lr": [1, 2]}}, "by axes and by lr"),
        ({"lr": RATES, "settings": settings(data={"held_out": 0.1})}, "images of its own"),
        ({"lr": RATES, "models": [{**GRID["models"][0], "lr": 1}]}, "by the model one and by lr"),
        ({"lr": {**RATES, "steps": 1}}, "for one on 100 images: a run of 1 step has no room"),
        (
            {"lr": {**RATES, "steps": 9}, "settings": settings(schedule={"warmup_steps": 5})},
            "warmup",
        ),
        ({"lr": {**RATES, "held_out": 0.95}, "sizes": [100]}, "larger than the 5 that"),
        (
            {"settings": settings(schedule={"peak_lr": 1}), "axes": {"schedule.peak_lr": [1, 2]}},
            "by axes and by settings",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_choice_that_makes_no_sense(changes, message):
    with pytest.raises(UsageError, match=message):
        trunks(**changes)


def test_a_model_may_have_a_rate_of_its_own():
    every = trunks(models=[{**GRID["models"][0], "lr": 0.5}, GRID["models"][1]], sizes=["all"])
    assert [t.cfg.schedule.peak_lr for t in every] == [0.5, 1e-3]


# ---- Parts


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_parts_divide_the_grid(count):
    every = trunks(axes={"seed": [0, 1]})
    divided = [part_of(every, JobPart(i, count)) for i in range(1, count + 1)]
    assert sorted(t.label for part in divided for t in part) == sorted(t.label for t in every)
    assert all(divided)
    for part in divided:  # in the order of the grid
        places = [every.index(trunk) for trunk in part]
        assert places == sorted(places)


def test_parts_are_nearly_as_even_as_can_be():
    """Graham's bound, against the best of all divisions."""
    every = trunks(axes={"seed": [0, 1]})
    loads = [sum(t.flops for t in part_of(every, JobPart(i, 2))) for i in (1, 2)]
    total = sum(loads)
    best = min(
        max(chosen, total - chosen)
        for size in range(len(every) + 1)
        for some in itertools.combinations(every, size)
        for chosen in [sum(t.flops for t in some)]
    )
    assert max(loads) <= 4 / 3 * best


def test_more_parts_than_trunks_are_refused():
    with pytest.raises(UsageError, match="has 4 trunks") as caught:
        part_of(trunks(), JobPart(5, 9))
    assert "--part 4/4" in caught.value.hint
