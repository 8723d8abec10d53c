"""How `vitctl evaluate` works: a checkpoint and a dataset -> top-1, top-5, loss."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.spec import VERSION, EvaluateConfig
from vitctl.artifacts import Artifact, Recipe, Store, crew
from vitctl.artifacts.kinds import CHECKPOINT, EVALUATION
from vitctl.artifacts.kinds.evaluation import Evaluation
from vitctl.artifacts.store import slug
from vitctl.data.batches import EvalBatch
from vitctl.data.classes import class_mapping, map_labels
from vitctl.errors import InputError
from vitctl.events import Caution, Emit, Next, Note, Progress, Settings, silent
from vitctl.inference import scoring, weights
from vitctl.inference.confusion import Confusion
from vitctl.probe import intervals
from vitctl.recipes import branching
from vitctl.recipes.measuring import Measured, MeasuringRuntime
from vitctl.recipes.naming import name_of
from vitctl.sharding import layout as layouts

RESULTS = "results.json"
_FORMAT = 1


def run(
    cfg: EvaluateConfig,
    inputs: Measured,
    *,
    store: Store,
    runtime: MeasuringRuntime,
    emit: Emit = silent,
) -> Artifact:
    """Score the checkpoint; `results.json` has each class and what was mistaken for what."""
    recipe = Recipe(
        stage="evaluate",
        version=VERSION,
        kind=EVALUATION.name,
        config=cfg.model_dump(mode="json"),
        parents=inputs.parents,
    )
    trained = branching.trained_with(inputs.checkpoint)
    name = runtime.name or slug(
        f"{name_of(inputs.checkpoint)}-{inputs.images}", default="evaluation"
    )
    with crew.of(store).open(
        recipe, name=name, out=runtime.out, force=runtime.force, emit=emit
    ) as draft:
        artifact = draft.finished
        if artifact is None:
            # Numbers: classes by name, images with a label
            dataset = weights.open_dataset(
                inputs.dataset,
                mock=cfg.mock,
                classes=trained.model.classes,
                splits=(cfg.eval_split,),
                cache=runtime.cache_dir,
                emit=emit,
            )
            checkpoint = CHECKPOINT.summary(inputs.checkpoint)
            classes = checkpoint.classes
            mapping = _mapping(cfg, dataset.info.classes, model=classes, emit=emit)
            labels = np.asarray(dataset.labels(cfg.eval_split))
            scored = np.flatnonzero((labels >= 0).any(axis=1))

            # Arrays
            layout = layouts.make(devices=runtime.devices)
            params = weights.restored(
                inputs.checkpoint, model=trained.model, layout=layout, weights=cfg.weights
            )
            scorer = scoring.make_scorer(
                trained.model, loss=cfg.loss, precision=cfg.precision, layout=layout
            )
            batches = weights.batches(
                dataset,
                split=cfg.eval_split,
                resolution=trained.model.resolution,
                preprocess=cfg.preprocess,
                layout=layout,
                batch=runtime.batch,
                indices=scored,
                workers=runtime.workers,
            )

            # Loop
            tally, confusion = scoring.Tally(), Confusion(classes)
            for batch, rows in scoring.each(
                scorer, params, _renamed(batches, mapping), layout=layout
            ):
                tally.add(rows)
                confusion.add(batch.labels, rows)
                emit(Progress("evaluate", tally.examples, len(scored), "images"))

            # Publish
            scores = tally.scores()
            if not scores.is_finite:
                emit(Caution("the loss is not finite: some image's logits are too large for fp32"))
            interval = intervals.binomial(scores.means["top1"], examples=scores.examples)
            recorded = scores.recorded().as_json()
            summary = Evaluation(
                model=trained.label,
                step=checkpoint.step,
                dataset=inputs.images,
                split=cfg.eval_split,
                weights=cfg.weights,
                **recorded,
                top1_interval=interval,
                without_label=len(labels) - len(scored),
            )
            content = {
                "format": _FORMAT,
                **recorded,
                "classes": confusion.per_class(),
                "confusions": confusion.most_frequent(),
            }
            text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
            draft.write(RESULTS, f"{text}\n".encode())
            artifact = draft.publish(summary=summary.as_json())
    emit(Settings("evaluation", readable(EVALUATION.summary(artifact))))
    emit(Next(shlex.join(["vitctl", "show", str(artifact.path)])))
    return artifact


def readable(summary: Evaluation) -> dict[str, str]:
    """The scores as a person reads them."""
    scores, (low, high) = summary.shown(digits=2), summary.top1_interval
    return {
        "model": f"{summary.model} at step {summary.step}"
        + (", averaged weights" if summary.weights == "ema" else ""),
        "data": f"{summary.dataset} {summary.split}: {summary.examples:,} images",
        **scores,
        "top-1": f"{scores['top-1']} (95 % for other images: {low:.2%} to {high:.2%})",
    }


def _mapping(
    cfg: EvaluateConfig, dataset: tuple[str, ...], *, model: tuple[str, ...], emit: Emit
) -> NDArray[np.int32]:
    """int32[dataset's classes]: the model's index of each. Raises InputError if one has none."""
    renamed = cfg.class_map or {}
    known = frozenset(dataset)
    stray = [name for name in renamed if name not in known]
    if stray and len(stray) == len(renamed):
        raise InputError(
            f"--class-map renames none of the dataset's {len(dataset)} classes; it names "
            f"{', '.join(map(repr, stray[:3]))}",
            hint="a line is dataset-class<TAB>model-class; the dataset's classes begin with "
            + ", ".join(dataset[:3]),
        )
    if stray:
        emit(Note(f"--class-map: {len(stray)} of its {len(renamed)} names are not in the dataset"))
    return class_mapping(dataset=dataset, model=model, class_map=renamed)


def _renamed(batches: Iterable[EvalBatch], mapping: NDArray[np.int32]) -> Iterator[EvalBatch]:
    """The batches with the model's class indices in place of the dataset's."""
    for batch in batches:
        yield replace(batch, labels=map_labels(batch.labels, mapping))
