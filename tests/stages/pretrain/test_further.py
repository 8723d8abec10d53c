"""Pretraining that goes on from a checkpoint: its settings, and bitwise what it is."""

from __future__ import annotations

import numpy as np
import pytest

from stages import api
from stages.pretrain import run as pretrain_stage
from stages.pretrain.settings import resolve
from tests import made
from tests.train.conftest import config, contents, cooldown, pretrain, pretrain_in
from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.runs import run_of
from vitctl.checkpoints import position
from vitctl.data.batches import keys_of_steps
from vitctl.data.config import HELD_OUT
from vitctl.data.digest import ConsumedSamples
from vitctl.data.mock import MockDataset
from vitctl.errors import UsageError
from vitctl.events import Note
from vitctl.model import accounting
from vitctl.optim import schedules
from vitctl.recipes import measuring
from vitctl.recipes.branching import trained_with
from vitctl.settings.overrides import Overrides
from vitctl.settings.trees import from_keys
from vitctl.train.config import TrainRuntime
from vitctl.train.telemetry.metrics import read

__all__ = ["cooldown", "pretrain"]


@pytest.fixture
def further(tmp_path):
    """further(checkpoint, 4, store="a", model=None, recipe=None, emit=..., **settings)."""

    def call(
        checkpoint: Artifact,
        steps: int | None = 4,
        *,
        store="a",
        model=None,
        recipe=None,
        emit=lambda event: None,
        trains=True,
        **settings,
    ):
        place, runtime = Store(tmp_path / store), TrainRuntime(checkpoint_every=2, log_every=1)
        cfg, inputs = resolve(
            Overrides(settings=from_keys(settings)),
            model=model,
            recipe=recipe,
            length=None if steps is None else (steps, "steps"),
            dataset=lambda: pytest.fail("these images are synthetic"),
            mock=True,
            checkpoint=checkpoint,
            store=place,
            runtime=runtime,
            emit=emit,
        )
        if not trains:
            return cfg
        return pretrain_stage.run(cfg, inputs, store=place, runtime=runtime, emit=emit)

    return call


@pytest.fixture(scope="module")
def half(tmp_path_factory) -> Artifact:
    """A trunk of four steps, which all here go on from and none changes."""
    return pretrain_in(tmp_path_factory.mktemp("half"))(4)


OTHER = {"data.mock.examples": 50}


def notes(events):
    return " | ".join(event.text for event in events if isinstance(event, Note))


def test_the_same_images_go_on_as_if_nothing_had_come_between(half, pretrain, further):
    whole = pretrain(8, store="b")
    after = further(half)
    assert after.id != whole.id
    assert contents(after) == contents(whole)
    assert after.summary["images"] == whole.summary["images"] == 8 * 16
    assert after.summary["flops"] == whole.summary["flops"]
    assert [p.role for p in after.manifest.parents] == ["from"]


def test_other_images_begin_their_own_order_and_all_else_goes_on(half, further, cooldown):
    events = []
    after = further(half, emit=events.append, **OTHER)
    cfg = trained_with(after)
    assert (cfg.from_schedule, cfg.data.first_step, cfg.schedule.rewarm_steps) == ("continue", 4, 0)
    assert "goes on from step 4, at learning rate 0.008165, with its optimizer's state" in notes(
        events
    )
    assert "the head is kept: the same 4 classes" in notes(events)
    # The first batch is the first of the new order, and the digest goes on from the old one.
    keys = keys_of_steps(MockDataset(4, 50, 20), split="train", seed=0, batch=16)
    expected = ConsumedSamples.from_json(position.read(half.path).consumed).anchored()
    for step in range(4):
        expected = expected.advance(keys(step))
    consumed = ConsumedSamples.from_json(position.read(after.path).consumed)
    assert consumed == expected

    # It is a trunk of its own: it resumes bitwise, and cools down.
    long = further(half, 6, **OTHER)
    assert run_of(long).path == run_of(after).path
    straight = further(half, 6, store="c", **OTHER)
    assert long.digest == straight.digest
    cooled = cooldown(long, 2)
    assert cooled.step == 12
    assert trained_with(cooled).data.first_step == 4
    assert trained_with(cooled).from_schedule is None
    with_cooldown = further(half, 8, store="d", **OTHER, **{"schedule.cooldown_steps": 2})
    assert contents(with_cooldown) == contents(cooled)


def test_other_classes_get_a_new_head_a_new_optimizer_and_a_warmup(half, further):
    events = []
    after = further(half, emit=events.append, **{"model.classes": 6, "schedule.rewarm_steps": 2})
    cfg = trained_with(after)
    assert (cfg.schedule.rewarm_at, cfg.schedule.rewarm_steps) == (4, 2)
    assert "a new head: 6 classes, before were 4" in notes(events)
    assert "a warmup of 2 steps leads to (--rewarm), as the optimizer starts anew" in notes(events)
    rates = [row["lr"] for row in read(run_of(after).metrics) if row["kind"] == "train"]
    trunk = trained_with(half).schedule
    whole = [schedules.value(trunk, step=step) for step in range(4, 8)]
    np.testing.assert_allclose(rates, whole * np.array([0, 0.5, 1, 1]), rtol=1e-6)
    assert after.summary["classes_before"] == []  # mock names: 0..3 are among 0..5
    assert measuring.known(after, store=Store(half.path)).classes == {*"012345"}


def test_a_new_schedule_takes_the_weights_alone_and_counts_what_they_saw(half, further):
    events = []
    after = further(
        half,
        2,
        emit=events.append,
        **{"from_schedule": "restart", "data.batch": 8, "loss": "softmax", "model.resolution": 24},
    )
    cfg = trained_with(after)
    assert (after.step, cfg.recipe, cfg.optim.name, cfg.loss) == (2, "small", "adam", "softmax")
    assert cfg.model.width == 16
    assert after.summary["images"] == 2 * 8
    assert after.summary["images_before"] == 4 * 16
    expected = 64 * accounting.trained_flops(trained_with(half).model)
    expected += 16 * accounting.trained_flops(cfg.model)
    assert after.summary["flops"] == expected
    assert "loss softmax" in notes(events)
    assert "position embeddings of 2x2 patches, resampled for 3x3" in notes(events)
    again = further(after, 1, **{"from_schedule": "restart", "data.batch": 8})
    assert again.summary["images_before"] == 4 * 16 + 2 * 8


def test_patches_of_another_size_go_on_with_the_embedding_resampled(half, further):
    old = trained_with(half).model
    assert (old.resolution, old.patch) == (16, 8)
    events = []
    after = further(half, 2, emit=events.append, **{"model.patch": 4, "schedule.rewarm_steps": 1})
    cfg = trained_with(after)
    assert (cfg.model.patch, cfg.model.resolution, cfg.model.position_grid) == (4, 16, None)
    assert (after.step, cfg.from_schedule, cfg.schedule.rewarm_at) == (6, "continue", 4)
    assert "the embedding of 8 px patches, resampled for 4 px" in notes(events)
    assert "position embeddings of 2x2 patches, resampled for 4x4" in notes(events)
    assert "the head is kept" in notes(events)


def test_images_take_the_nearest_size_that_other_patches_divide(tmp_path, further):
    before = made.checkpoint(Store(tmp_path / "a"), saved=False)
    events = []
    cfg = further(before, trains=False, emit=events.append, **{"model.patch": 5})
    assert cfg.model.resolution == 10
    assert "--res 10 (of 8 px the nearest size that patches of 5 px divide)" in notes(events)
    given = further(before, trains=False, **{"model.patch": 5, "model.resolution": 20})
    assert given.model.resolution == 20


def test_a_model_named_with_other_patches_is_the_same_model(tmp_path, further):
    sizes = {"width": 192, "depth": 12, "mlp_dim": 768, "heads": 3, "patch": 16, "resolution": 224}
    before = made.checkpoint(
        Store(tmp_path / "a"), saved=False, name="Ti/16", model=sizes | {"position": "sincos2d"}
    )
    for restart in ({}, {"from_schedule": "restart"}):
        cfg = further(before, trains=False, model="Ti14", **restart)
        assert (cfg.name, cfg.label) == ("Ti/14", "Ti/14")
        # Fixed embeddings span what they spanned.
        assert (cfg.model.grid, cfg.model.position_grid) == (16, 14)
    with pytest.raises(UsageError, match=r"would be another model .width 192, not 384"):
        further(before, trains=False, model="S/14")


def test_a_fresh_head_is_one_that_begins_anew_although_the_classes_are_the_same(half, further):
    events = []
    after = further(half, 2, emit=events.append, from_head="fresh")
    cfg = trained_with(after)
    assert "a new head: the same classes" in notes(events)
    assert cfg.schedule.rewarm_at == 4  # its optimizer starts anew
    assert after.id != further(half, 2, **{"schedule.rewarm_steps": 0}).id
    assert trained_with(further(after, 2)).from_head == "keep"


def test_averaged_weights_are_taken_where_a_new_schedule_begins(tmp_path, further):
    before = made.checkpoint(Store(tmp_path / "a"), optim={"ema": 0.9}, cooled=True, saved=False)
    cfg = further(before, trains=False, from_schedule="restart")
    assert cfg.from_weights == "ema"
    assert further(before, trains=False).from_weights == "raw"


@pytest.mark.parametrize("flags", [{}, {"from_schedule": "restart"}])
def test_what_was_held_out_and_how_the_best_was_chosen_are_not_inherited(tmp_path, further, flags):
    """It trains on all images, and its last checkpoint is its result, unless settings say so."""
    before = made.checkpoint(
        Store(tmp_path / "a"),
        saved=False,
        schedule={"total_steps": 40, "cooldown_steps": 4},
        data={"eval_split": HELD_OUT, "held_out": 0.1},
        keep_best={"metric": "loss", "every": 2},
        label_smoothing=0.1,
    )
    assert trained_with(before).keep_best is not None
    events = []
    cfg = further(before, trains=False, emit=events.append, **flags)
    assert (cfg.keep_best, cfg.data.held_out, cfg.data.eval_split) == (None, None, "val")
    assert cfg.label_smoothing == (0.0 if flags else 0.1), "a setting of training goes on"
    dumped = cfg.model_dump(mode="json")
    assert "keep_best" not in dumped
    assert "held_out" not in dumped["data"]
    same = further(before, trains=False, **flags, **{"data.held_out": 0.1})
    assert same.data.held_out == 0.1
    if not flags:
        assert "the order of the images begins anew" in notes(events)
        assert (cfg.data.first_step, same.data.first_step) == (8, 0)


@pytest.mark.parametrize(
    ("changes", "flags", "sentence", "hint"),
    [
        ({"schedule": {"kind": "cosine"}}, {}, "ends by itself", "--from-schedule restart"),
        ({"schedule": {"cooldown_steps": 4}}, {}, "already cooling down", "branch from"),
        ({}, {"model": "S/16"}, "would be another model .width 16, not 384", "without --from"),
        ({}, {"model.width": 32}, "would be another model .width 16, not 32", "without --from"),
        ({}, {"recipe": "paper"}, "goes on with recipe small, not paper", "restart"),
        ({}, {"from_schedule": "later"}, "must be continue or restart", None),
        ({}, {"schedule.total_steps": 3}, None, None),
        ({}, {"data.batch": 1000}, "images to train on", "--batch"),
    ],
)
def test_what_it_refuses(tmp_path, further, changes, flags, sentence, hint):
    before = made.checkpoint(Store(tmp_path / "a"), saved=False, **changes)
    steps = None if "schedule.total_steps" in flags else 4
    with pytest.raises(UsageError, match=sentence or "ends before step 8") as caught:
        further(before, steps, trains=False, **flags)
    assert hint is None or hint in caught.value.hint


def test_an_import_has_no_schedule_to_go_on_with(tmp_path, further, monkeypatch):
    before = made.checkpoint(Store(tmp_path / "a"), saved=False)
    manifest = before.manifest.model_copy(update={"stage": "import"})
    imported = Artifact(before.path, manifest)
    assert further(imported, trains=False).from_schedule == "restart"
    with pytest.raises(UsageError, match="was imported, without the schedule"):
        further(imported, trains=False, from_schedule="continue")


def test_a_run_from_random_weights_has_no_such_settings(pretrain):
    with pytest.raises(UsageError, match="from_schedule is of a run that begins from a checkpoint"):
        pretrain(4, from_schedule="restart")
    with pytest.raises(UsageError, match="from_head=fresh is of what a run begins from"):
        pretrain(4, from_head="fresh")
    with pytest.raises(UsageError, match=r"data\.first_step is of a run"):
        pretrain(4, data={"first_step": 2})


def test_ids_of_runs_that_begin_at_random_stay():
    tree = config(8).model_dump(mode="json")
    assert "from_schedule" not in tree
    assert "from_head" not in tree
    assert "first_step" not in tree["data"]
    assert "rewarm_at" not in tree["schedule"]


def test_a_dataset_and_made_up_images_are_not_both_asked_for(tmp_path):
    with pytest.raises(UsageError, match="requests synthetic images, and") as raised:
        api.pretrain(data="photos", mock=True, store=tmp_path)
    assert raised.value.hint == "leave out one of them"
    assert list(tmp_path.iterdir()) == []
