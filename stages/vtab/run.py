"""How `vitctl vtab` works: each dataset is drawn from, fine-tuned on and scored; then the means."""

from __future__ import annotations

import time
from typing import Any

from stages.vtab import text
from stages.vtab.cost import settings_of, trained_with
from stages.vtab.spec import PRESET, VERSION, Inputs, TaskData, VtabConfig
from vitctl.artifacts import Artifact, Draft, Recipe, Store
from vitctl.artifacts.documents import json_bytes
from vitctl.artifacts.following import following
from vitctl.artifacts.kinds import CHECKPOINT, DATASET, VTAB
from vitctl.artifacts.kinds.vtab import GroupMean, TaskScore, Vtab
from vitctl.artifacts.references import plain_name
from vitctl.artifacts.store import slug
from vitctl.errors import InputError, InterruptedRun, VitctlError
from vitctl.events import Caution, Emit, Note, Settings, of_a_part, silent
from vitctl.measures.vtab import means
from vitctl.probe import intervals
from vitctl.recipes import branching, overlap
from vitctl.recipes.composed import ComposedRuntime, drawn
from vitctl.recipes.naming import name_of
from vitctl.text import quantities

RESULTS, CSV, TABLE = "results.json", "results.csv", "table.txt"
_FORMAT = 1

Outcome = TaskScore | VitctlError
"""What came of a dataset."""


def run(
    cfg: VtabConfig,
    inputs: Inputs,
    *,
    store: Store,
    runtime: ComposedRuntime,
    emit: Emit = silent,
) -> Artifact:
    """Fine-tune on each dataset and publish the table. Each fine-tuning is a run of its own in the
    store, so that the same command goes on where one was stopped, and one more dataset is one more
    fine-tuning.

    Raises the error of a dataset that failed once all others are done.
    """
    recipe = Recipe(
        stage="vtab",
        version=VERSION,
        kind=VTAB.name,
        config=cfg.model_dump(mode="json"),
        parents=inputs.parents,
    )
    name = runtime.name or name_of(inputs.checkpoint)
    with store.open(
        recipe,
        name=slug(name, default="vtab"),
        out=runtime.out,
        force=runtime.force,
        emit=emit,
        resumable=False,
    ) as draft:
        artifact = draft.finished or _fine_tuned(
            draft, cfg, inputs, store=store, runtime=runtime, emit=emit
        )
    emit(Settings("VTAB-1k accuracy", text.readable(VTAB.summary(artifact))))
    emit(following(artifact))
    return artifact


def _fine_tuned(
    draft: Draft,
    cfg: VtabConfig,
    inputs: Inputs,
    *,
    store: Store,
    runtime: ComposedRuntime,
    emit: Emit,
) -> Artifact:
    # One dataset after the other
    outcomes: list[tuple[TaskData, Outcome]] = []
    inner = of_a_part(emit)
    began = time.monotonic()
    for number, one in enumerate(inputs.tasks, start=1):
        emit(Note(f"dataset {number} of {len(inputs.tasks)}: {one.task.name}"))
        outcome: Outcome
        try:
            outcome = _score(cfg, inputs, one, store=store, runtime=runtime, emit=inner)
        except InterruptedRun:
            raise
        except VitctlError as error:
            outcome = error
            emit(Caution(f"{one.task.name} failed: {error.message}"))
        else:
            spent = time.monotonic() - began
            left = (len(inputs.tasks) - number) * spent / number
            more = f"; about {quantities.duration(left)} left" if left else ""
            emit(Note(f"{one.task.name}: {outcome.top1:.2%}{more}"))
        outcomes.append((one, outcome))

    # Means
    failed = [(one, outcome) for one, outcome in outcomes if isinstance(outcome, VitctlError)]
    if failed:
        emit(Settings("VTAB-1k accuracy", text.with_failures(outcomes)))
        raise _error(failed, of=len(outcomes))
    scores = [outcome for _, outcome in outcomes if isinstance(outcome, TaskScore)]
    over = means((one.task, score.top1) for one, score in zip(inputs.tasks, scores, strict=True))
    checkpoint = CHECKPOINT.summary(inputs.checkpoint)
    summary = Vtab(
        model=branching.trained_with(inputs.checkpoint).label,
        step=checkpoint.step,
        weights=cfg.weights,
        images=cfg.images,
        tasks=tuple(scores),
        groups=tuple(
            GroupMean(group=group, top1=mean, tasks=sum(row.group == group for row in scores))
            for group, mean in over.groups.items()
        ),
        mean=over.tasks,
        mean_of_groups=over.of_groups,
    )

    # Publish
    content: dict[str, Any] = {"format": _FORMAT, **summary.as_json(), "missing": over.missing}
    draft.write(RESULTS, json_bytes(content))
    draft.write(CSV, text.as_csv(summary).encode())
    draft.write(TABLE, text.as_table(summary).encode())
    return draft.publish(summary=summary.as_json())


def _score(
    cfg: VtabConfig,
    inputs: Inputs,
    one: TaskData,
    *,
    store: Store,
    runtime: ComposedRuntime,
    emit: Emit,
) -> TaskScore:
    """Draw, fine-tune, and read off what the run's last checkpoint scores on the whole split."""
    data = drawn(
        one.dataset,
        images=cfg.images,
        split=cfg.train_split,
        seed=cfg.seed,
        subset=inputs.commands.subset,
        store=store,
        emit=emit,
    )
    tuned = inputs.commands.finetune(
        inputs.checkpoint,
        data=data,
        steps=cfg.steps,
        weights=cfg.weights,
        preset=PRESET,
        sweep_lr=cfg.sweep_lr,
        set=settings_of(cfg, one),
        runtime=runtime.of_each(steps=trained_with(cfg, inputs.checkpoint, one).steps),
        name=slug(f"{name_of(inputs.checkpoint)}-{one.task.name}", default="vtab"),
        force=runtime.force,
        store=store,
        emit=emit,
    )
    summary = CHECKPOINT.summary(tuned)
    # The average of its weights where it has one: that is what later commands take.
    scores = summary.eval_ema or summary.eval
    if scores is None:
        raise InputError(
            f"{tuned.path} has no scores of {one.split}",
            hint=f"see it: vitctl show {tuned.path}",
        )
    shared = overlap.of_training(inputs.checkpoint, one.dataset, split=one.split, store=store)
    known = {} if shared is None else {"overlap": shared.overlap}
    return TaskScore(
        task=one.task.name,
        group=one.task.group,
        dataset=plain_name(one.dataset),
        top1=scores.top1,
        interval=intervals.binomial(scores.top1, examples=scores.examples),
        split=one.split,
        examples=scores.examples,
        train_examples=DATASET.summary(data).examples[cfg.train_split],
        classes=len(summary.classes),
        lr=branching.trained_with(tuned).schedule.peak_lr,
        checkpoint=tuned.id,
        **known,
    )


def _error(failed: list[tuple[TaskData, VitctlError]], *, of: int) -> VitctlError:
    """The first dataset's error, of all that failed."""
    one, first = failed[0]
    names = ", ".join(data.task.name for data, _ in failed)
    message = f"{len(failed)} of {of} datasets failed ({names}): {first.message}"
    if len(failed) == 1:
        message = f"{one.task.name} failed, the other {of - 1:,} did not: {first.message}"
    hint = "the same command tries again what failed, and finds the others; without "
    hint += f"--data {plain_name(one.dataset)} it gives the table of the rest"
    if first.hint:
        hint = f"{first.hint}; {hint}"
    return type(first)(message, hint=hint)
