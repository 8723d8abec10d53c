"""How `vitctl evaluate` works: a checkpoint and a dataset -> scores, metrics, every answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from stages.evaluate import written
from stages.evaluate.spec import VERSION, EvaluateConfig, Inputs
from stages.evaluate.targets import Targets, targets
from vitctl import processes
from vitctl.artifacts import Artifact, Draft, Recipe, Store, crew
from vitctl.artifacts.following import following
from vitctl.artifacts.kinds import CHECKPOINT, EVALUATION
from vitctl.artifacts.kinds.evaluation import Evaluation, Metric
from vitctl.artifacts.store import slug
from vitctl.data.batches import EvalBatch
from vitctl.errors import UsageError
from vitctl.events import Caution, Emit, Note, Progress, Settings, silent
from vitctl.hardware import machine
from vitctl.inference import answering, scoring, weights
from vitctl.inference.confusion import Confusion
from vitctl.measures import metric_titles, table
from vitctl.measures.results import MISTAKES, RESULTS
from vitctl.probe import intervals
from vitctl.recipes import branching, overlap
from vitctl.recipes.measuring import MeasuringRuntime
from vitctl.recipes.naming import name_of
from vitctl.recipes.searches import KnownOverlap
from vitctl.sharding import layout as layouts
from vitctl.text import quantities
from vitctl.text.quantities import counted


def run(
    cfg: EvaluateConfig,
    inputs: Inputs,
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
        config=inputs.named_by(cfg.identity()),
        parents=inputs.parents,
    )
    labels = [] if inputs.labels is None else [inputs.labels.path.stem]
    name = runtime.name or slug(
        "-".join([name_of(inputs.checkpoint), inputs.images, *labels]), default="evaluation"
    )
    shared = overlap.of_training(
        inputs.checkpoint, inputs.dataset, split=cfg.eval_split, store=store
    )
    with crew.of(store).open(
        recipe, name=name, out=runtime.out, force=runtime.force, emit=emit, resumable=False
    ) as draft:
        artifact = draft.finished or _scored(draft, cfg, inputs, shared, runtime=runtime, emit=emit)
    emit(Settings("evaluation", readable(EVALUATION.summary(artifact))))
    overlap.tell(shared, inputs.dataset, store=store, emit=emit)
    emit(following(artifact))
    return artifact


def _scored(
    draft: Draft,
    cfg: EvaluateConfig,
    inputs: Inputs,
    shared: KnownOverlap | None,
    *,
    runtime: MeasuringRuntime,
    emit: Emit,
) -> Artifact:
    # Numbers: what is right for each image
    trained = branching.trained_with(inputs.checkpoint)
    dataset = weights.open_dataset(
        inputs.dataset,
        mock=inputs.mock,
        classes=trained.model.classes,
        splits=(cfg.eval_split,),
        cache=runtime.cache_dir,
        emit=emit,
    )
    checkpoint = CHECKPOINT.summary(inputs.checkpoint)
    right = targets(cfg, inputs, dataset, model=checkpoint.classes, emit=emit)
    scored, classes = right.scored, right.answers
    _check_tops(cfg.top, classes=len(classes))

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
        among=right.among,
        keep_scores=_keeps_scores(right, emit=emit),
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
    tally, collected = scoring.Tally(), answering.Collected()
    confusion = Confusion(right.classes, answers=classes)
    for batch, batch_answers in answering.each(
        answerer, params, _with_labels(batches, right), layout=layout
    ):
        tally.add(batch_answers.rows)
        confusion.add(right.own_of(batch.indices), batch_answers.rows)
        collected.add(batch, batch_answers)
        emit(Progress("evaluate", tally.examples, len(scored), "images"))
    scores = tally.scores()
    if not scores.is_finite:
        emit(Caution("the loss is not finite: some image's logits are too large for fp32"))

    # Metrics: process 0 makes them, the others wait where it publishes
    processes.mark("save")
    if not processes.first():
        return draft.publish(summary={})
    positions = collected.positions
    own_labels = right.own_of(positions)
    answers = collected.answers(classes=len(classes), loss=cfg.loss, own_labels=own_labels)
    rows = table.all_metrics(answers, tops=cfg.top)

    # Publish
    recorded = scores.recorded().as_json()
    special: dict[str, Any] = {
        "labels": None if inputs.labels is None else inputs.labels.path.name,
        "answers": None if right.among is None else len(classes),
        "without_counterpart": right.without_counterpart or None,
        "overlap": None if shared is None else shared.overlap,
    }
    special = {name: value for name, value in special.items() if value is not None}
    summary = Evaluation(
        model=trained.label,
        step=checkpoint.step,
        dataset=inputs.images,
        split=cfg.eval_split,
        weights=cfg.weights,
        **recorded,
        top1_interval=intervals.binomial(scores.means["top1"], examples=scores.examples),
        without_label=dataset.info.examples(cfg.eval_split)
        - len(scored)
        - right.without_counterpart,
        **special,
        metrics={row.metric.name: Metric(value=row.value, interval=row.interval) for row in rows},
    )
    table_of_answers = written.AnswerTable(
        answers,
        positions=positions,
        labels=[[right.classes[c] for c in own if c >= 0] for own in own_labels.tolist()],
        names=classes,
    )
    files = {
        RESULTS: written.results(recorded, rows, table_of_answers, confusion=confusion),
        written.ANSWERS: written.answer_lines(table_of_answers, keys=dataset.keys(cfg.eval_split)),
        MISTAKES: written.mistakes(
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
        "data": f"{summary.dataset} {summary.split}: {_images(summary.examples)}{_which(summary)}",
        **scores,
        "top-1": f"{scores['top-1']} (95 % for other images: {low:.2%} to {high:.2%})",
        **{metric_titles.title(name): _shown(name, of) for name, of in others.items()},
    }


def _images(count: int) -> str:
    return counted(count, "image")


def in_a_table(artifacts: Sequence[Artifact]) -> dict[str, str]:
    """A line for each evaluation: what was scored -> its scores."""
    rows = {}
    for artifact in artifacts:
        summary = EVALUATION.summary(artifact)
        name = f"{summary.model} at step {summary.step} on {summary.dataset} {summary.split}"
        if name in rows:
            name = f"{name}, {artifact.path.name}"
        rows[name] = "  ".join(f"{title} {value}" for title, value in summary.shown().items())
    return rows


def _which(summary: Evaluation) -> str:
    """What was left out, and what is not as usual."""
    phrases = (
        f"labels of {summary.labels}" if summary.labels else "",
        f"{summary.without_label:,} without a label left out" if summary.without_label else "",
        f"{summary.without_counterpart:,} without a counterpart left out"
        if summary.without_counterpart
        else "",
        f"answers among {summary.answers:,} classes" if summary.answers is not None else "",
    )
    return "".join(f", {phrase}" for phrase in phrases if phrase)


def _shown(name: str, metric: Metric) -> str:
    value = metric_titles.shown(name, metric.value, digits=2)
    if metric.interval is None:
        return value
    low, high = (metric_titles.shown(name, end, digits=2) for end in metric.interval)
    return quantities.with_interval(value, low, high)


def _with_labels(batches: Iterable[EvalBatch], right: Targets) -> Iterator[EvalBatch]:
    """The batches with what is right in place of the dataset's labels."""
    for batch in batches:
        yield replace(batch, labels=right.of(batch.indices))


def _check_tops(tops: tuple[int, ...], *, classes: int) -> None:
    """Raises UsageError if more classes are to be ranked than there are; top-5 of fewer than five
    is 1, since every evaluation has it."""
    if max(tops) > max(classes, 5):
        raise UsageError(
            f"--top {max(tops)}: of {classes} classes every answer is among the {max(tops)} best",
            hint=f"numbers below {classes} tell models apart",
        )


def _keeps_scores(right: Targets, *, emit: Emit) -> bool:
    """Whether all scores are kept, for average precision: images have several labels of their own,
    and the scores of all fit in a quarter of the memory that is free."""
    if not ((right.own_labels >= 0).sum(axis=1) > 1).any():
        return False
    images, classes = len(right.scored), len(right.answers)
    needed, free = images * classes * 4, machine.host_bytes()
    if free is None or needed <= free / 4:
        return True
    emit(
        Note(
            f"no mAP: {classes:,} scores of each of {images:,} images take "
            f"{quantities.shown_digits(needed / 2**30, least=3)} GiB, of "
            f"{quantities.shown_digits(free / 2**30, least=3)} free"
        )
    )
    return False
