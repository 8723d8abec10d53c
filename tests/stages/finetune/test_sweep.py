"""A learning rate chosen on held-out training images."""

from __future__ import annotations

import numpy as np
import pytest

from stages.finetune import run as finetune_stage
from stages.finetune import sweep as sweeps
from stages.finetune.settings import resolve
from stages.finetune.spec import Inputs, Sweep, recipe_of
from tests import made
from tests.stages.finetune.test_finetune import dataset
from vitctl.artifacts import Store
from vitctl.artifacts.kinds import CHECKPOINT
from vitctl.artifacts.kinds.checkpoint import Scores, TriedRate
from vitctl.artifacts.runs import run_of
from vitctl.data.config import HELD_OUT
from vitctl.errors import DivergedError, InputError, UsageError
from vitctl.events import Caution, Settings, silent
from vitctl.recipes.held_out_scores import scores_of
from vitctl.settings.overrides import Overrides
from vitctl.train.config import TrainRuntime
from vitctl.train.run import trainer
from vitctl.train.telemetry.metrics import Metrics

RUNTIME = TrainRuntime(checkpoint_every=2, log_every=1)


def settings(checkpoint, data, *, store, flags=None, **arguments):
    overrides = Overrides(flags={"data": {"batch": 8}, **(flags or {})})
    return resolve(
        overrides,
        checkpoint,
        data,
        length=(3, "steps"),
        store=store,
        runtime=RUNTIME,
        emit=silent,
        **arguments,
    )


def test_a_sweep_is_continued_chooses_the_best_and_is_found_again(tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    before, data = made.checkpoint(store), dataset(tmp_path, ("one", "two"))
    cfg, inputs = settings(before, data, store=store, sweep_lr="0.5,0.02")
    trained, train = [], trainer.train

    def recording(run, cfg, **arguments):
        trained.append(cfg)
        if len(trained) == 2:
            raise KeyboardInterrupt
        return train(run, cfg, **arguments)

    monkeypatch.setattr(trainer, "train", recording)
    events = []

    def run():
        return finetune_stage.run(cfg, inputs, store=store, runtime=RUNTIME, emit=events.append)

    with pytest.raises(KeyboardInterrupt):
        run()
    done = run()
    held = [c.data.held_out for c in trained]
    assert held == [0.02, 0.02, 0.02, None], "the first candidate was not trained again"
    assert [c.data.eval_split for c in trained] == [HELD_OUT] * 3 + ["val"]
    assert run().digest == done.digest
    assert len(trained) == 4, "nothing is trained where all is there"

    tried = CHECKPOINT.summary(done).sweep
    assert [candidate.lr for candidate in tried] == [0.5, 0.02]
    best = max(tried, key=lambda c: (c.scores.top1, -c.scores.loss))
    assert trained[-1].schedule.peak_lr == best.lr
    assert all(candidate.scores.examples == 1 for candidate in tried)  # 2 % of 18 images
    by_hand = cfg.model_validate(
        {**cfg.model_dump(mode="json"), "schedule": trained[-1].schedule.model_dump()}
    )
    assert done.manifest.id == _at_its_end(recipe_of(by_hand, Inputs(before, data)), step=3)
    (table, *_) = [e for e in events if isinstance(e, Settings) and "sweep" in e.title]
    assert "(chosen)" in table.values[f"{best.lr:g}"]
    assert any("mostly chance" in e.text for e in events if isinstance(e, Caution))


def _at_its_end(recipe, *, step: int) -> str:
    config = {**recipe.config, "step": step}
    return recipe.model_copy(update={"kind": "checkpoint", "config": config}).id


def scores(top1: float, loss: float | None) -> Scores:
    return Scores(top1=top1, top5=1.0, loss=loss, examples=200)


@pytest.mark.parametrize(
    ("tried", "best"),
    [
        ([(0.1, 0.5, 1.0), (0.2, 0.6, 2.0)], 0.2),
        ([(0.1, 0.6, 1.5), (0.2, 0.6, 1.0)], 0.2),
        ([(0.1, 0.6, None), (0.2, 0.6, 9.0)], 0.2),
        ([(0.2, 0.6, 1.0), (0.1, 0.6, 1.0)], 0.2),
    ],
    ids=["top-1", "then the loss", "which may not be finite", "then the first"],
)
def test_the_best_is_by_top1_then_by_the_loss(tried, best):
    candidates = [TriedRate(lr=lr, scores=scores(*rest), id="0") for lr, *rest in tried]
    diverged = TriedRate(lr=9.0, scores=None, id=None)
    cfg, chosen = sweeps.choose(made.config(), [*candidates, diverged], emit=silent)
    assert (cfg.schedule.peak_lr, chosen.lr) == (best, best)


def test_a_rate_that_diverges_has_no_scores_and_all_of_them_are_an_error():
    def diverges(cfg):
        raise DivergedError("step 2 diverged")

    cfg, sweep = made.config(), Sweep((0.5, 0.1), share=0.1)
    with pytest.raises(DivergedError, match="all learning rates") as caught:
        sweeps.train_candidates(cfg, sweep, train=diverges, emit=silent)
    assert "0.01,0.003" in caught.value.hint


def test_rates_are_scaled_with_the_batch(tmp_path):
    store = Store(tmp_path / "store")
    before, data = made.checkpoint(store), dataset(tmp_path, ("one", "two"))
    _, inputs = settings(before, data, store=store, sweep_lr=(0.03, 0.01), scale_lr="linear")
    np.testing.assert_allclose(inputs.sweep.rates, [0.03 / 64, 0.01 / 64])
    _, inputs = settings(before, data, store=store, sweep_lr="1,2", preset="vtab")
    assert inputs.sweep == Sweep((1.0, 2.0), share=0.2)
    given = {"schedule": {"peak_lr": 0.1}}
    with pytest.raises(UsageError, match="--sweep-lr would choose"):
        settings(before, data, store=store, sweep_lr="0.1,0.2", flags=given)
    with pytest.raises(UsageError, match="--scale-lr would change"):
        settings(before, data, store=store, scale_lr="sqrt", flags=given)
    for wrong in ("0.03", "0.03,0.03", "0.1,-1", "a,b", ""):
        with pytest.raises(UsageError, match="--sweep-lr"):
            settings(before, data, store=store, sweep_lr=wrong)


@pytest.mark.parametrize("ema", [False, True])
def test_scores_that_a_signal_broke_off_are_those_that_the_run_made_up_for(tmp_path, ema):
    """The checkpoint was saved without them; comparing the rates ended in an assertion."""
    checkpoint = made.checkpoint(Store(tmp_path / "store"))
    run = run_of(checkpoint)
    assert CHECKPOINT.summary(checkpoint).eval is None
    with pytest.raises(InputError, match="no held-out scores") as caught:
        scores_of(checkpoint)
    assert str(run.path) in caught.value.hint
    means = {"top1": 0.25, "top5": 1.0, "loss": None}
    averaged = {"ema_top1": 0.5, "ema_top5": 0.75, "ema_loss": 1.5} if ema else {}
    with Metrics(run.metrics, keep_to=checkpoint.step) as rows:
        if checkpoint.step:
            rows.row("eval", checkpoint.step - 1, **{**means, "top1": 0.0}, examples=8)
        rows.row("eval", checkpoint.step, split=HELD_OUT, **means, **averaged, examples=8)
    expected = {"top1": 0.5, "top5": 0.75, "loss": 1.5} if ema else means
    assert scores_of(checkpoint) == Scores(**expected, examples=8)
