"""A replayed batch is what the trainer consumed, bit for bit."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from stages.cooldown import run as cooldown_stage
from stages.cooldown.spec import Inputs as CooldownInputs
from stages.finetune import run as finetune_stage
from stages.finetune.spec import Inputs as FinetuneInputs
from stages.pretrain import run as pretrain_stage
from stages.pretrain.spec import Inputs as PretrainInputs
from stages.replay import text
from stages.replay.run import run
from stages.replay.spec import Inputs, Request
from stages.shard import run as shard_stage
from stages.shard.spec import Inputs as ShardInputs
from stages.shard.spec import ShardConfig, ShardRuntime
from tests import forking, made, schemas
from tests.forking import COMMAND, TRAINING
from vitctl import losses
from vitctl.artifacts import Artifact, Run, Store
from vitctl.artifacts.runs import run_of
from vitctl.data.sheet import sheet
from vitctl.errors import DivergedError, InputError, NotFoundError, OverwriteError, UsageError
from vitctl.events import Caution, Note
from vitctl.places.local import LocalPath
from vitctl.recipes import branching, finetuning, pretraining
from vitctl.settings.trees import merge
from vitctl.train.config import TrainConfig, TrainRuntime
from vitctl.train.program.step import StepStats
from vitctl.train.run import diverged_batch, setup, trainer
from vitctl.train.run.images import Images

AUGMENT = {"mixup_alpha": 0.4, "randaugment": {"layers": 1, "magnitude": 10}}
# Tracing RandAugment takes a second of processor time in each run and each reading.
PLAIN = {**AUGMENT, "randaugment": None}
CLASSES = ("ant", "bee", "cat")


@pytest.fixture
def consumed(monkeypatch):
    """(images, labels, index) of every step that trains; the step itself is not compiled."""
    batches = []

    def make_step(cfg, **_):
        def step(state, images, labels, rate, index, numbers):
            batches.append((np.asarray(images), np.asarray(labels), int(index)))
            fine = bool(np.isfinite(images).all())
            loss = jnp.float32(1 if fine else np.nan)
            return state, StepStats(loss, *[jnp.float32(1)] * 3, jnp.bool_(fine))

        return step

    monkeypatch.setattr(setup, "make_step", make_step)
    monkeypatch.setattr(trainer, "_compile", lambda *_, **__: None)
    monkeypatch.setattr(trainer, "evaluator", lambda *_, **__: None)
    return batches


@pytest.fixture
def bad_read(monkeypatch):
    """Two values of image 3 of batch 2 are not numbers, in training alone."""
    honest = Images.train_batches

    def spoiled(self, layout, *, start_step):
        for batch in honest(self, layout, start_step=start_step):
            if batch.number == 2:
                images = np.array(batch.images)
                images[3, 0, 0, :2] = np.nan
                batch = replace(batch, images=images)
            yield batch

    monkeypatch.setattr(Images, "train_batches", spoiled)
    return lambda: monkeypatch.setattr(Images, "train_batches", honest)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture(scope="module")
def sharded(tmp_path_factory) -> Artifact:
    """Three classes of 10 images of 12x10 pixels. It is never changed."""
    folder = tmp_path_factory.mktemp("sharded")
    rng = np.random.default_rng(0)
    for name in CLASSES:
        (folder / "photos" / name).mkdir(parents=True)
        for i in range(10):
            pixels = rng.integers(0, 256, (12, 10, 3), np.uint8)
            Image.fromarray(pixels).save(folder / "photos" / name / f"{i}.png")
    return shard_stage.run(
        ShardConfig(val_fraction=0.2),
        ShardInputs(str(folder / "photos")),
        store=Store(folder / "store"),
        runtime=ShardRuntime(workers=0),
    )


@pytest.fixture
def photos(sharded, tmp_path, store) -> Artifact:
    """A copy of that dataset in the store of the test."""
    path = Path(str(sharded.path))
    shutil.copytree(path, tmp_path / "store" / path.name)
    return Artifact.load(tmp_path / "store" / path.name)


def pretrained(store, photos, *, steps: int, augment=PLAIN, **runtime) -> Artifact:
    changes = {"model": {"classes": 3}, "data": {"batch": 8, "mock": None, "augment": augment}}
    changes["optim"] = {"name": "sgd"}  # half of Adam's arrays to save
    return pretrain_stage.run(
        made.config(**merge(changes, {"schedule": {"total_steps": steps}})),
        PretrainInputs(photos),
        store=store,
        runtime=TrainRuntime(checkpoint_every=2, **runtime),
    )


def of(entry, step, *, store, file=None, first=None, emit=lambda event: None):
    return run(Request(step, first, file), Inputs(entry), store=store, emit=emit)


def arrays(entry, step, *, store, folder):
    file = folder / f"{entry.path.parent.name}-{step}.npz"
    of(entry, step, store=store, file=file)
    with np.load(file) as batch:  # without allow_pickle
        return dict(batch)


def test_batches_of_a_trunk_its_cooldown_and_a_finetune(consumed, store, photos, tmp_path):
    """Steps are counted as metrics count them: step N is the one after N - 1 finished ones."""
    trunk = pretrained(store, photos, steps=2, augment=AUGMENT)
    branch = branching.cooled(trunk, steps=1, shape="linear")
    cooled = cooldown_stage.run(
        TrainConfig.model_validate(branch.tree),
        CooldownInputs(trunk, photos),
        store=store,
        runtime=TrainRuntime(),
    )
    source = pretraining.images_of(photos, split="train")
    overrides = {"data": {"batch": 8}}
    settings = finetuning.resolve(cooled, images=source, duration=(2, "steps"), overrides=overrides)
    tuned = finetune_stage.run(
        TrainConfig.model_validate(merge(settings.tree, overrides)),
        FinetuneInputs(cooled, photos),
        store=store,
        runtime=TrainRuntime(),
    )
    assert [index for _, _, index in consumed] == [0, 1, 2, 0, 1]
    # Reading an image costs a second of tracing, so not every step is looked at. The trunk's step 3
    # is the cooldown's: one order, one augmentation.
    for checkpoint, step, fed in ((trunk, 2, 1), (cooled, 3, 2), (trunk, 3, 2), (tuned, 2, 4)):
        images, labels, index = consumed[fed]
        batch = arrays(run_of(checkpoint), step, store=store, folder=tmp_path)
        np.testing.assert_array_equal(batch["images"], images)
        assert index == step - 1
        assert [CLASSES[label] for label in labels[:, 0]] == batch["labels"].tolist()
        assert [id.split("/")[0] for id in batch["ids"]] == batch["labels"].tolist()


def test_what_the_step_mixes(consumed, store, tmp_path):
    """Mixed by hand with the library's own mixup and the step's key: equal up to rounding."""
    trunk = pretrain_stage.run(
        made.config(data={"augment": {"mixup_alpha": 0.4}}, seed=7),
        PretrainInputs(None),
        store=store,
        runtime=TrainRuntime(),
    )
    mixup = jax.jit(losses.mixup, static_argnames="alpha")
    for step, (images, labels, index) in enumerate(consumed[:3], start=1):
        targets = losses.multi_hot(jnp.asarray(labels), classes=7)
        key = jax.random.fold_in(jax.random.fold_in(jax.random.key(7), 1), index)
        mixed, _ = mixup(jnp.asarray(images), targets, key=key, alpha=0.4)
        batch = arrays(trunk, step, store=store, folder=tmp_path)
        np.testing.assert_allclose(batch["learnt"], mixed, atol=1e-6)
        assert 0.5 <= batch["mixup"] < 1
        # The first rows alone are the same: row 0 is mixed with the last of the whole batch.
        part = tmp_path / f"part-{step}.npz"
        of(trunk, step, store=store, file=part, first=2)
        np.testing.assert_array_equal(np.load(part)["learnt"], batch["learnt"][:2])


def test_made_up_images_and_every_answer(consumed, store, tmp_path):
    trunk = pretrain_stage.run(
        made.config(), PretrainInputs(None), store=store, runtime=TrainRuntime()
    )
    batch = of(trunk, 3, store=store)
    schemas.check(text.as_json(batch), "batch")
    assert [row.id for row in batch.batch.images] == [None] * 16
    assert text.as_text(batch).splitlines()[0] == "step 3: 16 images"
    labels = [trunk.summary["classes"].index(row.labels[0]) for row in batch.batch.images]
    assert labels == consumed[2][1][:, 0].tolist()

    said = []
    picture = tmp_path / "folder" / "batch.png"
    of(trunk, 3, store=store, file=picture, first=5, emit=said.append)
    with Image.open(picture) as image:
        assert image.format == "PNG"
    earlier = of(run_of(trunk), 20, store=store, first=1, emit=said.append)
    assert len(earlier.batch.images) == 1
    assert any("not trained yet" in event.text for event in said if isinstance(event, Note))


def test_a_run_that_never_saved_can_be_replayed(store):
    """One that diverged at once, say."""
    from vitctl.artifacts import Recipe

    recipe = Recipe(stage="pretrain", version=1, kind="run", config=made.config().identity())
    with store.open_run(recipe, name="diverged") as draft:
        path = draft.path
    batch = of(Run.load(path), 1, store=store)
    assert len(batch.batch.images) == 16


def test_what_cannot_be_replayed(store, photos):
    closed = made.checkpoint(store, schedule={"kind": "cosine"})
    with pytest.raises(UsageError, match="ends at step 8, before step 9"):
        of(closed, 9, store=store)
    with pytest.raises(UsageError, match="is not given"):
        of(run_of(closed), None, store=store)
    assert of(closed, None, store=store).batch.step == 8
    with pytest.raises(InputError, match="is a dataset"):
        of(photos, 3, store=store)
    orphan = made.checkpoint(store, data={"mock": None})
    with pytest.raises(InputError, match="records no dataset"):
        of(orphan, 3, store=store)
    for wrong in ({"step": 0}, {"first": 0}, {"file": Path("batch.jpg")}):
        with pytest.raises(UsageError):
            Request(**{"step": 1, "first": None, "file": None, **wrong})


def test_a_file_that_is_there_is_replaced_only_by_force(store, tmp_path):
    closed = made.checkpoint(store)
    file = tmp_path / "batch.npz"
    file.write_text("mine")
    with pytest.raises(OverwriteError, match="already exists") as caught:
        of(closed, 3, store=store, file=file)
    assert "--force" in (caught.value.hint or "")
    (tmp_path / "folder.png").mkdir()
    for force in (False, True):
        with pytest.raises(OverwriteError, match="is a folder"):
            Request(3, None, tmp_path / "folder.png", force)
    assert file.read_text() == "mine"
    run(Request(3, 2, file, force=True), Inputs(closed), store=store)
    assert np.load(file)["step"] == 3


def test_one_file_is_not_for_two_batches(store, tmp_path):
    path = made.checkpoint(store).path
    file = tmp_path / "batch.npz"
    command = ("replay", "--from", "-", "--out", file)
    lines = f"{path}\n{path}\n"
    done = forking.run(COMMAND, *command, preload=TRAINING, input=lines, text=True)
    assert done.returncode == 2, done.stderr
    assert "--out names one file, and this replays 2 batches" in done.stderr
    assert done.stdout == ""
    assert not file.exists()


def test_a_kept_batch_is_shown_as_it_was(consumed, bad_read, store, photos, tmp_path):
    """The images that were read, not those that a second reading gives; the dataset may be gone."""
    with pytest.raises(DivergedError):
        pretrained(store, photos, steps=4)
    (trunk,) = [entry for entry in store.entries() if isinstance(entry, Run)]
    batch = Artifact.load(trunk.path / "batches" / "2")
    images, labels, index = consumed[2]
    computed = arrays(trunk.checkpoint(2), 3, store=store, folder=tmp_path)
    (photos.path / "artifact.json").unlink()

    said = []
    restored = arrays(batch, None, store=store, folder=tmp_path)
    np.testing.assert_array_equal(restored["images"], images)
    assert np.isnan(restored["images"]).sum() == 2
    assert index == 2
    assert [CLASSES[label] for label in labels[:, 0]] == restored["labels"].tolist()
    for name in ("ids", "keys", "positions", "epochs", "mixup", "step"):
        np.testing.assert_array_equal(restored[name], computed[name])
    rest = [0, 1, 2, 5, 6, 7]  # neither spoilt nor mixed with what is
    np.testing.assert_array_equal(restored["learnt"][rest], computed["learnt"][rest])
    assert np.isnan(restored["learnt"]).any(axis=(1, 2, 3)).nonzero()[0].tolist() == [3, 4]

    # Under the run's name it is the same, and said to be.
    picture = tmp_path / "batch.png"
    shown = of(trunk, 3, store=store, file=picture, first=5, emit=said.append)
    assert (shown.run, shown.saved, len(shown.batch.images)) == (trunk.path, batch.path, 5)
    texts = [event.text for event in said if isinstance(event, Note)]
    assert texts == [
        "step 3 diverged (loss nan, gradient norm 1) on this batch; the batch is shown as it was "
        f"saved in {batch.path}",
        "2 values of images are not finite, in row 3",
    ]
    with Image.open(picture) as image:
        magenta = (np.asarray(image) == (255, 0, 255)).all(axis=-1).sum()
    assert magenta == 2 * 9**2  # a pixel of rows 3 and 4, enlarged by nine
    texts = text.as_json(of(batch, 3, store=store, first=2))
    schemas.check(texts, "batch")
    assert (texts["kept"], texts["id"]) == (str(batch.path), batch.id)
    assert [image["row"] for image in texts["images"]] == [0, 1]

    for step, at in ((9, None), (None, 9)):
        with pytest.raises(UsageError, match="is the batch of step 3, not of step 9"):
            run(Request(step, None, None), Inputs(batch, at), store=store)


def test_a_damaged_batch_is_not_shown(consumed, bad_read, store, photos, tmp_path):
    with pytest.raises(DivergedError):
        pretrained(store, photos, steps=4)
    (trunk,) = [entry for entry in store.entries() if isinstance(entry, Run)]
    batch = Artifact.load(trunk.path / "batches" / "2")
    file = batch.path / "images.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match="other bytes than were published"):
        of(batch, 3, store=store)
    said = []
    assert of(trunk, 3, store=store, emit=said.append).saved is None
    (sentence,) = [event.text for event in said if isinstance(event, Caution)]
    assert sentence.startswith("step 3 diverged")
    assert "the batch is computed again" in sentence


def test_arrays_of_another_batch(consumed, bad_read, store, photos, monkeypatch):
    """Whole by its manifest, and yet not one batch."""
    written = LocalPath.write_atomic

    def reversed_(path, content):
        if path.name == "keys.npy":
            content = diverged_batch._npy(np.load(io.BytesIO(content))[::-1])
        written(path, content)

    monkeypatch.setattr(LocalPath, "write_atomic", reversed_)
    with pytest.raises(DivergedError):
        pretrained(store, photos, steps=4)
    (trunk,) = [entry for entry in store.entries() if isinstance(entry, Run)]
    with pytest.raises(InputError, match="is not one batch"):
        of(Artifact.load(trunk.path / "batches" / "2"), None, store=store)


def test_a_step_that_diverged_before_it_was_trained(consumed, bad_read, store, photos):
    """On the same batch: the disk was at fault."""
    with pytest.raises(DivergedError):
        pretrained(store, photos, steps=4)
    bad_read()
    done = pretrained(store, photos, steps=4)
    said = []
    batch = of(run_of(done), 3, store=store, emit=said.append)
    assert batch.saved is None
    place = run_of(done).path / "batches" / "2"
    (sentence,) = [event.text for event in said if isinstance(event, Note)]
    assert sentence == (
        "step 3 diverged (loss nan, gradient norm 1) on this batch before; to see that batch: "
        f"vitctl replay --from {place}"
    )


def test_a_step_that_was_trained_on_another_batch_later(consumed, bad_read, store, photos):
    done = pretrained(store, photos, steps=4, on_divergence="rollback")
    said = []
    batch = of(run_of(done), 3, store=store, emit=said.append)
    assert batch.saved is None
    assert [row.key for row in batch.batch.images] != np.load(
        run_of(done).path / "batches" / "2" / "keys.npy"
    ).tolist()
    (sentence,) = [event.text for event in said if isinstance(event, Note)]
    assert "step 3 diverged" in sentence
    assert "on another batch before" in sentence


def test_a_dataset_that_is_gone(consumed, store, photos):
    trunk = pretrained(store, photos, steps=2)
    (photos.path / "artifact.json").unlink()
    with pytest.raises(NotFoundError, match="is not in this store"):
        of(trunk, 1, store=store)


def test_pixels_of_a_sheet():
    """Every image is there, enlarged by a whole factor: 36 pixels twice, in two columns."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (3, 36, 36, 3), np.uint8)
    captions = [["class", "row"], ["a very long name that does not fit"], []]
    page = sheet(pixels.astype(np.float32) / 127.5 - 1, captions)
    with Image.open(io.BytesIO(page)) as image:
        result = np.asarray(image)
    wanted = pixels.repeat(2, axis=1).repeat(2, axis=2)
    step_x, step_y = 72 + 6, 72 + 2 * 14 + 6
    for i, enlarged in enumerate(wanted):
        left, top = 6 + i % 2 * step_x, 6 + i // 2 * step_y
        np.testing.assert_array_equal(result[top : top + 72, left : left + 72], enlarged)
        below = result[top + 72 : top + 72 + 28, left : left + 72]
        assert (below < 128).any() == bool(captions[i])  # its caption
