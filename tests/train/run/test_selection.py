"""The best checkpoint is the answer, training may end early, and a stop changes nothing of it."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.train.conftest import config, contents
from vitctl.artifacts import Store
from vitctl.artifacts.references import resolve
from vitctl.artifacts.runs import run_of
from vitctl.data.config import HELD_OUT
from vitctl.errors import InterruptedRun, UsageError
from vitctl.events import Caution, Note, Saved, Scored
from vitctl.inference.metrics import METRICS
from vitctl.inference.scoring import MeanScores, Scoring
from vitctl.recipes import branching
from vitctl.settings.overrides import build
from vitctl.train.config import KeepBest, TrainConfig
from vitctl.train.run import trainer
from vitctl.train.run.images import Images
from vitctl.train.run.selection import BestSoFar, best_of, obtainable

SCRIPT = {2: 0.1, 4: 0.5, 6: 0.4, 8: 0.5, 10: 0.9, 12: 0.2}
"""Step -> top-1: the best is at 4, then 6 and 8 are no better, then 10 would have been."""
COSINE = {"kind": "cosine", "total_steps": 12}
PATIENT = {"schedule": COSINE, "keep_best": {"metric": "top1", "every": 2, "patience": 2}}
TO_THE_END = {"schedule": COSINE, "keep_best": {"metric": "top1", "every": 2}}


@pytest.fixture(autouse=True)
def scripted(monkeypatch):
    add = BestSoFar.add

    def scores(self, step, scoring):
        raw = MeanScores({"top1": SCRIPT[step], "top5": 1.0, "loss": 1.0}, 20)
        add(self, step, Scoring(raw))

    monkeypatch.setattr(BestSoFar, "add", scores)


def test_it_stops_and_its_answer_is_the_best_and_is_found_again(pretrain, tmp_path, monkeypatch):
    notes = []
    best = pretrain(12, emit=notes.append, **PATIENT)
    run = run_of(best)
    assert (best.step, run.info.chosen, run.info.results) == (4, 4, (4,))
    assert run.info.scored == tuple((step, SCRIPT[step]) for step in (2, 4, 6, 8))
    said = [note.text for note in notes if isinstance(note, Note)]
    assert "--keep-best top1: step 4 (0.5) of 8, 12 were planned" in said
    store = Store(tmp_path / "a")
    assert resolve(str(run.path), kind="checkpoint", store=store).step == 4
    assert branching.is_cooled(best), "nothing is to be cooled down, or taken in its place"

    monkeypatch.setattr(trainer, "train", None)
    assert pretrain(12, **PATIENT).digest == best.digest


def test_without_patience_it_trains_to_the_end_and_keeps_the_best(pretrain):
    best = pretrain(12, **TO_THE_END)
    run = run_of(best)
    assert (best.step, run.newest().step, run.steps()[-1]) == (10, 10, 12)
    plain = pretrain(12, store="b", schedule=COSINE, runtime={"checkpoint_every": 10})
    assert contents(run_of(plain).checkpoint(10)) == contents(best), "it changes no weight"


def test_whenever_it_is_stopped_it_ends_as_if_it_had_not_been(pretrain):
    """Killed after the scores that are the best, after those that end it, and after saves."""
    whole = pretrain(12, **PATIENT)

    def same(store):
        done = pretrain(12, store=store, **PATIENT)
        assert done.digest == whole.digest, store
        assert run_of(done).info.scored == run_of(whole).info.scored, store

    for kind in (Scored, Saved):
        for step in (4, 8):

            def kill(event, kind=kind, step=step):
                if isinstance(event, kind) and event.step == step:
                    raise KeyboardInterrupt

            store = f"{kind.__name__}-{step}"
            try:
                pretrain(12, store=store, emit=kill, **PATIENT)
            except KeyboardInterrupt:
                pass
            else:
                assert kind is Saved, "not every step is saved, every second is scored"
            same(store)


@contextmanager
def stopped(number):
    """A SIGTERM while the scoring of this number is under way."""
    honest, begun = Images.eval_batches, []

    def batches(self, split, layout):
        begun.append(split)
        for batch in honest(self, split, layout):
            if len(begun) == number:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Images, "eval_batches", batches)
        with pytest.raises(InterruptedRun, match=f"SIGTERM after step {2 * number}"):
            yield


@pytest.mark.parametrize("number", [2, 4])  # the best score, and the one that ends it
def test_a_signal_while_it_scores(pretrain, number):
    with stopped(number):
        pretrain(12, **PATIENT)
    done = pretrain(12, **PATIENT)
    assert (done.step, run_of(done).info.scored[-1]) == (4, (8, 0.5))


def _damage(checkpoint):
    file = checkpoint.path / "params" / "head.kernel" / "c" / "0" / "0"
    file.write_bytes(file.read_bytes()[:-3])


def test_a_damaged_answer_is_made_again(pretrain):
    best = pretrain(12, **PATIENT)
    _damage(best)
    assert pretrain(12, **PATIENT).digest == best.digest


def test_scores_that_do_not_count_do_not_choose(pretrain):
    often = pretrain(12, runtime={"eval_every": 1}, **PATIENT)
    assert run_of(often).info.scored == tuple((step, SCRIPT[step]) for step in (2, 4, 6, 8))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"eval_split": "test"}}, "would choose by split test: --hold-out"),
        ({"data": {"eval_split": None}}, "needs held-out images: --hold-out"),
        ({"data": {"eval_split": "train"}}, "would choose by split train"),
        ({"schedule": {"kind": "rsqrt"}}, "rsqrt schedule has no end"),
    ],
)
def test_what_it_must_not_choose_by_is_refused(changes, message):
    tree = config(12, **{**TO_THE_END, "data": {"eval_split": HELD_OUT, "held_out": 0.2}})
    tree = tree.model_dump(mode="json")
    for key, value in changes.items():
        tree[key] |= value
    with pytest.raises(UsageError, match=message):
        build(TrainConfig, tree)


scores_of_a_run = st.lists(
    st.one_of(st.none(), st.sampled_from([0.1, 0.2, 0.3])), min_size=1, max_size=8
)


@given(scores_of_a_run, st.sampled_from(["top1", "loss"]), st.integers(1, 4))
def test_best_and_patience_are_those_of_a_walk_through_the_scores(values, metric, patience):
    best = waited = 0
    over = False
    for i, value in enumerate(values):
        if i == 0:
            continue
        before = values[best]
        worse = value is None or (
            before is not None and (value <= before if metric == "top1" else value >= before)
        )
        best, waited = (best, waited + 1) if worse else (i, 0)
        over = waited >= patience
    scores = [(10 * i, value) for i, value in enumerate(values)]
    assert best_of(scores, metric=metric) == scores[best]
    so_far = continued(scores, metric=metric, patience=patience)
    assert (so_far.best, so_far.is_over) == (10 * best, over)
    assert not continued(scores, metric=metric).is_over


def continued(scores, *, metric="top1", patience=None, stored=range(100), damaged=(), **run):
    """How a run with these scores goes on, whose checkpoints `stored` are there."""
    emit = run.pop("emit", lambda event: None)
    run = SimpleNamespace(
        info=SimpleNamespace(scored=tuple(scores)),
        steps=lambda: list(stored),
        damage=lambda step: f"{step} is damaged" if step in damaged else None,
        **{"mark_chosen": lambda step: pytest.fail(f"step {step} was recorded as chosen")} | run,
    )
    cfg = SimpleNamespace(
        keep_best=KeepBest(metric=metric, every=10, patience=patience),
        steps=100,
        optim=SimpleNamespace(ema=None),
    )
    return BestSoFar(run, cfg, step=scores[-1][0], emit=emit)


def test_what_is_gone_is_not_chosen_and_worse_ones_still_count():
    """After a rollback: the checkpoint at 20 was dropped for a better one that was given up."""
    scores = [(10, 0.3), (20, 0.5), (30, 0.2), (40, 0.1)]
    assert continued(scores, stored=[10, 20, 40], patience=2).best == 20
    assert continued(scores, stored=[20], patience=2).is_over, "30 and 40 are never kept, but count"
    gone = continued(scores, stored=[10, 40], patience=4)
    assert (gone.best, gone.is_over) == (10, False)
    assert continued(scores, stored=[40]).best == 40
    assert continued(scores, stored=[]).best is None
    assert obtainable(scores, stored=[30], metric="loss") == [(10, 0.3), (20, 0.5), (30, 0.2)]


def test_a_checkpoint_that_cannot_be_read_is_not_recorded_as_chosen():
    with pytest.raises(KeyError):
        continued([(10, 0.3)], damaged=[10], checkpoint={}.__getitem__).choose()


@pytest.mark.parametrize(("damaged", "chosen"), [([20], 30), ([20, 30], 10), ([10], 20)])
def test_of_damaged_ones_it_says_what_is_lost_and_takes_the_best_left(damaged, chosen):
    events, recorded = [], []
    scores = [(10, 0.1), (20, 0.5), (30, 0.3)]
    run = continued(
        scores,
        damaged=damaged,
        emit=events.append,
        checkpoint=lambda step: f"checkpoint {step}",
        mark_chosen=recorded.append,
    )
    assert run.best == chosen
    assert run.choose() == f"checkpoint {chosen}"
    assert recorded == [chosen]
    said = [event.text for event in events if isinstance(event, Caution)]
    assert len(said) == len({*damaged} - {10})
    value = dict(scores)[chosen]
    for step, text in zip(damaged, said, strict=False):
        assert text.startswith(f"the best checkpoint so far, step {step} ({dict(scores)[step]})")
        assert text.endswith(f"{step} is damaged; the best left is step {chosen} ({value})")


def test_a_run_whose_best_is_damaged_goes_on(pretrain, tmp_path):
    with stopped(3):
        pretrain(12, **TO_THE_END)
    (run,) = Store(tmp_path / "a").entries()
    _damage(run.checkpoint(4))
    events = []
    done = pretrain(12, emit=events.append, **TO_THE_END)
    assert (done.step, run_of(done).info.chosen) == (10, 10)
    (said,) = [e.text for e in events if isinstance(e, Caution) and "best checkpoint" in e.text]
    assert "step 4 (0.5), is lost: " in said
    assert said.endswith("no other is left yet")


def test_its_metrics_are_those_that_are_scored():
    assert {*KeepBest.model_fields["metric"].annotation.__args__} == {*METRICS}
