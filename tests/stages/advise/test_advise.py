"""`vitctl advise` as a whole: budgets by hand, own runs before the paper's, refusals, JSON."""

from __future__ import annotations

import json
import shlex
import tomllib

import pytest
import typer

from stages import api
from stages.app import app
from tests import schemas, sweeps
from tests.advice import studies
from vitctl.artifacts import Store
from vitctl.errors import DoesNotFitError, InputError, NotFoundError, UsageError
from vitctl.plan.calibration import paper_models
from vitctl.recipes.recipe import load

CORE_DAYS = {"S/16": 79.26, "B/32": 79.55, "B/16": 204.58, "L/16": 636.09, "g/14": 2711.95}
"""TPUv3 core-days of a million steps of 4096, from the paper's figure 2."""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("work") / "artifacts")
    studies.study(store, rate=1000.0)
    return store


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("none") / "artifacts")


@pytest.fixture(scope="module")
def of_core_days(empty):
    return api.advise("1000 core-days", examples="3B", store=empty)


def row(advice, model):
    return next(row for row in advice.candidates if row.model == model)


def left_out(advice, model):
    return next(one.reason for one in advice.left_out if one.model == model)


# ---- Budgets by hand


@pytest.mark.parametrize("model", ["S/16", "B/32", "B/16", "L/16", "g/14"])
def test_core_days_buy_what_the_papers_table_says(of_core_days, model):
    run = row(of_core_days, model)
    steps = 1000 / CORE_DAYS[model] * 1e6
    assert run.images == pytest.approx(steps * 4096, rel=1e-3)
    assert run.core_days == pytest.approx(1000, rel=1e-3)


def test_the_advice_agrees_with_the_papers_tables(of_core_days):
    """At 1,085 core-days the paper has g/14 at 18.7 %, and no run as good for less; L/16 took 1,272
    to 19.7 % with 2M steps."""
    assert of_core_days.run.model == "g/14"
    assert of_core_days.run.error == pytest.approx(0.187, abs=0.005)
    assert row(of_core_days, "L/16").error == pytest.approx(0.20, abs=0.01)
    assert of_core_days.run.reading == "interpolated"
    assert of_core_days.frontier_error == pytest.approx(0.195, abs=0.01)
    assert "too few for a law" in left_out(of_core_days, "G/14")


def test_images_and_flops_buy_by_division(empty):
    advice = api.advise("1B images", examples="3B", model=["B/16", "S/16"], store=empty)
    assert {run.images for run in advice.candidates} == {1_000_000_000 // 4096 * 4096}
    # Three forward passes of 34.94 GFLOPs.
    assert row(advice, "B/16").flops == pytest.approx(3 * 34.94e9 * 1e9, rel=1e-3)
    advice = api.advise("1e20 FLOPs", examples="3B", model="B/16", store=empty)
    assert advice.run.flops == pytest.approx(1e20, rel=0.1)
    assert row(advice, "B/16").flops == pytest.approx(1e20, rel=1e-4)
    assert advice.run.device_hours is None


def test_hours_on_v3_are_at_the_papers_throughput(empty):
    """On 128 cores for 20 hours, B/16: 232 images/s a core."""
    advice = api.advise("20h", topology="v3:8x8", examples="3B", model="B/16", store=empty)
    rate = {one.model: one.images_per_second for one in paper_models()}["B/16"]
    run = row(advice, "B/16")
    assert run.rate_basis == "paper"
    assert run.images == pytest.approx(20 * 3600 * rate * 128, rel=1e-3)
    assert run.device_hours == pytest.approx(20 * 128, rel=1e-3)


@pytest.mark.parametrize(
    ("budget", "price"), [("2560 device-hours", None), ("1280 chip-hours", None), ("$5120", 2)]
)
def test_the_same_budget_in_other_units(empty, budget, price):
    advice = api.advise(
        budget, topology="v3:8x8", examples="3B", model="B/16", price=price, store=empty
    )
    run = row(advice, "B/16")
    assert run.device_hours == pytest.approx(2560, rel=1e-3)
    assert run.money == (None if price is None else pytest.approx(5120, rel=1e-3))


def test_a_model_of_the_papers_has_paper_settings(of_core_days):
    run = row(of_core_days, "L/16")
    rule = load("paper").cooldown
    assert run.trunk_steps + run.cooldown_steps == run.steps
    assert run.cooldown_steps == pytest.approx(rule.of(trunk=run.trunk_steps), abs=1)


# ---- The data


def test_few_images_make_a_smaller_advice(empty):
    """The 1.3M of the paper's study: B/16's best run there has 51.9 % (its figure), S/16's 52.4."""
    advice = api.advise("1B images", examples=1_300_000, store=empty)
    assert advice.evidence.title == "the paper's ImageNet-21k study"
    assert row(advice, "S/16").error == pytest.approx(0.524, abs=0.02)
    assert row(advice, "B/16").error == pytest.approx(0.519, abs=0.03)
    assert row(advice, "B/16").epochs == pytest.approx(189, abs=1)  # later runs did worse
    more = api.advise("1B images", examples=13_000_000, store=empty)
    assert more.run.error < advice.run.error - 0.1


def test_images_that_teach_less_than_any_run_are_refused(empty):
    with pytest.raises(UsageError, match="10k images are too few for what was measured"):
        api.advise("1e20 flops", examples=10_000, store=empty)


# ---- An error to reach


def test_the_run_to_an_error_costs_what_the_budget_gives_it_for(empty):
    models = ["Ti/16", "B/16", "L/16", "g/14"]
    goal = api.advise(
        error="25%", gpu="h100:8", examples="3B", model=models, store=empty, tolerance=0
    )
    assert goal.run.error == pytest.approx(0.25, abs=1e-4)
    assert goal.run.error <= 0.25
    assert all(run.error <= 0.25 for run in goal.candidates)
    assert goal.run.device_hours == min(run.device_hours for run in goal.candidates)
    budget = api.advise(
        f"{goal.run.device_hours * 1.000001} device-hours",
        gpu="h100:8",
        examples="3B",
        model=models,
        store=empty,
        tolerance=0,
    )
    assert (budget.run.model, budget.run.steps) == (goal.run.model, goal.run.steps)
    assert "comes down to" in left_out(goal, "Ti/16")


def test_an_error_that_no_model_reaches_is_refused(empty):
    with pytest.raises(UsageError, match="no measured model is expected to reach") as error:
        api.advise(error=0.01, examples="3B", store=empty)
    assert "comes down to" in error.value.hint


# ---- Own runs


@pytest.fixture(scope="module")
def of_own_runs(store):
    return api.advise("8M images", examples=studies.EXAMPLES, classes=2, store=store)


def test_own_runs_are_preferred_and_named(of_own_runs, store):
    advice = of_own_runs
    assert advice.evidence.source == "own runs"
    assert str(store.root) in advice.evidence.title
    assert advice.evidence.metric == "10-shot:photos/2 few-shot error"
    for run in advice.candidates:
        assert run.error == pytest.approx(studies.law(run.model, run.images), abs=0.01)
    assert advice.run.model == "wide"
    assert advice.run.extrapolated


def test_the_paper_is_taken_where_it_is_asked_for(store):
    advice = api.advise("1B images", examples="3B", runs="paper", store=store)
    assert advice.evidence.source == "paper"


def test_own_speed_is_preferred_and_scales_the_others(store):
    advice = api.advise("1h", topology="local", examples=studies.EXAMPLES, classes=2, store=store)
    tiny, wide = row(advice, "tiny"), row(advice, "wide")
    assert tiny.rate_basis == "own runs"
    assert tiny.images_per_second_per_device == pytest.approx(1000)
    assert wide.rate_basis == "scaled"
    share = tiny.gflops_per_image / wide.gflops_per_image
    assert wide.images_per_second_per_device == pytest.approx(1000 * share)
    assert tiny.hours == pytest.approx(1, rel=1e-3)


def test_the_command_makes_the_settings_that_were_advised(of_own_runs, store, monkeypatch):
    """The words, given to pretrain's own parser, resolve to the model, batch and steps."""
    run = of_own_runs.run
    pretrain, cooldown, probe = run.command.split(" | ")
    assert f"--store {store.root}" in cooldown
    assert probe.startswith("vitctl fewshot --shots 10 --data ")
    printed = []
    monkeypatch.setattr("vitctl.console.session.stdin_is_pipe", lambda: False)
    monkeypatch.setattr("vitctl.console.session.answer", printed.append)
    arguments = shlex.split(pretrain)[1:]
    place = arguments.index("--data")
    arguments[place : place + 2] = ["--mock"]
    command = typer.main.get_command(app)
    command.main([*arguments, "--print-config"], prog_name="vitctl", standalone_mode=False)
    cfg = tomllib.loads(printed[0])
    assert cfg["schedule"]["total_steps"] == run.trunk_steps
    assert cfg["data"]["batch"] == run.batch == studies.BATCH
    model = cfg["model"]
    assert (model["width"], model["patch"], model["resolution"]) == (32, 4, 8)
    assert cfg["recipe"] == "small"


def test_a_sweep_is_named_and_its_way_of_training_is_in_the_command(tmp_path):
    """A decay of its own, and a cooldown of a quarter."""
    store = Store(tmp_path / "artifacts")
    data = studies.photos(store)
    probes = []
    for steps in studies.LENGTHS:
        schedule = {"total_steps": steps, "cooldown_steps": steps // 4, "cooldown_shape": "1-sqrt"}
        checkpoint = studies.trained(
            store, "tiny", steps, data=data, optim={"wd_head": 3.5}, schedule=schedule
        )
        images = steps * studies.BATCH
        probes.append(studies.probed(store, checkpoint, studies.law("tiny", images), data=data).id)
    sweeps.sweep(store, sweeps.summary([sweeps.row("tiny", 100, 100, 1.0, probes=probes)]))
    advice = api.advise("100k images", examples=20_000, classes=2, runs="grid", store=store)
    assert advice.evidence.title.startswith("the sweep grid")
    run = advice.run
    assert run.error == pytest.approx(studies.law("tiny", run.images), abs=0.01)
    assert "--set optim.wd_head=3.5" in run.command
    assert run.cooldown_steps == pytest.approx(run.steps / 4, abs=1)
    assert f"vitctl cooldown --steps {run.cooldown_steps} --shape 1-sqrt" in run.command
    with pytest.raises(NotFoundError, match="grit"):
        api.advise("100k images", examples=20_000, runs="grit", store=store)
    with pytest.raises(UsageError, match="sweep has no such metric"):
        api.advise("100k images", examples=20_000, runs="grid", metric="top9", store=store)


def test_a_sweep_of_too_few_lengths_is_no_reason_to_take_the_papers(tmp_path):
    store = Store(tmp_path / "artifacts")
    sweeps.sweep(store)  # whose measurements are elsewhere
    with pytest.raises(UsageError, match="the sweep has no model"):
        api.advise("100k images", examples=20_000, runs="grid", store=store)


def test_a_table_is_read_as_scaling_fit_reads_it(tmp_path, empty):
    path = tmp_path / "runs.csv"
    rows = [
        f"S/16,{n},{10**6},{100 * (30 * n**-0.3 + 0.2):.4f}" for n in (10**6, 10**7, 10**8, 10**9)
    ]
    path.write_text("\n".join(["model,images_seen,data_size,error", *rows]))
    advice = api.advise("100M images", examples=10**6, runs=path, store=empty)
    assert advice.evidence.source == "table"
    assert advice.run.error == pytest.approx(30 * 1e8**-0.3 + 0.2, abs=0.01)
    path.write_text("images_seen,data_size,error\n1,1,0.5\n")
    with pytest.raises(InputError, match="no column model"):
        api.advise("100M images", examples=10**6, runs=path, store=empty)


# ---- Refusals


def test_a_budget_below_the_smallest_run_says_what_that_takes(empty):
    with pytest.raises(UsageError, match="below the smallest measured run") as error:
        api.advise("1 core-day", examples="3B", model="g/14", store=empty)
    # 491.52M images of g/14 are 120k steps of 4096: 325.4 core-days in Table 4.
    assert "330 core-days" in error.value.hint


@pytest.fixture(scope="module")
def giants(tmp_path_factory):
    """Made-up runs of a model that fits a TPU v3 and one that does not."""
    path = tmp_path_factory.mktemp("giants") / "runs.csv"
    rows = [
        f"{model},{n},{10**9},{100 * (a * n**-0.3 + 0.1):.4f}"
        for model, a in (("B/16", 60), ("e/14", 50))
        for n in (10**7, 10**8, 10**9, 10**10)
    ]
    path.write_text("\n".join(["model,images_seen,data_size,error", *rows]))
    return path


def test_no_model_fits(empty, giants):
    with pytest.raises(DoesNotFitError, match="no measured model fits") as error:
        api.advise(
            "1e9 images", topology="v3:1x1", examples="1B", model="e/14", runs=giants, store=empty
        )
    assert error.value.exit_code == 6
    assert "GiB a device at least, and 15.5 GiB is there" in error.value.message
    assert "more devices" in error.value.hint


def test_a_model_that_does_not_fit_is_left_out_with_its_bytes(empty, giants):
    advice = api.advise("1e9 images", topology="v3:1x1", examples="1B", runs=giants, store=empty)
    assert "GiB a device at least" in left_out(advice, "e/14")
    assert advice.run.model == "B/16"
    assert advice.run.peak_bytes <= advice.memory_available


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"budget": "1h", "error": 0.2}, "both given"),
        ({}, "neither a budget nor an error"),
        ({"budget": "1h", "topology": "v3:2x2", "gpu": "h100"}, "topology.*and.*gpu.*both given"),
        ({"budget": "1h", "topology": "v9:2x2"}, "unknown chip"),
        ({"budget": "$5", "gpu": "h100"}, "only at a price"),
        ({"budget": "1h"}, "no peak of cpu is known"),
        ({"budget": "1B images", "model": "S/17"}, "has no law"),
        ({"budget": "1B images", "runs": "store"}, "no model that was measured"),
        ({"budget": "1B images", "metric": "inet7"}, "no such metric"),
        ({"budget": "1B images", "tolerance": 2}, "tolerance.2"),
        ({"budget": "1B images", "batch": 0}, "batch.0"),
        ({"budget": "1B images", "classes": 0}, "classes.0"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(empty, arguments, message):
    with pytest.raises(UsageError, match=message):
        api.advise(**arguments, examples="3B", store=empty)


# ---- What is printed


@pytest.fixture
def ask(monkeypatch):
    written: list[str] = []
    monkeypatch.setattr("vitctl.console.session.answer", written.append)
    monkeypatch.setattr("vitctl.console.session.stdin_is_pipe", lambda: False)

    def call(*arguments):
        written.clear()
        command = typer.main.get_command(app)
        command.main(["advise", *arguments], prog_name="vitctl", standalone_mode=False)
        return "\n".join(written)

    return call


def test_json_has_a_schema(ask, empty):
    arguments = ["--budget", "20h", "--topology", "v5e:4x4", "--examples", "13M", "--price", "1.2"]
    value = json.loads(ask(*arguments, "--store", str(empty.root), "--json"))
    schemas.check(value, "advice")
    assert value["summary"]["command"] == value["run"]["command"]
    assert value["summary"]["model"] == value["run"]["model"]
    assert all(
        row["interval"][0] <= row["error"] <= row["interval"][1] for row in value["candidates"]
    )


def test_the_text_says_what_it_rests_on(ask, empty):
    arguments = ["--budget", "1B images", "--examples", "1300000", "--store", str(empty.root)]
    text = ask(*arguments)
    assert "rests on" in text
    assert "ImageNet-21k study" in text
    assert "vitctl pretrain --data DATASET --model S/16" in text
    assert "| vitctl cooldown" in text
    assert "with other budgets" in text
    assert "read with care" in text
