"""How `vitctl sweep` works: a grid is planned, trained branch by branch, published as a table."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from stages.sweep import on_a_cluster, parts, text
from stages.sweep.cells import BranchResult, SweepTraining
from stages.sweep.cost import costs_of
from stages.sweep.grid import expand
from stages.sweep.in_store import key_of, look_up
from stages.sweep.pace import SweepPace
from stages.sweep.plan import SweepPlan
from stages.sweep.row import is_accuracy, row_of
from stages.sweep.sentences import emitted_in_a_grid
from stages.sweep.spec import VERSION, Inputs, SweepConfig, SweepRuntime
from stages.sweep.trunks import searches_of
from vitctl.artifacts import Artifact, Recipe, Store
from vitctl.artifacts.artifact import load_if_readable
from vitctl.artifacts.canonical import fingerprint
from vitctl.artifacts.documents import json_bytes
from vitctl.artifacts.following import following
from vitctl.artifacts.kinds import SWEEP
from vitctl.artifacts.kinds.sweep import CSV, PARQUET, TABLE, SweepTable
from vitctl.artifacts.provenance import now
from vitctl.artifacts.references import plain_name
from vitctl.artifacts.store import slug
from vitctl.errors import VitctlError
from vitctl.events import Caution, Emit, Note, Settings, of_a_part, silent
from vitctl.job_parts import parsed_part
from vitctl.places import place
from vitctl.recipes import pretraining
from vitctl.settings.trees import at, from_keys
from vitctl.text import quantities
from vitctl.text.delimited import csv_text


def run(
    cfg: SweepConfig,
    inputs: Inputs,
    *,
    store: Store,
    runtime: SweepRuntime,
    emit: Emit = silent,
) -> Artifact:
    """Train the grid, cheap runs first, and publish the table. Each part is an artifact or a run of
    its own in the store, so the same command goes on where one was stopped.

    A branch that fails stops no other: its row says why. Such a table is another artifact than the
    whole one, so the same command tries again.

    Raises UsageError, DoesNotFitError for a grid that cannot be trained, before anything is.
    """
    # The plan
    inner = of_a_part(emit)
    plan = _plan(cfg, inputs, store=store, runtime=runtime, emit=emit)
    whole = _recipe(cfg, inputs, plan)
    artifact = None if runtime.force else store.made(whole, out=runtime.out)
    if artifact is None:
        emit(Settings("sweep", text.totals(plan)))
        if plan.costs.free_bytes is not None and plan.bytes > plan.costs.free_bytes:
            emit(
                Caution(
                    f"the checkpoints of all runs take {quantities.show_bytes(plan.bytes)}, and "
                    f"the disk has {quantities.show_bytes(plan.costs.free_bytes)} free; what is in "
                    "the store already counts for both"
                )
            )

        # The runs
        training = SweepTraining(cfg, inputs, store, runtime, inner)
        remote = (
            {}
            if runtime.ray is None
            else on_a_cluster.trained(plan, training, address=runtime.ray, emit=emit)
        )
        results = _trained(plan, training, remote, emit=emit)

        # The table
        summary = _summary(cfg, plan, training, results)
        artifact = _published(cfg, inputs, plan, summary, store=store, runtime=runtime, emit=emit)
    emit(Settings("sweep", text.outcome(SWEEP.summary(artifact))))
    emit(following(artifact))
    return artifact


def planned(
    cfg: SweepConfig,
    inputs: Inputs,
    *,
    store: Store,
    runtime: SweepRuntime,
    emit: Emit = silent,
) -> SweepPlan:
    """What will be trained at which cost, and what of it is in the store; nothing is made.

    Raises UsageError, DoesNotFitError for a run that cannot be trained.
    """
    plan = _plan(cfg, inputs, store=store, runtime=runtime, emit=emit)
    return replace(plan, in_store=look_up(plan.trunks, cfg, inputs, store=store, runtime=runtime))


def _plan(
    cfg: SweepConfig, inputs: Inputs, *, store: Store, runtime: SweepRuntime, emit: Emit
) -> SweepPlan:
    """The same without a look at the store's runs."""
    split = at(from_keys(cfg.settings), "data.split") or "train"
    images = pretraining.images_of(inputs.dataset, split=split)
    trunks = expand(cfg, images, emit=emitted_in_a_grid(of_a_part(emit)))
    # All of the grid is checked, whatever part of it is trained here.
    searches = tuple(searches_of(trunks).values())
    costs = costs_of(trunks, searches, runtime=runtime, store=store)
    if cfg.part is not None:
        trunks = parts.part_of(trunks, parsed_part(cfg.part))
    return SweepPlan(trunks, costs, cfg.part)


def failure_of(artifact: Artifact) -> VitctlError | None:
    """The error that a command ends with which made a table with failed runs; None of a whole
    one."""
    summary = SWEEP.summary(artifact)
    failed = [row for row in summary.rows if row.failure is not None]
    if not failed:
        return None
    first = failed[0]
    where = f"{first.model} on {quantities.show_count(first.data_size)} images"
    error = VitctlError(
        f"{len(failed)} of {len(summary.rows)} runs failed; the first, {where}: {first.failure}",
        hint="the table has the others; the same command tries again what failed",
    )
    error.exit_code = first.exit_code or VitctlError.exit_code
    return error


# Training


def _trained(
    plan: SweepPlan,
    training: SweepTraining,
    remote: Mapping[str, BranchResult],
    *,
    emit: Emit,
) -> list[BranchResult]:
    """All branches, in the order of their costs; `remote` are those that other machines trained, by
    `key_of`."""
    results = []
    pace, started = SweepPace(plan), now()
    for number, run in enumerate(plan.runs, start=1):
        title = run.trunk.label_of(run.branch)
        if (done := remote.get(key_of(run.trunk, run.branch))) is not None:
            results.append(done)  # what came of it was said
            continue
        where = f"run {number} of {len(plan.runs)}"
        emit(Note(f"{where}: {title}"))
        began = time.monotonic()
        result = training.result(run.trunk, run.branch)
        results.append(result)
        trained = result.failure is None and result.made_since(started)
        pace.passed(run, seconds=time.monotonic() - began, trained=trained)
        if result.failure is not None:
            emit(Caution(f"{title}, failed: {result.failure.message}"))
        elif not trained:
            emit(Note(f"{where} was in the store"))
        elif number < len(plan.runs) and pace.seconds_left is not None:
            left = quantities.duration(pace.seconds_left)
            emit(Note(f"{where} is finished; about {left} left at this pace"))
    return results


# The table


def _summary(
    cfg: SweepConfig, plan: SweepPlan, training: SweepTraining, results: Sequence[BranchResult]
) -> SweepTable:
    """In the order of the grid, whatever the order of training was."""
    order = {trunk.label: place for place, trunk in enumerate(plan.trunks)}
    results = sorted(results, key=lambda r: (order[r.trunk.label], r.branch.steps))
    rows = [row_of(result, cfg.probes or ()) for result in results]
    metrics = list(dict.fromkeys(name for row in rows for name in row.metrics))
    return SweepTable(
        rows=tuple(rows),
        metrics=tuple(metrics),
        accuracy=next(filter(is_accuracy, metrics), None),
        rates=tuple(
            training.chosen[key] for key in searches_of(plan.trunks) if key in training.chosen
        ),
        part=plan.part,
        flops=plan.flops,
        flops_apart=plan.flops_apart,
    )


def _published(
    cfg: SweepConfig,
    inputs: Inputs,
    plan: SweepPlan,
    summary: SweepTable,
    *,
    store: Store,
    runtime: SweepRuntime,
    emit: Emit,
) -> Artifact:
    failed = [
        f"{row.model} {row.data_size} {row.axes} {row.seed} {row.steps}"
        for row in summary.rows
        if row.failure is not None
    ]
    recipe = _recipe(cfg, inputs, plan, failed=failed)
    name = runtime.name or slug(f"{plain_name(inputs.dataset)}-sweep", default="sweep")
    if cfg.part is not None and runtime.name is None:
        name = f"{name}-{parsed_part(cfg.part).in_a_name}"
    force = runtime.force or _has_holes(runtime.out)
    with store.open(
        recipe, name=name, out=runtime.out, force=force, emit=emit, resumable=False
    ) as draft:
        if draft.finished is not None:
            return draft.finished
        table = summary.table()
        draft.write(TABLE, json_bytes(table))
        draft.write(CSV, csv_text(table).encode())
        parquet = _parquet(table)
        if parquet is not None:
            draft.write(PARQUET, parquet)
        return draft.publish(summary=summary.as_json())


def _has_holes(out: Any) -> bool:
    """Whether a table with failed runs lies where this one is to go: it is replaced."""
    before = None if out is None else load_if_readable(place(out))
    if before is None or before.kind != SWEEP.name:
        return False
    return SWEEP.summary(before).failed > 0


def _recipe(
    cfg: SweepConfig, inputs: Inputs, plan: SweepPlan, *, failed: Sequence[str] = ()
) -> Recipe:
    """What names a table: the grid, and all settings that its runs have, also those that a recipe
    or this machine decides. One with failed runs is named by these, too."""
    runs = [
        [
            trunk.size,
            [branch.cfg.model_dump(mode="json") for branch in trunk.branches],
            None if trunk.search is None else [trunk.search.key, trunk.factor],
        ]
        for trunk in plan.trunks
    ]
    config = {**cfg.identity(), "runs": fingerprint(runs)}
    return Recipe(
        stage="sweep",
        version=VERSION,
        kind=SWEEP.name,
        config={**config, "failed": list(failed)} if failed else config,
        parents=inputs.parents,
    )


def _parquet(table: Sequence[dict[str, Any]]) -> bytes | None:
    """The same as Parquet; None without pyarrow."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        return None
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(table)), sink)
    return sink.getvalue().to_pybytes()
