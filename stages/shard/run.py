"""How `vitctl shard` works: listing -> plan -> shards -> description -> artifact."""

from __future__ import annotations

import functools
import itertools
import json
import math
import shlex
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.shard.announce import announce_outcome, announce_plan, announce_source
from stages.shard.source import (
    chosen_classes,
    class_list,
    class_titles,
    list_source,
    own_places,
    resolve,
    source_name,
)
from stages.shard.spec import (
    IMAGENET,
    VERSION,
    Inputs,
    ShardConfig,
    ShardRuntime,
)
from stages.shard.virtual import describe, formula_recipe
from vitctl.artifacts import Artifact, Draft, Parent, Recipe, Store, crew
from vitctl.artifacts.canonical import fingerprint as canonical_fingerprint
from vitctl.artifacts.files import TEMPORARY
from vitctl.artifacts.kinds import DATASET
from vitctl.artifacts.kinds.dataset import Dataset
from vitctl.artifacts.store import slug
from vitctl.errors import DoesNotFitError, InputError, InterruptedRun
from vitctl.events import Caution, Emit, Next, Note, Progress, silent
from vitctl.hardware.machine import available_cores
from vitctl.ingest.assemble import Outcome, assemble
from vitctl.ingest.header import largest_file
from vitctl.ingest.shard_plan import Unit, assign_splits, make_units
from vitctl.ingest.shard_writer import (
    REJECTS,
    REPORTS,
    ShardReport,
    finished_reports,
    reader_closed_after,
    set_up_worker,
    write_shard,
)
from vitctl.ingest.sources import Listing, Source
from vitctl.ingest.spool import at_random
from vitctl.ingest.worker_pool import Done, Moving, run_tasks
from vitctl.places import Place
from vitctl.places.scratch import check_room
from vitctl.signals import Stop, graceful, raise_if_asked, unless_owned

# A worker spends about 10 s of processor time on importing TensorFlow, in which another one that
# is there already checks some thousand images.
_IMAGES_WORTH_A_WORKER = 2_000
_BAD_FRACTION, _BAD_IMAGES = 0.01, 3
# Few rejects are worth having all in the list; a source that is all wrong is not worth hours.
_ENOUGH_REJECTS = 1_000


def run(
    cfg: ShardConfig,
    inputs: Inputs,
    *,
    store: Store,
    runtime: ShardRuntime,
    emit: Emit = silent,
) -> Artifact:
    """Shard `inputs.source` and return the dataset; found, continued or made anew."""
    if inputs.virtual:
        assert inputs.formula is not None
        return describe(inputs.formula, store=store, runtime=runtime, emit=emit)

    # ---- What there is
    own = own_places(store, runtime)
    listing = list_source(inputs, cfg, own=own, emit=emit)
    listing, cfg = resolve(listing, cfg)
    emit(Note(listing.reading))
    for note in listing.notes:
        emit(Note(note))
    for caution in listing.cautions:
        emit(Caution(caution))
    splitting = assign_splits(
        listing,
        val_fraction=cfg.val_fraction or 0.0,
        val_per_class=cfg.val_per_class,
    )
    choices, cfg = (
        cfg,
        cfg.model_copy(update={"layout": listing.layout, "stratified": bool(splitting.held_back)}),
    )
    classes: list[str] = []
    if not cfg.unlabelled:
        listing, classes = class_list(listing, inputs.classes_from, emit=emit)
    titles = class_titles(listing, classes, inputs.class_titles, emit=emit)
    recipe = _recipe(listing, cfg, inputs=inputs, classes=classes, titles=titles)
    earlier = None if runtime.force else crew.of(store).made(_version_1(recipe), out=runtime.out)
    if earlier is not None:
        emit(
            Note(
                f"{earlier.path} was made by an earlier version, which kept the bytes of palette, "
                "16-bit and transparent images; --force makes it anew"
            )
        )
        emit(_next(earlier))
        return earlier
    if inputs.formula is not None:
        origin: str = inputs.formula.family
    else:
        origin = IMAGENET if inputs.imagenet is not None else source_name(inputs.source)
    name = runtime.name or slug(origin, default="images")

    stop = Stop()
    with (
        crew.of(store).open(
            recipe, name=name, out=runtime.out, force=runtime.force, emit=emit
        ) as draft,
        unless_owned(stop),
    ):
        if draft.finished is None:
            # ---- What to do
            announce_source(listing, emit=emit)
            units = make_units(
                splitting.by_split,
                names=listing.names,
                classes=classes,
                shard_bytes=cfg.shard_bytes,
                shards=cfg.shards,
                largest_file=largest_file(cfg.max_pixels),
            )
            announce_plan(units, classes=classes, splitting=splitting, emit=emit)

            # ---- Do it
            reports = _convert(
                units,
                source=listing.source,
                draft=draft,
                cfg=cfg,
                runtime=runtime,
                stop=stop,
                emit=emit,
            )
            raise_if_asked()
            _check_unchanged(
                listing,
                lambda: list_source(inputs, choices, own=own),
                choices.classes,
            )

            # ---- Describe it
            outcome = assemble(
                units,
                reports,
                classes=classes,
                titles=titles,
                multi_label=cfg.unlabelled or listing.multi_label,
            )
            announce_outcome(outcome, source=inputs.source, emit=emit)
            units, reports = _of_splits(outcome, units, reports, draft=draft)
            artifact = _publish(draft, units, reports, outcome=outcome, skipped=listing.skipped)
        else:
            artifact = draft.finished
    emit(_next(artifact))
    return artifact


def _version_1(recipe: Recipe) -> Recipe:
    """The recipe as the first version of this stage wrote it."""
    config = {key: value for key, value in recipe.config.items() if key != "keep_bytes"}
    return recipe.model_copy(update={"version": 1, "config": config})


def _next(dataset: Artifact) -> Next:
    verb = "pretrain --data" if DATASET.summary(dataset).classes else "show"
    return Next(f"vitctl {verb} {shlex.quote(str(dataset.path))}")


# Identity


def _recipe(
    listing: Listing,
    cfg: ShardConfig,
    *,
    inputs: Inputs,
    classes: Sequence[str],
    titles: Sequence[str] | None,
) -> Recipe:
    """Outside inputs are parents of kind "source", known by their fingerprint."""

    def outside(role: str, proof: str, path: str) -> Parent:
        return Parent(role=role, kind="source", id=proof, digest=proof, path=path)

    if inputs.formula is not None:
        return formula_recipe(inputs.formula, cfg)
    proof = listing.fingerprint_of(contents=True) if inputs.rehash else listing.fingerprint
    parents = [outside("source", proof, listing.root)]
    if (made := listing.artifact) is not None:
        parents.append(
            Parent(
                role="dataset",
                kind=DATASET.name,
                id=made.id,
                digest=made.digest,
                path=str(made.path),
            )
        )
    if inputs.classes_from is not None:
        proof = canonical_fingerprint(list(classes))
        parents.append(outside("classes_from", proof, str(inputs.classes_from)))
    if inputs.labels is not None:
        proof = canonical_fingerprint(
            [[e.id, list(listing.class_names(e))] for e in listing.entries]
        )
        parents.append(outside("labels", proof, str(inputs.labels)))
    if titles is not None:
        proof = canonical_fingerprint(list(titles))
        parents.append(outside("class_titles", proof, str(inputs.class_titles or listing.root)))
    return Recipe(
        stage="shard",
        version=VERSION,
        kind=DATASET.name,
        config=cfg.identity(),
        parents=tuple(parents),
    )


# Converting


def _convert(
    units: Sequence[Unit],
    *,
    source: Source,
    draft: Draft,
    cfg: ShardConfig,
    runtime: ShardRuntime,
    stop: Stop,
    emit: Emit,
) -> list[ShardReport]:
    """The report of every unit; those an earlier run finished are not made again."""
    (draft.path / REPORTS).make_folder()
    if draft.path.local is not None:
        for leftover in draft.path.local.glob(f"{TEMPORARY}*"):
            leftover.remove(missing_ok=True)
    reports = dict(enumerate(finished_reports(draft.path, units)))
    todo = [i for i, report in reports.items() if report is None]
    if len(todo) < len(units):
        emit(Note(f"continuing: {len(units) - len(todo)} of {len(units)} shards are there"))
    meter = _Meter(total=sum(len(unit.entries) for unit in units), emit=emit)
    meter.done = meter.before = meter.total - sum(len(units[i].entries) for i in todo)
    meter.rejected = sum(len(report.rejects) for report in reports.values() if report is not None)
    allowed = _allowed_rejects(runtime.max_bad_fraction, total=meter.total)
    workers = runtime.workers
    if workers is None:
        workers = min(available_cores(), 1 + (meter.total - meter.done) // _IMAGES_WORTH_A_WORKER)
    _check_space(draft.path, [units[i] for i in todo], workers, max_pixels=cfg.max_pixels)
    with (
        at_random(
            source,
            [units[i].entries for i in todo],
            largest=largest_file(cfg.max_pixels),
            emit=emit,
        ) as readable,
        reader_closed_after(),
        closing(
            run_tasks(
                functools.partial(
                    write_shard,
                    source=readable,
                    directory=draft.path,
                    max_pixels=cfg.max_pixels,
                    keep_bytes=cfg.keep_bytes,
                ),
                [units[i] for i in todo],
                workers=workers,
                setup=set_up_worker,
            )
        ) as events,
    ):
        # Until then nothing is lost if a signal breaks it off.
        first = list(itertools.islice(events, 1))
        with graceful(stop):
            for event in itertools.chain(first, events):
                if isinstance(event, Done):
                    reports[todo[event.task]] = event.result
                    meter.done += len(units[todo[event.task]].entries)
                    meter.rejected += len(event.result.rejects)
                    if meter.rejected > max(allowed, _ENOUGH_REJECTS):
                        break  # it fails anyway; `_check_rejects` says why
                meter.show(in_hand=event.items if isinstance(event, Moving) else 0)
                if stop.requested and meter.done < meter.total:
                    finished = sum(report is not None for report in reports.values())
                    raise InterruptedRun(
                        f"{finished} of {len(units)} shards are done ({stop.reason})",
                        hint="the same command goes on from there",
                    )
    made = {i: report for i, report in reports.items() if report is not None}
    _check_rejects(made, total=meter.total, draft=draft, allowed=allowed)
    return list(made.values())


@dataclass
class _Meter:
    """Counts images, and tells of them."""

    total: int
    emit: Emit
    done: int = 0
    before: int = 0
    rejected: int = 0
    started: float | None = None

    def show(self, *, in_hand: int) -> None:
        """`in_hand`: images begun in shards that aren't finished."""
        handled = self.done + in_hand
        fields = {"rejected": str(self.rejected)}
        if self.started is not None:
            rate = (handled - self.before) / max(1e-3, time.monotonic() - self.started)
            fields = {"img/s": f"{rate:,.0f}", **fields}
        elif handled > self.before:
            # Workers import TensorFlow for some seconds first; that is no part of the rate.
            self.started, self.before = time.monotonic(), handled
        self.emit(Progress("shard", handled, self.total, "images", fields))


def _check_space(place: Place, units: Sequence[Unit], workers: int, *, max_pixels: int) -> None:
    """Raise DoesNotFitError if the disk is too small. A bucket has no end; the disk here then
    holds the shards that are being made."""
    limit = largest_file(max_pixels)
    usable = [np.where(unit.entries.sizes <= limit, unit.entries.sizes, 0) for unit in units]
    shard_bytes = [int(sizes.sum()) for sizes in usable]
    if place.local is None:
        at_once = sum(sorted(shard_bytes)[-max(1, workers) :])
        here = Path(tempfile.gettempdir())
        check_room(here, at_once, hint="fewer --workers, a smaller --shard-size, or another TMPDIR")
        return
    needed_bytes = sum(shard_bytes)
    free_bytes = shutil.disk_usage(place.local).free
    if needed_bytes > free_bytes:
        i = max(range(len(units)), key=lambda i: usable[i].max())
        largest = units[i].entries[int(usable[i].argmax())]
        raise DoesNotFitError(
            f"the shards take about {needed_bytes / 2**30:.1f} GiB, and {place} has "
            f"{free_bytes / 2**30:.1f} GiB left (the largest file is {largest.id}, "
            f"{largest.size / 2**20:,.1f} MiB)",
            hint="free some space, or choose another place with --store",
        )


def _allowed_rejects(fraction: float | None, *, total: int) -> float:
    """So many rejects don't end the command. Of a hundred images one in a hundred would be none."""
    if fraction is not None:
        return fraction * total
    return max(_BAD_FRACTION * total, min(_BAD_IMAGES, total // 4))


def _check_rejects(
    reports: Mapping[int, ShardReport], *, total: int, draft: Draft, allowed: float
) -> None:
    """Write the list of rejects; raise `InputError` when they are too many."""
    rejects = sorted(
        (
            {"id": reject.id, "reason": reject.reason}
            for report in reports.values()
            for reject in report.rejects
        ),
        key=lambda reject: reject["id"],
    )
    lines = "".join(json.dumps(reject, ensure_ascii=False) + "\n" for reject in rejects)
    (draft.path / REJECTS).write_atomic(lines.encode())
    if len(rejects) <= allowed:
        return
    examined = sum(report.records + len(report.rejects) for report in reports.values())
    first = rejects[0]
    raise InputError(
        f"{len(rejects)} of {examined} images are bad, more than {allowed / total:.1%} of all "
        f"{total}: {first['id']}: {first['reason']}; all are listed in {draft.path / REJECTS}",
        hint="remove or repair them, or go on without them: "
        f"--max-bad-fraction {math.ceil(100 * len(rejects) / examined) / 100:.2f}",
    )


def _check_unchanged(
    listing: Listing, list_again: Callable[[], Listing], classes: str | None
) -> None:
    if listing.artifact is not None:
        return  # what is published is not changed; each record has a checksum
    if listing.parts:
        for part in listing.parts:
            part.check_unchanged()
        return
    now = chosen_classes(list_again(), classes)
    if now.fingerprint != listing.fingerprint:
        raise InputError(
            f"{listing.root} changed while it was read",
            hint="wait until nothing writes to it, then run the command again",
        )


# Publishing


def _of_splits(
    outcome: Outcome, units: Sequence[Unit], reports: Sequence[ShardReport], *, draft: Draft
) -> tuple[list[Unit], list[ShardReport]]:
    """Units and reports of the splits that have images; the shards of others go."""
    for unit in units:
        if unit.split not in outcome.info.splits:
            (draft.path / unit.file_name).remove(missing_ok=True)
    pairs = [
        (unit, report)
        for unit, report in zip(units, reports, strict=True)
        if unit.split in outcome.info.splits
    ]
    return [unit for unit, _ in pairs], [report for _, report in pairs]


def _publish(
    draft: Draft,
    units: Sequence[Unit],
    reports: Sequence[ShardReport],
    *,
    outcome: Outcome,
    skipped: Counter[str],
) -> Artifact:
    for name, content in outcome.files().items():
        (draft.path / name).write_atomic(content)
    for unit, report in zip(units, reports, strict=True):
        draft.record(unit.file_name, size=report.file_bytes, sha256=report.sha256)
    info = outcome.info
    artifact = draft.publish(
        summary=Dataset(
            classes=len(info.classes),
            examples={split: part.examples for split, part in info.splits.items()},
            shards={split: len(part.shard_lengths) for split, part in info.splits.items()},
            bytes=sum(report.file_bytes for report in reports),
            converted=outcome.converted,
            differ=outcome.differ,
            rejected=outcome.rejected,
            skipped=dict(sorted(skipped.items())),
        ).as_json()
    )
    (draft.path / REPORTS).remove_tree()
    return artifact
