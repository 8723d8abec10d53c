"""How `vitctl average` works: checkpoints -> weights read one after the other -> a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from stages.average import soup
from stages.average.spec import VERSION, AverageConfig, Inputs
from vitctl.artifacts import Artifact, Recipe, Store, crew
from vitctl.artifacts.following import following
from vitctl.artifacts.kinds import CHECKPOINT
from vitctl.artifacts.kinds.checkpoint import Averaged, Checkpoint, Ingredient, Scores
from vitctl.artifacts.provenance import now
from vitctl.artifacts.run_draft import RunDraft
from vitctl.artifacts.runs import run_of
from vitctl.artifacts.store import slug
from vitctl.checkpoints import arrays, mean, position
from vitctl.data.classes import class_mapping, map_labels
from vitctl.events import Emit, Note, Progress, Settings, silent
from vitctl.inference import scoring, weights, weights_choice
from vitctl.recipes import branching
from vitctl.recipes.measuring import MeasuringRuntime
from vitctl.recipes.naming import name_of
from vitctl.sharding import layout as layouts
from vitctl.sharding.layout import Layout
from vitctl.summaries import WeightsName
from vitctl.train.carried_over import flops_spent
from vitctl.train.config import TrainConfig
from vitctl.train.trained_classes import classes_trained_on

Params = Any


class _Mean(NamedTuple):
    """The averaged weights, how much of each checkpoint is in them, and their scores if any."""

    params: Params
    shares: tuple[float, ...]
    scores: Scores | None = None


def run(
    cfg: AverageConfig,
    inputs: Inputs,
    *,
    store: Store,
    runtime: MeasuringRuntime,
    emit: Emit = silent,
) -> Artifact:
    """Average the weights as the one checkpoint, of the newest one's step, of a run."""
    newest = inputs.checkpoints[0]
    trained = branching.trained_with(newest)
    names = [weights_choice.chosen(c, requested=cfg.weights) for c in inputs.checkpoints]
    # An average that a run maintains while it trains has no counterpart here.
    identity = trained.identity()
    identity["optim"]["ema"] = None
    recipe = Recipe(
        stage=branching.AVERAGE,
        version=VERSION,
        kind="run",
        config={**identity, "averaged": {**cfg.model_dump(mode="json"), "of": names}},
        parents=inputs.parents,
    )
    name = runtime.name or slug(f"{name_of(newest)}-average", default="average")
    with crew.of(store).open_run(
        recipe, name=name, out=runtime.out, force=runtime.force, emit=emit
    ) as draft:
        step = newest.step
        assert step is not None  # see trained_with
        checkpoint = draft.result(step, emit=emit)
        if checkpoint is None:
            layout = layouts.make(devices=runtime.devices)

            def load(number: int) -> Params:
                return weights.restored(
                    inputs.checkpoints[number],
                    model=trained.model,
                    layout=layout,
                    weights=names[number],
                )

            if cfg.rule == "greedy":
                score = _scorer(trained, inputs, cfg, runtime=runtime, layout=layout, emit=emit)
                averaged = _soup(inputs, load=load, score=score, emit=emit)
            else:
                averaged = _weighted(cfg, inputs, load=load, emit=emit)
            checkpoint = _save(
                draft, averaged, cfg, inputs, trained=trained, layout=layout, names=names
            )
    emit(Settings("average", _readable(CHECKPOINT.summary(checkpoint))))
    emit(following(checkpoint))
    return checkpoint


def _weighted(
    cfg: AverageConfig, inputs: Inputs, *, load: Callable[[int], Params], emit: Emit
) -> _Mean:
    """By the age of the checkpoints alone: number 0 is the newest."""
    count = len(inputs.checkpoints)
    decay = 1.0 if cfg.decay is None else cfg.decay
    factors = [decay**number for number in range(count)]

    def trees() -> Iterator[tuple[float, Params]]:
        for number, factor in enumerate(factors):
            emit(Progress("average", number, count, "checkpoints"))
            yield factor, load(number)
        emit(Progress("average", count, count, "checkpoints"))

    params = mean.weighted(trees())
    return _Mean(params, tuple(factor / sum(factors) for factor in factors))


def _soup(
    inputs: Inputs,
    *,
    load: Callable[[int], Params],
    score: Callable[[Params], Scores],
    emit: Emit,
) -> _Mean:
    def tell(number: int, scores: Scores, taken: bool) -> None:
        path = inputs.checkpoints[number].path
        emit(Note(f"{'with' if taken else 'without'} {path}: top-1 {scores.top1:.2%} with it"))

    made, _ = soup.greedy(
        len(inputs.checkpoints),
        load=load,
        score=score,
        accuracy=lambda scores: scores.top1,
        tell=tell,
    )
    share = 1 / len(made.ingredients)
    shares = tuple(share * (n in made.ingredients) for n in range(len(inputs.checkpoints)))
    return _Mean(made.params, shares, made.scores)


def _scorer(
    trained: TrainConfig,
    inputs: Inputs,
    cfg: AverageConfig,
    *,
    runtime: MeasuringRuntime,
    layout: Layout,
    emit: Emit,
) -> Callable[[Params], Scores]:
    """A function of weights that scores them on the images that choose, as `evaluate` does."""
    assert cfg.split is not None
    split = cfg.split
    dataset = weights.open_dataset(
        inputs.dataset,
        mock=trained.data.mock,
        classes=trained.model.classes,
        splits=(split,),
        cache=runtime.cache_dir,
        emit=emit,
    )
    mapping = class_mapping(
        dataset=dataset.info.classes, model=CHECKPOINT.summary(inputs.checkpoints[0]).classes
    )
    scored = np.flatnonzero((np.asarray(dataset.labels(split)) >= 0).any(axis=1))
    scorer = scoring.make_scorer(
        trained.model, loss=trained.loss, precision=trained.precision, layout=layout
    )

    def score(params: Params) -> Scores:
        placed = layout.place(params, layout.params(params))
        batches = weights.batches(
            dataset,
            split=split,
            resolution=trained.model.resolution,
            preprocess=trained.data.evaluation,
            layout=layout,
            batch=runtime.batch,
            indices=scored,
            workers=runtime.workers,
        )
        renamed = (replace(b, labels=map_labels(b.labels, mapping)) for b in batches)
        scoring_of_all = scoring.score(scorer, placed, renamed, layout=layout)
        assert scoring_of_all is not None  # nothing breaks it off
        return scoring_of_all.raw.recorded()

    return score


def _save(
    draft: RunDraft,
    averaged: _Mean,
    cfg: AverageConfig,
    inputs: Inputs,
    *,
    trained: TrainConfig,
    layout: Layout,
    names: list[WeightsName],
) -> Artifact:
    """Write the mean as a checkpoint and publish it."""
    started = now()
    newest = inputs.checkpoints[0]
    summary = CHECKPOINT.summary(newest)
    draft.begin(from_step=summary.step, runtime={})
    placed = layout.place(averaged.params, layout.params(averaged.params))
    arrays.save(
        draft.empty_place(summary.step),
        parts={arrays.PARAMS: placed},
        position=position.read(newest.path).model_dump(mode="json"),
    )
    draft.mark_result(summary.step)
    ingredients = tuple(
        Ingredient(step=c.step or 0, id=c.id, weights=name, share=share)
        for c, name, share in zip(inputs.checkpoints, names, averaged.shares, strict=True)
    )
    before = frozenset().union(*map(classes_trained_on, inputs.checkpoints))
    runs = {around.info.id if (around := run_of(c)) else c.id for c in inputs.checkpoints}
    return draft.publish(
        summary.step,
        summary=Checkpoint(
            step=summary.step,
            images=summary.images,
            model=summary.model,
            resolution=summary.resolution,
            parameters=summary.parameters,
            classes=summary.classes,
            classes_before=tuple(sorted(before - {*summary.classes})),
            finished_schedule=True,
            loss=None,
            eval=averaged.scores,
            images_before=summary.images_before,
            # Of several runs nobody knows how much they trained in common.
            flops=flops_spent(newest) if len(runs) == 1 else None,
            averaged=Averaged(rule=cfg.rule, decay=cfg.decay, ingredients=ingredients),
        ).as_json(),
        started=started,
        volatile=arrays.VOLATILE,
    )


def _readable(summary: Checkpoint) -> dict[str, str]:
    assert summary.averaged is not None
    used = [part for part in summary.averaged.ingredients if part.share]
    scores = {} if summary.eval is None else summary.eval.shown(digits=2)
    return {
        "model": summary.model,
        "rule": summary.averaged.rule,
        "checkpoints": f"{len(used)} of {len(summary.averaged.ingredients)}: "
        + ", ".join(f"step {part.step} ({part.share:.1%})" for part in used[:8])
        + (", ..." if len(used) > 8 else ""),
        **scores,
    }
