"""What a run keeps beside its weights (their average, the norms of its gradients), and how its
checkpoints are written beside its steps."""

from __future__ import annotations

import os
import shutil
import threading
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from tests import forking, schemas
from tests.compiling import KNOWN_TO_LIBTPU
from tests.forking import TRAINING
from tests.train.conftest import config, contents
from tests.waiting import PATIENCE_S
from vitctl.artifacts.runs import run_of
from vitctl.checkpoints import arrays as checkpoints
from vitctl.errors import DoesNotFitError, UsageError
from vitctl.events import Progress, Trained
from vitctl.inference import weights as frozen
from vitctl.model import shapes
from vitctl.places import place
from vitctl.recipes import measuring
from vitctl.sharding import layout as layouts
from vitctl.train.program import state
from vitctl.train.program.footprint import checkpoint_bytes
from vitctl.train.run import saving, setup
from vitctl.train.run.beginning import continued, scratch
from vitctl.train.telemetry.metrics import read


def arrays(checkpoint, part, *, cfg):
    """name -> array of one part of a checkpoint."""
    layout, field = layouts.make(devices=1), _FIELDS[part]
    shapes, shardings = state.shapes(cfg), state.shardings(cfg, layout)
    like = layouts.like(getattr(shapes, field), getattr(shardings, field))
    restored = checkpoints.restore(checkpoint.path, part, like=like)
    return {name: np.asarray(x) for name, x in checkpoints.named(restored).items()}


_FIELDS = {
    checkpoints.PARAMS: "params",
    checkpoints.EMA: "average",
    checkpoints.NORMS: "norms",
}


def rows(checkpoint, kind):
    return [row for row in read(run_of(checkpoint).metrics) if row["kind"] == kind]


def test_the_average_is_the_weighted_mean_of_every_step_s_weights(pretrain):
    """In float64, from the weights that each step left; roundings of fp32 below 1e-6."""
    optim = {"ema": 0.9}
    every = {"checkpoint_every": 1, "keep_every": 1}
    done = pretrain(6, optim=optim, runtime=every)
    cfg, run = config(6, optim=optim), run_of(done)
    after = [arrays(run.checkpoint(t), checkpoints.PARAMS, cfg=cfg) for t in range(1, 7)]
    mean = arrays(done, checkpoints.EMA, cfg=cfg)
    assert mean.pop("updates") == 6
    factors = 0.9 ** np.arange(5, -1, -1, dtype=np.float64)
    assert {f"weights/{name}" for name in after[0]} == mean.keys()
    for name in after[0]:
        stack = np.stack([weights[name] for weights in after]).astype(np.float64)
        expected = np.tensordot(factors / factors.sum(), stack, axes=1)
        np.testing.assert_allclose(mean[f"weights/{name}"], expected, atol=1e-6, rtol=1e-6)
    assert done.summary["ema"] == 0.9


def test_the_average_survives_a_resume_and_changes_no_weight(trained, uninterrupted, pretrain):
    optim = {"ema": 0.9}
    whole = uninterrupted(8, optim=optim)
    trained(4, optim=optim)
    resumed = pretrain(8, optim=optim)
    assert contents(whole) == contents(resumed)
    assert any(name.startswith("ema/weights.") for name in contents(whole))
    others = {name: sha for name, sha in contents(whole).items() if not name.startswith("ema/")}
    assert others == contents(uninterrupted(8))


def test_both_weights_are_scored_while_training(uninterrupted):
    done = uninterrupted(8, optim={"ema": 0.9})
    last = rows(done, "eval")[-1]
    assert last["ema_loss"] != last["loss"]
    for name in ("top1", "top5", "loss"):
        assert done.summary["eval_ema"][name] == last[f"ema_{name}"]
    schemas.check(done.as_json(), "artifact")


JUDGED = {"ema": 0.9, "skip_spikes": 6.0}


def test_a_cooldown_goes_on_with_the_average(trained, pretrain, cooldown):
    """Bitwise the end of one run, as its weights are."""
    branch = cooldown(trained(8, optim=JUDGED), 4)
    whole = pretrain(12, store="b", optim=JUDGED, schedule={"cooldown_steps": 4})
    assert contents(branch) == contents(whole)


def test_a_start_compiles_one_step(pretrain, cooldown, monkeypatch):
    """From nothing, from a checkpoint and in a cooldown: at scale that takes minutes, and jax does
    not tell of a second."""
    steps, make_step = [], setup.make_step

    def kept_step(*args, **options):
        steps.append(make_step(*args, **options))
        return steps[-1]

    monkeypatch.setattr(setup, "make_step", kept_step)
    pretrain(4, optim=JUDGED)
    cooldown(pretrain(8, optim=JUDGED), 2)
    assert [step._cache_size() for step in steps] == [1, 1, 1]


def test_either_weights_can_be_taken_further(uninterrupted):
    """What measures a checkpoint and what branches off it get the average when it is asked for."""
    done = uninterrupted(4, optim={"ema": 0.9})
    cfg, layout = config(4, optim={"ema": 0.9}), layouts.make(devices=1)
    mean = arrays(done, checkpoints.EMA, cfg=cfg)
    averaged = frozen.restored(done, model=cfg.model, layout=layout, weights="ema")
    branch = continued(cfg.model_copy(update={"from_weights": "ema"}), done)
    for params in (averaged, branch.state(layout).params):
        for name, array in checkpoints.named(params).items():
            np.testing.assert_array_equal(np.asarray(array), mean[f"weights/{name}"])
    raw = checkpoints.named(frozen.restored(done, model=cfg.model, layout=layout))
    assert any((np.asarray(raw[n]) != mean[f"weights/{n}"]).any() for n in raw)

    assert measuring.weights(done, requested=None).name == "ema"
    assert measuring.weights(done, requested="raw").name == "raw"
    with pytest.raises(UsageError, match="random weights"):
        scratch(config(4, from_weights="ema"))


def test_an_average_that_is_not_there_cannot_be_taken(uninterrupted):
    done = uninterrupted(4)
    assert measuring.weights(done, requested=None) == measuring.Weights("raw")
    with pytest.raises(UsageError, match="no average") as caught:
        measuring.weights(done, requested="ema")
    assert "--ema" in (caught.value.hint or "")


SEARCHED = """
import sys
from pathlib import Path
from tests.train.conftest import contents, pretrain_in
from vitctl.artifacts.runs import run_of
from vitctl.train.telemetry.metrics import read
pretrain = pretrain_in(Path(sys.argv[1]))
judged = pretrain(8, store="a", optim={"skip_spikes": 6.0})
plain = contents(pretrain(8, store="b"))
others = {name: sha for name, sha in contents(judged).items() if not name.startswith("norms/")}
assert others == plain
assert judged.summary["skipped"] == 0
rows = [row for row in read(run_of(judged).metrics) if row["kind"] == "train"]
assert [row["skipped"] for row in rows] == [0] * 8
"""


@pytest.mark.slow
def test_an_ordinary_run_is_untouched_by_the_search_for_spikes(tmp_path):
    """Two programs whose shared part is equal to the bit, as XLA fuses them unless told otherwise;
    the flags that make tests quick (`tests.compiling`) fuse the two differently."""
    environment = {**os.environ, "XLA_FLAGS": KNOWN_TO_LIBTPU}
    options = {"preload": TRAINING, "env": environment, "text": True, "timeout": PATIENCE_S}
    ended = forking.run(SEARCHED, tmp_path, **options)
    assert ended.returncode == 0, ended.stderr


def test_the_search_for_spikes_changes_no_loss(uninterrupted):
    """Within rounding, as the flags that make tests quick fuse the two programs differently; to the
    bit in the slow test above, which compiles both for half a minute."""
    judged = rows(uninterrupted(8, optim=JUDGED), "train")
    plain = rows(uninterrupted(8), "train")
    assert [row["skipped"] for row in judged] == [0] * 8
    losses = [row["loss"] for row in plain]
    assert [row["loss"] for row in judged] == pytest.approx(losses, rel=1e-5)
    assert max(losses) > 1.05 * min(losses)  # so that updates left out would be seen


def test_a_spike_is_left_out_counted_and_resumed(pretrain, monkeypatch):
    """Of an update whose gradient is twice the usual nothing remains but the count, with a restart
    right after it, too. Few updates make a history here, so that the test takes seconds, and little
    a spike: norms in a transformer are bounded by its own normalisations."""
    from vitctl.train.run.images import Images

    monkeypatch.setattr("vitctl.optim.spikes.FEWEST", 4)
    monkeypatch.setattr("vitctl.optim.spikes.LEAST_FACTOR", 1.1)
    honest = Images.train_batches

    def spoiled(self, layout, *, start_step):
        for batch in honest(self, layout, start_step=start_step):
            if batch.step == 5:  # every image alike, every label wrong: gradients add up
                batch.images[:] = batch.images[0]
                batch.labels[:] = (batch.labels[0] + 1) % 4
            yield batch

    # No other test has 3 deviations: programs are kept by their settings, in this process too.
    changes = {"optim": {"skip_spikes": 3.0, "ema": 0.9}}
    runtime = {"checkpoint_every": 1, "keep_every": 1}
    monkeypatch.setattr(Images, "train_batches", spoiled)
    cfg = config(8, **changes)
    done = pretrain(8, store="a", **changes, runtime=runtime)
    run = run_of(done)
    before, after = run.checkpoint(5), run.checkpoint(6)
    for part in (checkpoints.PARAMS, checkpoints.OPT, checkpoints.EMA):
        same = {n: s for n, s in contents(before).items() if n.startswith(f"{part}/")}
        assert same == {n: s for n, s in contents(after).items() if n.startswith(f"{part}/")}
    assert arrays(after, checkpoints.NORMS, cfg=cfg)["skipped"] == 1
    assert [row["skipped"] for row in rows(done, "train")] == [0] * 5 + [1] * 3
    assert done.summary["skipped"] == 1

    pretrain(6, store="b", **changes, runtime=runtime)
    resumed = pretrain(8, store="b", **changes, runtime=runtime)
    assert contents(resumed) == contents(done)


def test_what_is_saved_is_the_state_when_the_save_began(tmp_path):
    """Steps give up the buffers of the state they get; a save under way must not see that."""
    layout = layouts.make(devices=8)
    cfg = config(8, optim={"ema": 0.9})
    current = state.fresh(cfg, layout=layout)
    before = {n: np.array(x) for n, x in checkpoints.named(current.params).items()}
    spoil = jax.jit(lambda tree: jax.tree.map(lambda x: x + 1, tree), donate_argnums=0)
    writing = checkpoints.begin(place(tmp_path), parts=saving.parts(current), position={"step": 1})
    params = current.params
    for _ in range(20):
        params = spoil(params)
    jax.block_until_ready(params)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(current.params))
    writing.finish()
    like = layouts.like(shapes.of_params(cfg.model), layout.replicated)
    restored = checkpoints.named(
        checkpoints.restore(place(tmp_path), checkpoints.PARAMS, like=like)
    )
    for name, array in before.items():
        np.testing.assert_array_equal(np.asarray(restored[name]), array)


def test_training_goes_on_while_a_checkpoint_is_written(pretrain, monkeypatch):
    """Steps are seen between the beginning and the end of a save; the manifest comes last, and
    the stall is in the metrics."""
    order = []
    hold = threading.Event()
    real = checkpoints.Writing.finish

    def finish(self):
        order.append(("begun", self.position["step"]))
        if self.position["step"] == 4:
            assert hold.wait(PATIENCE_S)
        real(self)
        order.append(("written", self.position["step"]))

    def emit(event):
        if isinstance(event, Trained):
            order.append(("trained", event.step))
            if event.step == 7:
                hold.set()

    monkeypatch.setattr(checkpoints.Writing, "finish", finish)
    done = pretrain(8, emit=emit)
    assert order.index(("trained", 7)) < order.index(("written", 4))
    assert order.index(("written", 4)) < order.index(("begun", 8))  # one at a time
    saves = rows(done, "save")
    assert [row["step"] for row in saves] == [4, 8]
    assert all(row["stall_s"] > 0 and row["write_s"] > 0 and row["bytes"] > 0 for row in saves)


def test_an_error_of_a_save_reaches_the_command(uninterrupted, pretrain, monkeypatch):
    real = checkpoints.Writing.finish

    def fail(self):
        real(self)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.Writing, "finish", fail)
        with pytest.raises(OSError, match="No space"):
            pretrain(8, store="a")
    assert pretrain(8, store="a").digest == uninterrupted(8).digest


def test_a_disk_without_room_for_a_checkpoint_is_refused_before_the_first_step(
    uninterrupted, pretrain, tmp_path, monkeypatch
):
    """By about the bytes that a checkpoint has on the disk, without the descriptions of its arrays:
    chunks are compressed, which numbers of no pattern hardly are."""
    files = uninterrupted(8).manifest.files
    chunks = sum(entry.size for entry in files if "/c" in entry.path)
    needed = checkpoint_bytes(config(8))
    assert chunks <= needed <= 1.1 * chunks
    free = SimpleNamespace(total=10**12, free=needed - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: free)
    events = []
    with pytest.raises(DoesNotFitError, match=r"checkpoint of tiny takes about .* free") as raised:
        pretrain(8, emit=events.append)
    assert "--store" in raised.value.hint
    assert not (tmp_path / "a").exists(), "what was refused leaves nothing"
    assert not any(isinstance(event, Progress) for event in events)
    free.free = needed
    setup.check_disk(SimpleNamespace(path=place(str(tmp_path))), config(8))
    free.total = free.free = 0  # a file system that counts nothing
    setup.check_disk(SimpleNamespace(path=place(str(tmp_path))), config(8))
