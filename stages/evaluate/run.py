"""How `vitctl evaluate` works: a checkpoint and a dataset -> scores, metrics, every answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stages.evaluate import written
from stages.evaluate.spec import VERSION, EvaluateConfig
from vitctl import processes
from vitctl.artifacts import Artifact, Draft, Recipe, Store, crew
from vitctl.artifacts.following import following
from vitctl.artifacts.kinds import CHECKPOINT, EVALUATION
from vitctl.artifacts.kinds.evaluation import Evaluation, Metric
from vitctl.artifacts.store import slug
from vitctl.data.batches import EvalBatch
from vitctl.data.classes import class_mapping, map_labels
from vitctl.errors import InputError, UsageError
from vitctl.events import Caution, Emit, Note, Progress, Settings, silent
from vitctl.hardware import machine
from vitctl.inference import answering, scoring, weights
from vitctl.inference.confusion import Confusion
from vitctl.measures import metrics, table
from vitctl.probe import intervals
from vitctl.quoting import quoted
from vitctl.recipes import branching
from vitctl.recipes.measuring import Measured, MeasuringRuntime
from vitctl.recipes.naming import name_of
from vitctl.sharding import layout as layouts


def run(
    cfg: EvaluateConfig,
    inputs: Measured,
    *,
    store: Store,
    runtime: MeasuringRuntime,
    emit: Emit = silent,
) -> Artifact:
    """Score the checkpoint; `stages.evaluate.written` says what each file has."""
    recipe = Recipe(
        stage="evaluate",
        version=VERSION,
        kind=EVALUATION.name,
        config=cfg.identity(),
        parents=inputs.parents,
    )
    name = runtime.name or slug(
        f"{name_of(inputs.checkpoint)}-{inputs.images}", default="evaluation"
    )
    with crew.of(store).open(
        recipe, name=name, out=runtime.out, force=runtime.force, emit=emit
    ) as draft:
        artifact = draft.finished or _scored(draft, cfg, inputs, runtime=runtime, emit=emit)
    emit(Settings("evaluation", readable(EVALUATION.summary(artifact))))
    emit(following(artifact))
    return artifact


def _scored(
    draft: Draft, cfg: EvaluateConfig, inputs: Measured, *, runtime: MeasuringRuntime, emit: Emit
) -> Artifact:
    # Numbers: classes by name, images with a label
    trained = branching.trained_with(inputs.checkpoint)
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
    _check_tops(cfg.top, classes=len(classes))
    labels = np.asarray(dataset.labels(cfg.eval_split))
    scored = np.flatnonzero((labels >= 0).any(axis=1))

    # Arrays
    layout = layouts.make(devices=runtime.devices)
    params = weights.restored(
        inputs.checkpoint, model=trained.model, layout=layout, weights=cfg.weights
    )
    answerer = answering.make_answerer(
        trained.model,
        loss=cfg.loss,
        precision=cfg.precision,
        layout=layout,
        top=max(cfg.top),
        keep_scores=_keeps_scores(labels[scored], classes=len(classes), emit=emit),
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
    tally, confusion, collected = scoring.Tally(), Confusion(classes), answering.Collected()
    for batch, batch_answers in answering.each(
        answerer, params, _renamed(batches, mapping), layout=layout
    ):
        tally.add(batch_answers.rows)
        confusion.add(batch.labels, batch_answers.rows)
        collected.add(batch, batch_answers)
        emit(Progress("evaluate", tally.examples, len(scored), "images"))
    scores = tally.scores()
    if not scores.is_finite:
        emit(Caution("the loss is not finite: some image's logits are too large for fp32"))

    # Metrics: process 0 makes them, the others wait where it publishes
    processes.mark("save")
    if not processes.first():
        return draft.publish(summary={})
    answers = collected.answers(classes=len(classes), loss=cfg.loss)
    rows = table.all_metrics(answers, tops=cfg.top)

    # Publish
    recorded = scores.recorded().as_json()
    summary = Evaluation(
        model=trained.label,
        step=checkpoint.step,
        dataset=inputs.images,
        split=cfg.eval_split,
        weights=cfg.weights,
        **recorded,
        top1_interval=intervals.binomial(scores.means["top1"], examples=scores.examples),
        without_label=len(labels) - len(scored),
        metrics={row.metric.name: Metric(value=row.value, interval=row.interval) for row in rows},
    )
    table_of_answers = written.AnswerTable(
        answers,
        positions=collected.positions,
        labels=[[classes[c] for c in own if c >= 0] for own in answers.labels.tolist()],
        names=classes,
    )
    files = {
        written.RESULTS: written.results(recorded, rows, table_of_answers, confusion=confusion),
        written.ANSWERS: written.answer_lines(table_of_answers, keys=dataset.keys(cfg.eval_split)),
        written.MISTAKES: written.mistakes(
            table_of_answers,
            confusion=confusion,
            dataset=dataset,
            split=cfg.eval_split,
            resolution=trained.model.resolution,
            preprocess=cfg.preprocess,
        ),
    }
    for file, content in files.items():
        if content is not None:
            draft.write(file, content)
    return draft.publish(summary=summary.as_json())


def readable(summary: Evaluation) -> dict[str, str]:
    """The scores as a person reads them."""
    scores, (low, high) = summary.shown(digits=2), summary.top1_interval
    others = {name: of for name, of in summary.metrics.items() if name not in ("top1", "loss")}
    return {
        "model": f"{summary.model} at step {summary.step}"
        + (", averaged weights" if summary.weights == "ema" else ""),
        "data": f"{summary.dataset} {summary.split}: {summary.examples:,} images",
        **scores,
        "top-1": f"{scores['top-1']} (95 % for other images: {low:.2%} to {high:.2%})",
        **{metrics.title(name): _shown(name, of) for name, of in others.items()},
    }


def _shown(name: str, metric: Metric) -> str:
    def number(value: float) -> str:
        return f"{value:.2%}" if metrics.is_share(name) else f"{value:.4g}"

    if metric.interval is None:
        return number(metric.value)
    low, high = metric.interval
    return f"{number(metric.value)} ({number(low)} to {number(high)})"


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
            f"{', '.join(map(quoted, stray[:3]))}",
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


def _check_tops(tops: tuple[int, ...], *, classes: int) -> None:
    """Raises UsageError if more classes are to be ranked than there are; top-5 of fewer than five
    is 1, since every evaluation has it."""
    if max(tops) > max(classes, 5):
        raise UsageError(
            f"--top {max(tops)}: of {classes} classes every answer is among the {max(tops)} best",
            hint=f"numbers below {classes} tell models apart",
        )


def _keeps_scores(labels: NDArray[np.int32], *, classes: int, emit: Emit) -> bool:
    """Whether all scores are kept, for average precision: images have several labels, and the
    scores of all fit in a quarter of the memory that is free."""
    if not ((labels >= 0).sum(axis=1) > 1).any():
        return False
    needed, free = len(labels) * classes * 4, machine.host_bytes()
    if free is None or needed <= free / 4:
        return True
    emit(
        Note(
            f"no mAP: {classes:,} scores of each of {len(labels):,} images take "
            f"{needed / 2**30:.3g} GiB, of {free / 2**30:.3g} free"
        )
    )
    return False
