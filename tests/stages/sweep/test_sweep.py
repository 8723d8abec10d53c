"""A grid that is trained, measured and published. Training is tested elsewhere: in all tests but
one stand-ins publish its checkpoints."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from stages import api
from stages.sweep import text
from stages.sweep.plan import SweepPlan
from stages.sweep.row import device_seconds
from stages.sweep.run import failure_of, planned, run
from stages.sweep.settings import resolve
from stages.sweep.spec import SweepRuntime
from tests import schemas
from tests.artifacts.making import dataset, recipe, trained
from tests.stages.finetune.test_finetune import dataset as photos
from tests.stages.sweep.grids import GRID, StandIns, grid
from vitctl.artifacts import Run, Store
from vitctl.artifacts.kinds import SWEEP
from vitctl.errors import (
    DivergedError,
    DoesNotFitError,
    InputError,
    InterruptedRun,
    NotFoundError,
    UsageError,
    VitctlError,
)
from vitctl.events import Caution, Note, Settings, silent
from vitctl.model import accounting
from vitctl.recipes.branching import trained_with
from vitctl.settings.overrides import Overrides
from vitctl.settings.trees import merge
from vitctl.train.program.footprint import checkpoint_bytes

SMALL = {
    "sizes": [4, "all"],
    "durations": {"steps": [5, 10]},
    "settings": merge({}, grid()["settings"], {"data": {"batch": 2}}),
    "probes": [{"command": "evaluate"}],
}


ONE_DEVICE = SweepRuntime(devices=1)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def stand_ins():
    return StandIns()


def settled(store, stand_ins, *, emit=silent, **changes):
    return resolve(
        Overrides(),
        grid(**{**SMALL, **changes}),
        dataset=lambda name: dataset(store, name=name or "photos", of=name),
        data=None,
        commands=stand_ins.commands(),
        emit=emit,
    )


def swept(store, stand_ins, *, events=None, runtime=None, **changes):
    emit = silent if events is None else events.append
    cfg, inputs = settled(store, stand_ins, **changes)
    return run(cfg, inputs, store=store, runtime=runtime or ONE_DEVICE, emit=emit)


def test_a_table_of_all_branches_cheap_runs_first(store, stand_ins):
    events = []
    artifact = swept(store, stand_ins, events=events)
    summary = SWEEP.summary(artifact)
    lengths = [
        (r.model, r.data_size, r.steps, r.trunk_steps, r.cooldown_steps) for r in summary.rows
    ]
    assert lengths == [
        ("one", 4, 5, 4, 1),
        ("one", 4, 10, 8, 2),
        ("one", 6, 5, 4, 1),
        ("one", 6, 10, 8, 2),
        ("two", 4, 5, 4, 1),
        ("two", 4, 10, 8, 2),
        ("two", 6, 5, 4, 1),
        ("two", 6, 10, 8, 2),
    ]  # fmt: skip
    trunks = [text for command, text in stand_ins.calls if command == "pretrain"]
    assert trunks == [
        "one-4 to 4", "one-6 to 4", "one-4 to 8", "one-6 to 8",
        "two-4 to 4", "two-6 to 4", "two-4 to 8", "two-6 to 8",
    ]  # fmt: skip

    # What a row has
    row = summary.rows[3]
    assert (row.images_seen, row.epochs, row.batch, row.resolution) == (20, 20 / 6, 2, 8)
    assert row.failure is None
    assert summary.metrics == ("top1", "top5", "loss")
    assert summary.accuracy == "top1"
    cfg, inputs = settled(store, stand_ins)
    plan = planned(cfg, inputs, store=store, runtime=ONE_DEVICE)
    image = 3 * accounting.matmul_flops(plan.trunks[0].cfg.model)
    assert row.flops == 20 * image
    assert summary.flops == sum(run.flops for run in plan.runs)
    assert summary.flops_apart == sum(row.flops for row in summary.rows)

    # The files
    table = json.loads((artifact.path / "table.json").read_bytes())
    with (artifact.path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["top1"] for row in rows] == [str(row["top1"]) for row in table]
    assert {row["status"] for row in table} == {"done"}
    assert all(list(row) == list(table[0]) for row in table)
    assert (artifact.path / "table.parquet").exists()
    schemas.check(artifact.as_json(), "artifact")

    # What was said
    (totals,) = [e for e in events if isinstance(e, Settings) and "compute" in e.values]
    assert totals.values["runs"].startswith("8 rows of a table, from 4 trunks")
    assert "shared trunks save" in totals.values["compute"]
    assert failure_of(artifact) is None


def test_the_same_command_finds_the_table(store, stand_ins):
    artifact = swept(store, stand_ins)
    calls = len(stand_ins.calls)
    assert swept(store, stand_ins).digest == artifact.digest
    assert len(stand_ins.calls) == calls
    # Gathered anew it is the same, but for the time it was made.
    again = swept(store, stand_ins, runtime=SweepRuntime(devices=1, force=True))
    assert again.digest == artifact.digest
    assert len(stand_ins.calls) == 2 * calls


def test_a_resumed_sweep_says_what_was_in_the_store(store, stand_ins, monkeypatch):
    with monkeypatch.context() as earlier:
        before = "2001-01-01T00:00:00+00:00"
        earlier.setattr("vitctl.artifacts.provenance.now", lambda: before)
        swept(store, stand_ins, durations={"steps": [5]})
    events = []
    swept(store, stand_ins, durations={"steps": [5]}, axes={"seed": [0, 1]}, events=events)
    said = [event.text for event in events if isinstance(event, Note)]
    begun = [text for text in said if text.startswith("run ") and ":" in text]
    assert [text.endswith("in the store") for text in said if " was " in text] == [True] * 4
    assert sum("left at this pace" in text for text in said) >= 3
    assert len(begun) == 8


def test_a_run_that_fails_stops_no_other_and_is_tried_again(store, stand_ins):
    stand_ins.failures["pretrain", "two-4 to 4"] = DivergedError("the loss is NaN")
    stand_ins.failures["evaluate", "10"] = InputError("no such class")
    events = []
    holes = swept(store, stand_ins, events=events)
    rows = SWEEP.summary(holes).rows
    assert [row.failure for row in rows] == [
        None, "no such class", None, "no such class",
        "the loss is NaN", "its trunk failed before: the loss is NaN", None, "no such class",
    ]  # fmt: skip
    assert rows[1].checkpoint is not None
    assert rows[1].metrics == {}
    assert rows[4].checkpoint is None
    assert ("pretrain", "two-4 to 8") not in stand_ins.calls  # it would come to the same step
    failure = failure_of(holes)
    assert failure.message.startswith("5 of 8 runs failed; the first, one on 4 images: no such")
    assert failure.exit_code == InputError.exit_code
    assert sum(isinstance(e, Caution) and "failed" in e.text for e in events) == 5
    table = json.loads((holes.path / "table.json").read_bytes())
    assert [row["status"] for row in table].count("failed") == 5
    assert all(list(row) == list(table[0]) for row in table)

    stand_ins.failures.clear()
    whole = swept(store, stand_ins)
    assert whole.id != holes.id
    assert SWEEP.summary(whole).failed == 0
    plain = swept(Store(store.root.parent / "other"), StandIns())
    assert [row.metrics for row in SWEEP.summary(plain).rows] == [
        row.metrics for row in SWEEP.summary(whole).rows
    ]


def test_a_table_with_holes_is_replaced_where_it_was_put(store, stand_ins, tmp_path):
    runtime = SweepRuntime(devices=1, out=tmp_path / "here")
    stand_ins.failures["cooldown", "@8"] = DivergedError("the loss is NaN")
    assert SWEEP.summary(swept(store, stand_ins, runtime=runtime)).failed == 4
    stand_ins.failures.clear()
    whole = swept(store, stand_ins, runtime=runtime)
    assert SWEEP.summary(whole).failed == 0
    assert whole.path.name == "here"


def test_cooldowns_of_several_shapes_are_rows_of_their_own(store, stand_ins):
    shapes = ["linear", "1-sqrt"]
    artifact = swept(store, stand_ins, sizes=[4], cooldown_shape=shapes)
    rows = SWEEP.summary(artifact).rows
    assert [(r.model, r.steps, r.axes["cooldown_shape"]) for r in rows] == [
        (model, steps, shape) for model in ("one", "two") for steps in (5, 10) for shape in shapes
    ]
    assert len({row.checkpoint for row in rows}) == 8
    assert len({row.trunk for row in rows}) == 4
    plan, in_store = planned_runs(store, stand_ins, sizes=[4], cooldown_shape=shapes)
    assert {*in_store.values()} == {"finished"}
    assert sum(run.flops for run in plan.runs) == pytest.approx(plan.flops)
    adds = [run for run in plan.runs if run.axes["cooldown_shape"] == "1-sqrt"]
    assert all(
        run.flops == run.branch.flops * run.branch.cooldown / run.branch.steps for run in adds
    )
    assert [2 * run.bytes for run in adds] == [run.bytes for run in plan.runs if run not in adds]
    # A grid with one of them finds what this one trained.
    _, in_store = planned_runs(store, stand_ins, sizes=[4], cooldown_shape="1-sqrt")
    assert {*in_store.values()} == {"finished"}
    # What fails is told apart.
    stand_ins.failures["cooldown", "made"] = VitctlError("the disk is full")
    holes = swept(Store(store.root.parent / "other"), stand_ins, sizes=[4], cooldown_shape=shapes)
    assert SWEEP.summary(holes).failed == 8


def test_a_plan_of_several_shapes_counts_the_steps_that_are_trained(store, stand_ins):
    grid = {
        "models": [GRID["models"][0]],
        "sizes": ["all"],
        "cooldown_shape": ["linear", "1-sqrt"],
        "axes": {"schedule.kind": ["rsqrt", "linear"]},
    }
    plan, _ = planned_runs(store, stand_ins, **grid)
    lines = [dict(zip(text.columns(plan), line, strict=True)) for line in text.rows(plan)]
    assert [(line["kind"], line["cooldown_shape"], line["cooldown"]) for line in lines] == [
        ("rsqrt", "linear", "1"),
        ("rsqrt", "1-sqrt", "1"),
        ("linear", "none", "none"),
        ("rsqrt", "linear", "2"),
        ("rsqrt", "1-sqrt", "2"),
        ("linear", "none", "none"),
    ]
    assert text.totals(plan)["runs"] == (
        "6 rows of a table, from 1 trunk with a cooldown of each shape (linear, 1-sqrt) for each "
        "duration, and a run for each duration where a schedule ends by itself"
    )

    # The trunk is continued; the others are 5 and 10 steps long.
    swept(store, stand_ins, **grid)
    pretrained = [
        int(what.split()[-1]) for command, what in stand_ins.calls if command == "pretrain"
    ]
    cooled = [int(what.split()[-1]) for command, what in stand_ins.calls if command == "cooldown"]
    assert sorted({*pretrained}) == [4, 5, 8, 10]
    assert sorted(cooled) == [1, 1, 2, 2]
    steps = 8 + 5 + 10 + sum(cooled)
    branch = plan.runs[0].branch
    assert plan.flops == pytest.approx(branch.flops / branch.steps * steps)
    assert sum(run.flops for run in plan.runs) == pytest.approx(plan.flops)
    # Two checkpoints of the trunk, one of each row.
    assert plan.bytes == 8 * checkpoint_bytes(branch.cfg)


def test_a_stop_ends_all(store, stand_ins):
    stand_ins.failures["cooldown", "made"] = InterruptedRun("stopped after step 4")
    with pytest.raises(InterruptedRun):
        swept(store, stand_ins)
    assert [command for command, _ in stand_ins.calls] == ["pretrain", "cooldown"]


def test_parts_in_one_store_and_a_call_that_gathers(store, stand_ins):
    parts = [swept(store, stand_ins, part=f"{index}/2") for index in (1, 2)]
    rows = [row for part in parts for row in SWEEP.summary(part).rows]
    assert SWEEP.summary(parts[0]).part == "1/2"
    trained_twice = [text for command, text in stand_ins.calls if command == "pretrain"]
    assert len(trained_twice) == len({*trained_twice}) == 8
    whole = swept(store, stand_ins)
    assert sorted(rows, key=str) == sorted(SWEEP.summary(whole).rows, key=str)
    assert len({artifact.id for artifact in (*parts, whole)}) == 3
    with pytest.raises(UsageError, match="has 4 trunks"):
        swept(store, stand_ins, part="1/5")


def test_a_learning_rate_is_chosen_by_the_loss_on_held_out_images(store):
    stand_ins, events = StandIns(best_rate=0.03), []
    rates = {"candidates": [0.001, 0.03, 0.1], "steps": 4, "held_out": 0.3, "choose": "model"}
    artifact = swept(store, stand_ins, events=events, lr=rates)
    summary = SWEEP.summary(artifact)
    assert {row.lr for row in summary.rows} == {0.03}
    assert [(one.model, one.data_size, one.lr) for one in summary.rates] == [
        ("one", 6, 0.03),
        ("two", 6, 0.03),
    ]
    assert [round(t.scores.loss, 6) for t in summary.rates[0].tried][1] == 0.5
    searched = [text for command, text in stand_ins.calls if "lr" in text]
    assert len(searched) == 6
    assert not any(isinstance(e, Caution) and "candidate" in e.text for e in events)


def test_a_rate_at_the_edge_is_said_and_candidates_that_diverge_are_left(store):
    stand_ins, events = StandIns(best_rate=10), []
    stand_ins.failures["pretrain", "lr0.1"] = DivergedError("the loss is NaN")
    rates = {"candidates": [0.001, 0.01, 0.1], "steps": 4, "held_out": 0.3, "choose": "smallest"}
    artifact = swept(store, stand_ins, events=events, lr=rates)
    assert {row.lr for row in SWEEP.summary(artifact).rows} == {0.01}
    assert SWEEP.summary(artifact).rates[0].tried[2].scores is None
    stand_ins.failures["pretrain", "lr"] = DivergedError("the loss is NaN")
    failed = swept(store, stand_ins, lr={**rates, "candidates": [0.002, 0.02]})
    summary = SWEEP.summary(failed)
    assert summary.failed == len(summary.rows)
    assert summary.rows[0].lr is None
    assert failure_of(failed).exit_code == DivergedError.exit_code


def test_a_best_rate_that_is_the_highest_is_cautioned(store):
    events = []
    rates = {"candidates": [0.001, 0.01], "steps": 4, "held_out": 0.3}
    swept(store, StandIns(best_rate=10), events=events, lr=rates, sizes=["all"])
    texts = [event.text for event in events if isinstance(event, Caution)]
    assert any("highest candidate, 0.01: a higher one may be better" in text for text in texts)


# ---- Before anything runs


def test_a_model_without_room_is_refused_before_anything_runs(store, stand_ins, monkeypatch):
    monkeypatch.setattr("vitctl.hardware.machine.device_bytes", lambda: 10_000)
    with pytest.raises(DoesNotFitError, match=r"^one on 4 images: .* \(3 more of this grid"):
        swept(store, stand_ins)
    assert stand_ins.calls == []
    assert not (store.root / "subset").exists()


def test_a_batch_that_the_mesh_does_not_divide_is_refused(store, stand_ins):
    with pytest.raises(UsageError, match=r"^one on 4 images: "):
        swept(store, stand_ins, runtime=SweepRuntime(devices=1, microbatch=3))
    assert stand_ins.calls == []


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"modles": ["S/16"]}, UsageError, "no setting 'modles'"),
        ({"models": [{"name": "a", "widht": 3}]}, UsageError, "row 1: there is no setting 'widht'"),
        ({"probes": [{"comand": "evaluate"}]}, UsageError, "row 1: there is no setting 'comand'"),
        ({"probes": [{"command": "guess"}]}, UsageError, "^probes, row 1: command must be"),
        ({"models": ["S/16", {"name": "a", "depth": 0}]}, UsageError, "^models, row 2: depth must"),
        (
            {"probes": [{"command": "evaluate"}, {"command": "evaluate"}]},
            UsageError,
            "have the name '', so their columns",
        ),
        (
            {"probes": [{"command": "fewshot", "settings": {"shot": [1]}}]},
            UsageError,
            "a probe by fewshot: there is no setting 'shot'",
        ),
        (
            {"probes": [{"command": "fewshot"}]},
            UsageError,
            "takes 25 images of each class, and a class of train .* has 3",
        ),
        (
            {"probes": [{"command": "evaluate", "settings": {"eval_split": "test"}}]},
            NotFoundError,
            "test",
        ),
        (
            {"probes": [{"command": "evaluate", "name": "a b"}]},
            UsageError,
            "^probes, row 1: 'a b' begins names of columns",
        ),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_grid_with_a_mistake(store, stand_ins, changes, error, message):
    with pytest.raises(error, match=message) as caught:
        settled(store, stand_ins, **changes)
    if "no setting" in message and "shot" not in message:
        assert "did you mean" in caught.value.hint


def test_probes_that_nobody_names_fit_the_dataset(store, stand_ins):
    events = []
    cfg, inputs = settled(store, stand_ins, probes=None, emit=events.append)
    assert [(p.command, p.settings) for p in cfg.probes] == [
        ("fewshot", {"shots": [1]}),  # 3 images a class
        ("evaluate", {}),
    ]
    assert [data.id for data in inputs.probe_data] == [inputs.dataset.id] * 2
    assert [parent.role for parent in inputs.parents] == ["data"]
    (note,) = [event.text for event in events if isinstance(event, Note)]
    assert note.startswith("probes: few-shot probes of 1 images a class and an evaluation")


def test_probes_on_other_datasets_are_inputs(store, stand_ins):
    probes = [
        {"command": "fewshot", "settings": {"shots": [1]}},
        {"command": "evaluate", "data": "others", "name": "others"},
    ]
    cfg, inputs = settled(store, stand_ins, probes=probes)
    assert [parent.role for parent in inputs.parents] == ["data", "probe-2"]
    artifact = run(cfg, inputs, store=store, runtime=ONE_DEVICE)
    assert "others_top1" in SWEEP.summary(artifact).metrics
    assert SWEEP.summary(artifact).accuracy == "10shot"


# ---- The plan


@pytest.fixture
def plan(store, stand_ins) -> SweepPlan:
    rates = {"candidates": [0.01, 0.1], "steps": 4, "held_out": 0.3}
    cfg, inputs = settled(store, stand_ins, lr=rates, axes={"seed": [0, 1]})
    return planned(cfg, inputs, store=store, runtime=ONE_DEVICE)


def test_a_plan_makes_nothing_and_has_a_schema(plan, store, stand_ins):
    content = plan.as_json()
    schemas.check(content, "sweep_plan")
    assert len(content["runs"]) == 16
    assert len(content["rates"]) == 4
    assert content["flops"] == pytest.approx(
        sum(run["adds"]["flops"] for run in content["runs"])
        + sum(one["flops"] for one in content["rates"])
    )
    assert content["flops_apart"] > content["flops"]
    assert all(run["lr"] is None for run in content["runs"])
    assert content["seconds"] is None  # nothing was trained here yet
    assert [path.name for path in Path(str(store.root)).iterdir()] == ["shard"]


def test_a_plan_in_words(plan):
    from stages.sweep.answer import as_text

    lines = as_text(plan).splitlines()
    assert lines[0].split()[:4] == ["model", "images", "seed", "steps"]
    assert lines[1].split()[:6] == ["one", "4", "0", "5", "1", "10"]
    assert len([line for line in lines if line.startswith(("one", "two"))]) == 16
    assert any("best of 0.01, 0.1 in 4 steps, on 30% of them" in line for line in lines)
    assert any("unknown: nothing like these models" in line for line in lines)


def planned_runs(store, stand_ins, **changes):
    """By model, dataset size and steps: what the plan says of each run."""
    cfg, inputs = settled(store, stand_ins, **changes)
    made = sorted(Path(str(store.root)).rglob("*"))
    plan = planned(cfg, inputs, store=store, runtime=ONE_DEVICE)
    assert sorted(Path(str(store.root)).rglob("*")) == made
    schemas.check(plan.as_json(), "sweep_plan")
    rows = {(r.trunk.model, r.trunk.size, r.branch.steps): r.in_store for r in plan.runs}
    return plan, {key: state.in_words() for key, state in rows.items()}


def test_a_plan_marks_what_is_in_the_store(store, stand_ins):
    plan, rows = planned_runs(store, stand_ins)
    assert {*rows.values()} == {"new"}
    assert plan.flops_left == pytest.approx(plan.flops)

    # All of a size and a duration, of one model.
    stand_ins.failures["pretrain", "two"] = VitctlError("the disk is full")
    swept(store, stand_ins, sizes=[4], durations={"steps": [5]})
    plan, rows = planned_runs(store, stand_ins)
    assert rows.pop(("one", 4, 5)) == "finished"
    assert {*rows.values()} == {"new"}
    runs = [run for run in plan.runs if run.is_trained]
    assert plan.flops_left == pytest.approx(plan.flops - sum(run.flops for run in runs))
    json_rows = plan.as_json()["runs"]
    assert [r["in_store"] for r in json_rows if r["in_store"]["trained"]] == [
        {"trained": True, "step": None, "probes": [True]}
    ]

    stand_ins.failures.clear()
    swept(store, stand_ins)
    plan, rows = planned_runs(store, stand_ins)
    assert {*rows.values()} == {"finished"}
    assert plan.flops_left == 0
    assert plan.seconds_left == 0
    # Longer runs go on from trunks, which is what they add anyway.
    _, rows = planned_runs(store, stand_ins, durations={"steps": [5, 10, 20]})
    assert {key[2]: state for key, state in rows.items()} == {
        5: "finished",
        10: "finished",
        20: "new",
    }


def test_a_plan_says_which_probes_are_measured(store, stand_ins):
    """Of two, one fails on the longer runs."""
    probes = [
        {"command": "fewshot", "settings": {"shots": [1]}},
        {"command": "evaluate", "data": "others", "name": "others"},
    ]
    stand_ins.failures["evaluate", "10"] = InputError("no such class")
    swept(store, stand_ins, probes=probes)
    stand_ins.failures.clear()
    plan, rows = planned_runs(store, stand_ins, probes=probes)
    assert {key[2]: state for key, state in rows.items()} == {
        5: "finished",
        10: "trained, 1 of 2 probes",
    }
    assert {run.in_store.probes for run in plan.runs} == {(True, True), (True, False)}
    assert text.totals(plan)["in the store"] == "all rows are trained, 12 of 16 probes measured"
    assert plan.flops_left == 0
    swept(store, stand_ins, probes=probes)
    _, rows = planned_runs(store, stand_ins, probes=probes)
    assert {*rows.values()} == {"finished"}
    # A grid of other probes has the models.
    _, rows = planned_runs(store, stand_ins, probes=[])
    assert {*rows.values()} == {"finished"}


def test_a_plan_names_the_step_that_an_unfinished_trunk_goes_on_from(store, stand_ins):
    """One that ended between two durations of the grid."""
    swept(store, stand_ins, durations={"steps": [10]}, sizes=["all"])
    _, rows = planned_runs(store, stand_ins, durations={"steps": [5, 20]}, sizes=["all"])
    assert {key[2]: state for key, state in rows.items()} == {5: "new", 20: "step 8"}


def test_a_plan_names_the_trunk_of_a_cooldown_that_failed(store, stand_ins):
    stand_ins.failures["cooldown", "for 1"] = VitctlError("the disk is full")
    swept(store, stand_ins, durations={"steps": [5]}, sizes=["all"])
    stand_ins.failures.clear()
    plan, rows = planned_runs(store, stand_ins, durations={"steps": [5]}, sizes=["all"])
    assert {*rows.values()} == {"step 4"}
    assert text.totals(plan)["in the store"].startswith(
        "0 of 2 rows trained, 2 begun, 0 of 2 probes measured; "
    )


def test_a_plan_finds_chosen_learning_rates(store):
    stand_ins = StandIns(best_rate=0.03)
    rates = {"candidates": [0.001, 0.03, 0.1], "steps": 4, "held_out": 0.3, "choose": "model"}
    plan, _ = planned_runs(store, stand_ins, lr=rates)
    assert plan.searches_left == plan.searches
    swept(store, stand_ins, lr=rates, sizes=["all"])
    calls = len(stand_ins.calls)
    plan, rows = planned_runs(store, stand_ins, lr=rates)
    assert plan.searches_left == ()
    assert {key[1]: state for key, state in rows.items()} == {4: "new", 6: "finished"}
    assert plan.flops_left < plan.flops - plan.flops_of_rates
    assert len(stand_ins.calls) > calls  # the stand-ins were asked, and made nothing


def test_what_of_a_plan_is_in_the_store_in_words(store, stand_ins):
    from stages.sweep.answer import as_text

    swept(store, stand_ins, durations={"steps": [5]})
    plan, _ = planned_runs(store, stand_ins)
    lines = as_text(plan).splitlines()
    assert lines[0].split()[-1] == "store"
    assert [line.split()[-1] for line in lines[1:9]].count("finished") == 4
    assert any(
        "4 of 8 rows trained, 4 of 8 probes measured; " in line and "FLOPs are left" in line
        for line in lines
    )
    swept(store, stand_ins)
    plan, _ = planned_runs(store, stand_ins)
    assert "all rows are trained and measured" in as_text(plan)


def test_bytes_are_those_of_the_checkpoints(plan):
    """Ten bytes a parameter, as Adam's first moment is in bfloat16; in a trunk's checkpoint and a
    branch's."""
    first = plan.runs[0]
    parameters = accounting.parameters(first.branch.cfg.model).total
    assert first.bytes == pytest.approx(2 * (4 + 2 + 4) * parameters, rel=0.01)


# ---- Time


def test_seconds_of_a_shared_trunk_are_its_share(store):
    path = trained(store, recipe("pretrain", "run"), steps=(10, 40))
    rows = [
        {"began": 0, "from_step": 0, "step": 20, "seconds": {"step": 3.0, "data_wait": 1.0}},
        {"began": 9, "from_step": 20, "step": 40, "seconds": {"step": 6.0, "compile": 5.0}},
    ]
    rows = [{**row, "ended": "finished"} for row in rows]
    (path / "goodput.json").write_text(json.dumps({"format": 1, "starts": rows}))
    record = json.loads((path / "run.json").read_text())
    for segment in record["segments"]:
        segment["runtime"]["devices"] = 2
    (path / "run.json").write_text(json.dumps(record))
    run_ = Run.load(path)
    assert device_seconds(run_.checkpoint(10)) == pytest.approx(2 * 2.0)
    assert device_seconds(run_.checkpoint(40)) == pytest.approx(2 * 10.0)
    (path / "goodput.json").unlink()
    assert device_seconds(run_.checkpoint(10)) is None


# ---- The real commands


def test_trained_as_the_commands_do(tmp_path):
    """Trunk, branch and score are those of the same words one by one: found, not made again."""
    store = Store(tmp_path / "store")
    data = photos(tmp_path, ("one", "two"))
    tree = grid(
        models=grid()["models"][:1],
        sizes=[12],
        durations={"steps": [4]},
        cooldown=0.25,
        settings=merge({}, grid()["settings"], {"data": {"batch": 8}}),
        probes=[{"command": "evaluate"}],
    )
    artifact = api.sweep(tree, data=data, store=store, runtime={"devices": 1})
    (row,) = SWEEP.summary(artifact).rows
    assert row.failure is None
    model = {f"model.{k}": v for k, v in tree["models"][0].items() if k != "name"}
    trunk = api.pretrain(
        data=api.subset(data, set={"images": 12}, store=store),
        steps=3,
        set={
            **model,
            "name": "one",
            "data.batch": 8,
            "model.resolution": 8,
            "schedule.warmup_steps": 1,
            "precision": "float32",
            # Of all images, so that every size is cropped alike.
            "data.augment.area_min": trained_with(
                Run.load(next((tmp_path / "store/pretrain").iterdir())).checkpoint(3)
            ).data.augment.area_min,
        },
        store=store,
        runtime={"devices": 1},
    )
    cooled = api.cooldown(trunk, steps=1, store=store)
    scored = api.evaluate(cooled, data=data, store=store)
    assert (row.trunk, row.checkpoint, row.probes) == (trunk.id, cooled.id, (scored.id,))
    assert row.metrics["top1"].value == scored.summary["top1"]
    assert row.device_seconds > 0
    for stage in ("pretrain", "cooldown", "evaluate"):
        made = [p for p in (tmp_path / "store" / stage).iterdir() if not p.name.startswith(".")]
        assert len(made) == 1, stage
    plan = api.sweep(tree, data=data, store=store, dry_run=True, runtime={"devices": 1})
    assert isinstance(plan, SweepPlan)
    assert [run.in_store.in_words() for run in plan.runs] == ["finished"]
    further = {
        **tree,
        "probes": [*tree["probes"], {"command": "fewshot", "settings": {"shots": 1}}],
    }
    plan = api.sweep(further, data=data, store=store, dry_run=True, runtime={"devices": 1})
    assert [run.in_store.probes for run in plan.runs] == [(True, False)]
