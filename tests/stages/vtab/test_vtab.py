"""Several datasets, a fine-tuning of each, and one table. Fine-tuning is tested elsewhere: in all
tests but one a stand-in publishes its checkpoint."""

from __future__ import annotations

import csv
import json

import pytest

from stages import api
from stages.vtab import run as vtab_stage
from stages.vtab.answer import as_text
from stages.vtab.cost import planned
from stages.vtab.settings import read_named, resolve, task_of
from stages.vtab.spec import Commands
from tests import made, schemas
from tests.artifacts.making import dataset
from tests.stages.finetune.test_finetune import dataset as photos
from vitctl.artifacts import Store
from vitctl.artifacts.kinds import CHECKPOINT, VTAB
from vitctl.errors import DivergedError, InterruptedRun, NotFoundError, UsageError
from vitctl.events import Caution, Note, Settings, silent
from vitctl.measures.vtab import TASKS
from vitctl.model import accounting
from vitctl.recipes.composed import ComposedRuntime
from vitctl.settings.overrides import Overrides


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


class StandIn:
    """In place of `stages.api.finetune`: a checkpoint with the accuracy that a dataset has here, or
    an error. `calls` are the arguments."""

    def __init__(self, outcomes):
        self.outcomes, self.calls = outcomes, []

    def __call__(self, source, *, data, store, **arguments):
        self.calls.append({"data": data, **arguments})
        task = arguments["name"].removeprefix("made-")
        outcome = self.outcomes[task]
        if isinstance(outcome, Exception):
            raise outcome
        scores = {"top1": outcome, "top5": 1.0, "loss": 0.5, "examples": 6}
        return made.checkpoint(
            store, saved=False, summary={"eval": scores}, seed=len(self.calls), classes=("a", "b")
        )


def settled(store, named, *, trains, emit=silent, **settings):
    before = made.checkpoint(store, saved=False)
    commands = Commands(api.subset, trains)
    overrides = Overrides(settings=settings)
    return resolve(overrides, before, named, commands=commands, store=store, emit=emit)


def table_of(store, named, *, trains, events=None, **settings):
    emit = silent if events is None else events.append
    cfg, inputs = settled(store, named, trains=trains, emit=emit, **settings)
    return vtab_stage.run(cfg, inputs, store=store, runtime=ComposedRuntime(), emit=emit)


def pair(store):
    return [
        (TASKS["svhn"], dataset(store, name="photos")),
        (None, dataset(store, name="drawings", other=True)),
    ]


def test_a_table_of_datasets_is_published_and_found_again(store):
    finetune, events = StandIn({"svhn": 0.5, "drawings": 1.0}), []
    artifact = table_of(store, pair(store), trains=finetune, events=events, images=4, steps=3)
    summary = VTAB.summary(artifact)
    assert [(row.task, row.group, row.top1) for row in summary.tasks] == [
        ("svhn", "natural", 0.5),
        ("drawings", "other", 1.0),
    ]
    assert summary.mean == 0.5
    assert summary.mean_of_groups is None
    assert [row.train_examples for row in summary.tasks] == [4, 4]

    # Drawn as `subset` draws, and trained by the one setting.
    drawn = api.subset("photos", set={"images": 4}, store=store)
    assert finetune.calls[0]["data"].id == drawn.id
    assert all(call["preset"] == "vtab" and call["steps"] == 3 for call in finetune.calls)
    assert finetune.calls[0]["set"]["data"]["eval_split"] == "val"
    assert finetune.calls[0]["runtime"]["eval_every"] == 0
    assert finetune.calls[0]["runtime"]["keep_every"] == 3

    # The files
    content = json.loads((artifact.path / "results.json").read_bytes())
    assert content["mean"] == 0.5
    assert len(content["missing"]) == 18
    with (artifact.path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["task"] for row in rows] == ["svhn", "drawings"]
    assert float(rows[0]["low"]) < 0.5 < float(rows[0]["high"])
    assert "mean of natural  50.00% (1 task)" in (artifact.path / "table.txt").read_text()

    # What is said first
    texts = [event.text for event in events if isinstance(event, Note)]
    assert "photos: svhn (natural); 4 of 6 images of train, scored on 6 of val" in texts
    assert "drawings: none of VTAB's tasks; 4 of 6 images of train, scored on 6 of val" in texts
    cost = next(e for e in events if isinstance(e, Settings) and e.title == "VTAB-1k")
    assert cost.values["in all"].startswith("24 images")  # 2 fine-tunings of 3 steps of 4

    again = table_of(store, pair(store), trains=finetune, images=4, steps=3)
    assert again.digest == artifact.digest
    assert len(finetune.calls) == 2


def test_a_dataset_that_fails_stops_no_other_and_is_tried_again(store):
    finetune = StandIn({"svhn": DivergedError("the loss is NaN", hint="lower it"), "drawings": 1.0})
    events = []
    with pytest.raises(
        DivergedError, match=r"svhn failed, the other 1 did not: the loss"
    ) as caught:
        table_of(store, pair(store), trains=finetune, events=events)
    assert caught.value.hint.startswith("lower it; the same command tries again")
    table = next(e for e in events if isinstance(e, Settings) and "accuracy" in e.title)
    assert table.values["svhn"] == "failed: the loss is NaN"
    assert table.values["drawings"].startswith("100.00%")
    assert not list((store.root.local / "vtab").glob("*/artifact.json"))

    finetune.outcomes["svhn"] = 0.25
    artifact = table_of(store, pair(store), trains=finetune)
    assert [row.top1 for row in VTAB.summary(artifact).tasks] == [0.25, 1.0]


def test_a_dry_run_says_what_all_takes_and_trains_nothing(store):
    cfg, inputs = settled(store, pair(store), trains=StandIn({}), images=4, sweep_lr=(0.1, 0.01))
    plan = planned(cfg, inputs)
    content = json.loads(json.dumps(plan.as_json()))
    schemas.check(content, "vtab_plan")
    one = content["tasks"][0]
    assert (one["task"], one["train_examples"], one["examples"]) == ("svhn", 4, 6)
    assert (one["rates"], one["fine_tunings"]) == ([0.1, 0.01], 3)
    # Every image of every step of the three.
    assert one["images"] == one["steps"] * one["batch"] * 3
    assert content["images"] == sum(task["images"] for task in content["tasks"])
    assert one["flops"] == one["images"] * accounting.trained_flops(plan.tasks[0].cfg.model)
    assert "svhn" not in content["missing"]
    assert len(content["missing"]) == 18
    header, first, *_ = as_text(plan).splitlines()
    assert header.split()[:3] == ["task", "group", "dataset"]
    assert first.split()[:2] == ["svhn", "natural"]
    assert "6 of val" in first


def test_the_plan_is_the_same_in_python(store):
    data, before = pair(store)[0][1], made.checkpoint(store)
    options = {"set": {"images": 4, "steps": 3}, "store": store}
    plan = api.vtab(before, data={"svhn": data}, dry_run=True, **options)
    assert [task.as_json()["steps"] for task in plan.tasks] == [3]
    assert sorted(path.name for path in store.root.local.iterdir()) == ["pretrain", "shard"]


def test_a_stop_ends_all(store):
    finetune = StandIn({"svhn": InterruptedRun("stopped after step 1"), "drawings": 1.0})
    with pytest.raises(InterruptedRun):
        table_of(store, pair(store), trains=finetune)
    assert len(finetune.calls) == 1


def test_a_dataset_without_more_images_is_taken_whole(store):
    finetune = StandIn({"svhn": 0.5, "drawings": 1.0})
    artifact = table_of(store, pair(store), trains=finetune)
    assert finetune.calls[0]["data"].id == dataset(store, name="photos").id
    assert [row.train_examples for row in VTAB.summary(artifact).tasks] == [6, 6]


def test_which_task_a_dataset_is(store):
    events = []
    named = [(None, dataset(store, name="SVHN-cropped")), (None, dataset(store, name="clevr", a=1))]
    _, inputs = settled(store, named, trains=StandIn({}), emit=events.append)
    assert [one.task.name for one in inputs.tasks] == ["svhn", "clevr"]
    (caution,) = [e.text for e in events if isinstance(e, Caution)]
    assert "clevr-count or clevr-distance; --data clevr-count=clevr says so" in caution


def test_a_model_that_is_fine_tuned_already_is_cautioned_about(store):
    """`latest` is one, after a table: the last of its own fine-tunings."""
    tuned = made.checkpoint(store, saved=False, stage="finetune")
    events = []
    commands = Commands(api.subset, StandIn({}))
    named = [(TASKS["svhn"], dataset(store, name="photos"))]
    resolve(Overrides(), tuned, named, commands=commands, store=store, emit=events.append)
    assert [e.text for e in events if isinstance(e, Caution)] == [
        "made is fine-tuned already, and VTAB-1k measures weights that are not; --from names the "
        "model that it was made from"
    ]


def test_tasks_that_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pets=here").mkdir()
    named = read_named(["Pets=cats", "cifar_100=a=b", "x=y", "svhn", "pets=here"])
    assert [(task and task.name, reference) for task, reference in named] == [
        ("pets", "cats"),
        ("cifar-100", "a=b"),
        (None, "x=y"),
        (None, "svhn"),
        (None, "pets=here"),
    ]
    assert task_of("Pets") == TASKS["pets"]
    with pytest.raises(UsageError, match="none of VTAB's tasks") as caught:
        task_of("pats")
    assert "pets" in caught.value.hint


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": 0.1, "sweep_lr": (0.1, 0.2)}, "several to choose from"),
        ({"sweep_lr": (0.1, 0.1)}, "twice"),
        ({"eval_split": "train"}, "trained on"),
        ({"finetune": {"optim": {"no": 1}}}, "no setting"),
        ({"finetune": {"seed": 1}}, "which is seed here"),
        ({"finetune": {"data": {"batch": 1}}}, "which is batch here"),
    ],
)
def test_settings_that_make_no_sense(store, settings, message):
    with pytest.raises(UsageError, match=message):
        settled(store, pair(store), trains=StandIn({}), **settings)


def test_what_is_refused_before_any_training(store, tmp_path):
    photo = dataset(store)
    with pytest.raises(UsageError, match="2 datasets are the task svhn"):
        settled(store, [(TASKS["svhn"], photo)] * 2, trains=StandIn({}))
    with pytest.raises(UsageError, match="no dataset"):
        settled(store, [], trains=StandIn({}))
    with pytest.raises(NotFoundError, match="test"):
        settled(store, [(None, photo)], trains=StandIn({}), eval_split="test")


def test_fine_tuned_as_the_command_does(tmp_path):
    """The run of a dataset is that of `finetune` with the same words: found, not trained again."""
    store = Store(tmp_path / "store")
    before, data = made.checkpoint(store), photos(tmp_path, ("one", "two"))
    settings = {"images": 12, "batch": 8, "steps": 2, "lr": 0.02}
    artifact = api.vtab(before, data={"dtd": data}, set=settings, store=store)
    (row,) = VTAB.summary(artifact).tasks
    drawn = api.subset(data, set={"images": 12}, store=store)
    tuned = api.finetune(
        before,
        data=drawn,
        steps=2,
        preset="vtab",
        set={
            "data.batch": 8,
            "schedule.peak_lr": 0.02,
            "seed": 0,
            "data.eval_split": "val",
            "data.split": "train",
        },
        store=store,
    )
    assert tuned.id == row.checkpoint
    scores = CHECKPOINT.summary(tuned).eval
    assert (row.top1, row.examples, row.split) == (scores.top1, scores.examples, "val")
    assert row.train_examples == 12
    runs = [
        path for path in (tmp_path / "store/finetune").iterdir() if not path.name.startswith(".")
    ]
    assert len(runs) == 1
    assert [path.name for path in (runs[0] / "checkpoints").iterdir()] == ["2"]
