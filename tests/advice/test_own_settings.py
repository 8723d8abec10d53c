"""Which of a model's runs were trained alike, and with what."""

from __future__ import annotations

import pytest

from tests.advice import studies
from vitctl.advice import own_settings
from vitctl.advice.evidence import Cell
from vitctl.advice.own_settings import Measurement, alike, as_flags, of_its_own
from vitctl.recipes import settings
from vitctl.recipes.pretraining import ImageFacts
from vitctl.settings.overrides import Overrides, parse_set
from vitctl.settings.trees import flat, from_keys

IMAGES = ImageFacts(5000, 10, eval_split="val")


def resolved(*, steps=300, **keys):
    sizes = {"model.width": 32, "model.depth": 2, "model.mlp_dim": 64, "model.heads": 2}
    own = {"name": "mine", **sizes, "model.patch": 4, "model.resolution": 16}
    return settings.resolve(
        Overrides(settings=from_keys(own | keys)),
        model=None,
        recipe=None,
        length=(float(steps), "steps"),
        images=lambda _: IMAGES,
        mock=False,
        target_precision="float32",
    ).cfg


@pytest.mark.parametrize("keys", [{}, {"data.batch": 100, "seed": 3}, {"schedule.kind": "cosine"}])
def test_what_a_recipe_chooses_is_not_a_runs_own(keys):
    own = {key: value for key, value in keys.items() if key == "schedule.kind"}
    assert of_its_own(resolved(**keys), IMAGES) == own
    cooled = resolved(steps=400, **{"schedule.cooldown_steps": 100, **keys})
    assert of_its_own(cooled, IMAGES) == own


def test_what_was_set_is_and_the_flags_make_it_again():
    own = {
        "optim.wd_head": 3.5,
        "loss": "sigmoid",
        "data.augment.flip": False,
        "optim.clip_norm": None,
    }
    cfg = resolved(**own)
    own_again = of_its_own(cfg, IMAGES)
    assert own.items() <= own_again.items()
    flags = as_flags(own_again)
    assert "--set=optim.wd_head=3.5" in flags
    again = flat(parse_set(flag.removeprefix("--set=") for flag in flags))
    assert resolved(**again).identity() == cfg.identity()


# ---- Alike


def result(images, error, *, examples=5000, rate=0.01, **own):
    cfg = studies.config("tiny", schedule={"peak_lr": rate})
    return Measurement(
        "10-shot", Cell("tiny", images, examples, error, 1.0), cfg, own, ("fewshot",)
    )


def errors(alikes):
    return sorted(run.cell.error for run in alikes.runs)


def test_runs_without_settings_of_their_own_all_count():
    runs = [result(100, 0.5), result(100, 0.6), result(200, 0.4)]
    alikes = alike(runs)
    assert (errors(alikes), alikes.others, alikes.trained.settings) == ([0.4, 0.5, 0.6], 0, {})


def test_the_settings_of_the_most_lengths_count():
    usual = [result(100 * n, 0.5) for n in (1, 2, 3)]
    tried = [result(100, 0.1, wd_head=3)]
    alikes = alike([*tried, *usual])
    assert (errors(alikes), alikes.others) == ([0.5] * 3, 1)


def test_of_as_many_lengths_the_better_ones_where_both_were_tried():
    """The worse settings have an easy length and the better one a hard one, which do not decide."""
    worse = [result(100, 0.5), result(200, 0.45), result(400, 0.01)]
    better = [
        result(50, 0.9, wd_head=3),
        result(100, 0.4, wd_head=3),
        result(200, 0.35, wd_head=3),
    ]
    alikes = alike([*worse, *better])
    assert (errors(alikes), alikes.others) == ([0.35, 0.4, 0.9], 3)
    assert alikes.trained.settings == {"wd_head": 3}


def test_every_cell_has_its_own_learning_rate_and_its_seeds_are_one_rate():
    key = own_settings.RATE

    def run(images, error, rate):
        return result(images, error, rate=rate, **{key: rate})

    runs = [
        run(100, 0.5, 0.1), run(100, 0.3, 0.1),  # 0.4 in the mean
        run(100, 0.35, 0.2), run(100, 0.37, 0.2),
        run(200, 0.2, 0.1), run(200, 0.3, 0.2),
    ]  # fmt: skip
    alikes = alike(runs)
    assert (errors(alikes), alikes.others) == ([0.2, 0.35, 0.37], 3)
    assert alikes.trained.settings == {key: 0.1}
