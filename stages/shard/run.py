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
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from stages.shard.spec import (
    DEFAULT_VAL_FRACTION,
    DIGITS,
    VERSION,
    Inputs,
    ShardConfig,
    ShardRuntime,
)
from vitctl.artifacts import Artifact, Draft, Parent, Recipe, Store
from vitctl.artifacts.canonical import fingerprint as canonical_fingerprint
from vitctl.artifacts.files import TEMPORARY, make_folder, remove, remove_tree, write_atomic
from vitctl.artifacts.store import slug
from vitctl.data.classes import read_class_list, read_pairs, select_classes, titles_for
from vitctl.data.pipeline import available_cores
from vitctl.errors import DoesNotFitError, InputError, InterruptedRun, UsageError
from vitctl.events import Caution, Emit, Next, Note, Progress, Settings, silent
from vitctl.ingest.assemble import Outcome, assemble
from vitctl.ingest.digits import list_digits
from vitctl.ingest.header import largest_file
from vitctl.ingest.label_file import read_labels
from vitctl.ingest.shard_plan import Unit, assign_splits, make_units
from vitctl.ingest.shard_writer import (
    REPORTS,
    ShardReport,
    finished_reports,
    set_up_worker,
    write_shard,
)
from vitctl.ingest.sources import Listing, fingerprint, list_folder
from vitctl.ingest.worker_pool import Done, Moving, run_tasks
from vitctl.places import Place
from vitctl.places.scratch import check_room
from vitctl.signals import Stop, graceful, raise_if_asked, unless_owned

REJECTS = "rejects.jsonl"

# A worker spends about 10 s of processor time on importing TensorFlow, in which another one that
# is there already checks some thousand images.
_IMAGES_WORTH_A_WORKER = 2_000
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
    # ---- What there is
    listing = _list(inputs, emit=emit)
    listing, cfg = _resolve(listing, cfg)
    classes = _class_list(listing, inputs.classes_from)
    titles = _titles(classes, inputs.class_titles)
    recipe = _recipe(listing, cfg, inputs=inputs, classes=classes, titles=titles)
    earlier = None if runtime.force else store.made(_version_1(recipe), out=runtime.out)
    if earlier is not None:
        emit(
            Note(
                f"{earlier.path} was made by an earlier version, which kept the bytes of palette, "
                "16-bit and transparent images; --force makes it anew"
            )
        )
        emit(_next(earlier))
        return earlier
    name = runtime.name or slug(Path(inputs.source).resolve().name, default="images")

    stop = Stop()
    with (
        store.open(recipe, name=name, out=runtime.out, force=runtime.force, emit=emit) as draft,
        unless_owned(stop),
    ):
        if draft.finished is None:
            # ---- What to do
            _announce(listing, emit=emit)
            by_split = assign_splits(listing.entries, val_fraction=cfg.val_fraction or 0.0)
            units = make_units(
                by_split,
                classes=classes,
                shard_bytes=cfg.shard_bytes,
                shards=cfg.shards,
                largest_file=largest_file(cfg.max_pixels),
            )
            _announce_plan(units, classes=classes, emit=emit)

            # ---- Do it
            reports = _convert(units, draft=draft, cfg=cfg, runtime=runtime, stop=stop, emit=emit)
            raise_if_asked()
            _check_unchanged(listing, inputs)

            # ---- Describe it
            outcome = assemble(
                units,
                reports,
                classes=classes,
                titles=titles,
                multi_label=inputs.labels is not None,
            )
            _announce_outcome(outcome, emit=emit)
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
    return Next(f"vitctl pretrain --data {shlex.quote(str(dataset.path))}")


# Listing


def _list(inputs: Inputs, *, emit: Emit = silent) -> Listing:
    labels = read_labels(inputs.labels) if inputs.labels is not None else None
    if inputs.source != DIGITS:
        return list_folder(Path(inputs.source), labels=labels)
    if labels is not None:
        raise UsageError("--labels is for a folder; the digits have labels of their own")
    if Path(DIGITS).is_dir():
        emit(Note("digits are the built-in ones; the folder of that name is ./digits"))
    return list_digits()


def _resolve(listing: Listing, cfg: ShardConfig) -> tuple[Listing, ShardConfig]:
    """The chosen classes only, and the configuration without open questions."""
    chosen = listing
    if cfg.classes is not None:
        wanted = set(select_classes(cfg.classes, available=listing.classes))
        chosen = listing.only(wanted)
    own_splits = {entry.split for entry in chosen.entries} - {None, "train"}
    if "val" in own_splits and cfg.val_fraction is not None:
        raise UsageError(
            f"--val-fraction is of no use: {listing.root} has validation images of its own",
            hint="leave it out",
        )
    fraction = cfg.val_fraction
    if fraction is None and not own_splits:
        fraction = DEFAULT_VAL_FRACTION
    return chosen, cfg.model_copy(update={"val_fraction": fraction})


def _class_list(listing: Listing, classes_from: Place | None) -> list[str]:
    """The classes in the order of their numbers."""
    found = listing.classes
    if classes_from is not None:
        listed = read_class_list(classes_from)
        strange = [name for name in found if name not in set(listed)]
        if strange:
            raise InputError(
                f"{len(strange)} of the {len(found)} classes in {listing.root} are not among the "
                f"{len(listed)} of {classes_from} ({', '.join(strange[:3])}"
                f"{', ...' if len(strange) > 3 else ''})",
                hint="rename the folders, or choose classes with --classes",
            )
        found = listed
    if len(found) < 2:
        only = f"one class only ({found[0]})" if found else "no class"
        raise InputError(
            f"{listing.root} has {only}; there is nothing to tell apart",
            hint="give a folder of at least two class folders; for a part of a larger list of "
            "classes, name the list with --classes-from",
        )
    return found


def _titles(classes: Sequence[str], file: Path | None) -> tuple[str, ...] | None:
    return titles_for(classes, read_pairs(file, option="--class-titles")) if file else None


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

    proof = fingerprint(listing.entries, contents=True) if inputs.rehash else listing.fingerprint
    parents = [outside("source", proof, listing.root)]
    if inputs.classes_from is not None:
        proof = canonical_fingerprint(list(classes))
        parents.append(outside("classes_from", proof, str(inputs.classes_from)))
    if inputs.labels is not None:
        proof = canonical_fingerprint([[e.id, list(e.class_names)] for e in listing.entries])
        parents.append(outside("labels", proof, str(inputs.labels)))
    if titles is not None:
        proof = canonical_fingerprint(list(titles))
        parents.append(outside("class_titles", proof, str(inputs.class_titles)))
    return Recipe(
        stage="shard",
        version=VERSION,
        kind="dataset",
        config=cfg.model_dump(mode="json"),
        parents=tuple(parents),
    )


# Converting


def _convert(
    units: Sequence[Unit],
    *,
    draft: Draft,
    cfg: ShardConfig,
    runtime: ShardRuntime,
    stop: Stop,
    emit: Emit,
) -> list[ShardReport]:
    """The report of every unit; those an earlier run finished are not made again."""
    make_folder(draft.path / REPORTS)
    if isinstance(draft.path, Path):
        for leftover in draft.path.glob(f"{TEMPORARY}*"):
            remove(leftover, missing_ok=True)
    reports = dict(enumerate(finished_reports(draft.path, units)))
    todo = [i for i, report in reports.items() if report is None]
    if len(todo) < len(units):
        emit(Note(f"continuing: {len(units) - len(todo)} of {len(units)} shards are there"))
    meter = _Meter(total=sum(len(unit.entries) for unit in units), emit=emit)
    meter.done = meter.before = meter.total - sum(len(units[i].entries) for i in todo)
    meter.rejected = sum(len(report.rejects) for report in reports.values() if report is not None)
    allowed = runtime.max_bad_fraction * meter.total
    work = functools.partial(
        write_shard,
        directory=draft.path,
        max_pixels=cfg.max_pixels,
        keep_bytes=cfg.keep_bytes,
    )
    workers = runtime.workers
    if workers is None:
        workers = min(available_cores(), 1 + (meter.total - meter.done) // _IMAGES_WORTH_A_WORKER)
    _check_space(draft.path, [units[i] for i in todo], workers, max_pixels=cfg.max_pixels)
    events = run_tasks(work, [units[i] for i in todo], workers=workers, setup=set_up_worker)
    with closing(events):
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
        seen = self.done + in_hand
        fields = {"rejected": str(self.rejected)}
        if self.started is not None:
            rate = (seen - self.before) / max(1e-3, time.monotonic() - self.started)
            fields = {"img/s": f"{rate:,.0f}", **fields}
        elif seen > self.before:
            # Workers import TensorFlow for some seconds first; that is no part of the rate.
            self.started, self.before = time.monotonic(), seen
        self.emit(Progress("shard", seen, self.total, "images", fields))


def _check_space(place: Place, units: Sequence[Unit], workers: int, *, max_pixels: int) -> None:
    """Raise DoesNotFitError if the disk is too small. A bucket has no end; the disk here then
    holds the shards that are being made."""
    limit = largest_file(max_pixels)
    usable = [[entry for entry in unit.entries if entry.size <= limit] for unit in units]
    shard_bytes = [sum(entry.size for entry in entries) for entries in usable]
    if not isinstance(place, Path):
        at_once = sum(sorted(shard_bytes)[-max(1, workers) :])
        here = Path(tempfile.gettempdir())
        check_room(here, at_once, hint="fewer --workers, a smaller --shard-size, or another TMPDIR")
        return
    needed_bytes = sum(shard_bytes)
    free_bytes = shutil.disk_usage(place).free
    if needed_bytes > free_bytes:
        largest = max(itertools.chain.from_iterable(usable), key=lambda entry: entry.size)
        raise DoesNotFitError(
            f"the shards take about {needed_bytes / 2**30:.1f} GiB, and {place} has "
            f"{free_bytes / 2**30:.1f} GiB left (the largest file is {largest.id}, "
            f"{largest.size / 2**20:,.1f} MiB)",
            hint="free some space, or choose another place with --store",
        )


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
    write_atomic(draft.path / REJECTS, lines.encode())
    if len(rejects) <= allowed:
        return
    seen = sum(report.records + len(report.rejects) for report in reports.values())
    first = rejects[0]
    raise InputError(
        f"{len(rejects)} of {seen} images are bad, more than {allowed / total:.1%} of all "
        f"{total}: {first['id']}: {first['reason']}; all are listed in {draft.path / REJECTS}",
        hint="remove or repair them, or go on without them: "
        f"--max-bad-fraction {math.ceil(100 * len(rejects) / seen) / 100:.2f}",
    )


def _check_unchanged(listing: Listing, inputs: Inputs) -> None:
    now = _list(inputs).only(set(listing.classes))
    if now.fingerprint != listing.fingerprint:
        raise InputError(
            f"{listing.root} changed while it was read",
            hint="wait until nothing writes to it, then run the command again",
        )


# Publishing


def _publish(
    draft: Draft,
    units: Sequence[Unit],
    reports: Sequence[ShardReport],
    *,
    outcome: Outcome,
    skipped: Counter[str],
) -> Artifact:
    for name, content in outcome.files().items():
        write_atomic(draft.path / name, content)
    for unit, report in zip(units, reports, strict=True):
        draft.record(unit.file_name, size=report.file_bytes, sha256=report.sha256)
    info = outcome.info
    artifact = draft.publish(
        summary={
            "classes": len(info.classes),
            "examples": {split: part.examples for split, part in info.splits.items()},
            "shards": {split: len(part.shard_lengths) for split, part in info.splits.items()},
            "bytes": sum(report.file_bytes for report in reports),
            "converted": outcome.converted,
            "differ": outcome.differ,
            "rejected": outcome.rejected,
            "skipped": dict(sorted(skipped.items())),
        }
    )
    remove_tree(draft.path / REPORTS)
    return artifact


# Telling


def _announce(listing: Listing, *, emit: Emit) -> None:
    if listing.skipped:
        counts = ", ".join(f"{count} {what}" for what, count in listing.skipped.most_common(5))
        emit(Note(f"left alone in {listing.root}: {counts}"))
    if listing.empty_classes:
        shown = ", ".join(listing.empty_classes[:5])
        emit(Caution(f"{len(listing.empty_classes)} class folders hold no image: {shown}"))


def _announce_plan(units: Sequence[Unit], *, classes: Sequence[str], emit: Emit) -> None:
    values = {"classes": str(len(classes))}
    for split in dict.fromkeys(unit.split for unit in units):
        parts = [unit for unit in units if unit.split == split]
        images = sum(len(unit.entries) for unit in parts)
        values[split] = f"{images:,} images in {len(parts)} shard{'s' * (len(parts) > 1)}"
    emit(Settings("dataset", values))
    seen = {unit.split for unit in units}
    if "train" not in seen:
        emit(Caution("there is no image to train on: all fell to val"))
    elif len(seen) == 1:
        emit(Caution("there is no image to score on: all fell to train"))


def _announce_outcome(outcome: Outcome, *, emit: Emit) -> None:
    for reason, count in outcome.converted.items():
        emit(Note(f"converted to PNG: {count} ({reason})"))
    for reason, count in outcome.differ.items():
        emit(
            Caution(
                f"kept as it is: {count} ({reason}), of which readers with Pillow or OpenCV make "
                "other pixels or channels than training"
            )
        )
    if outcome.rejected:
        emit(Caution(f"{outcome.rejected} bad images were left out; see {REJECTS}"))
    missing = outcome.classes_without("train")
    if missing:
        shown = ", ".join(missing[:5])
        emit(Caution(f"{len(missing)} classes have no image to train on: {shown}"))
