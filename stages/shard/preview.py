"""How `vitctl shard --dry-run` works: a source -> what it was taken for, what sharding it takes,
and what it looks like. Nothing is written to the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stages.shard.announce import announce_part, announce_plan, announce_source
from stages.shard.answer import ClassCounts, Estimate, Preview, SampledImages
from stages.shard.nodes import check_has_work, check_nodes
from stages.shard.planning import SourcePlan, earlier_artifact, plan
from stages.shard.shards import DECODING, worker_count
from stages.shard.source import own_places
from stages.shard.spec import Inputs, ShardConfig, ShardRuntime
from vitctl.artifacts import Artifact, Store, crew
from vitctl.data.dataset import Split
from vitctl.data.example import Example
from vitctl.data.sheet import sheet, thumbnail
from vitctl.data.tensorflow import require_tensorflow
from vitctl.errors import NotFoundError, OverwriteError, UsageError
from vitctl.events import Caution, Emit, Event, Note, silent
from vitctl.ingest.litter import MISNAMED, NAMED
from vitctl.ingest.write.rejects import allowed_rejects
from vitctl.ingest.write.sample import Sample, sampled
from vitctl.ingest.write.shard_plan import Unit
from vitctl.ingest.write.shard_writer import added_up
from vitctl.pixels.convert import seen_in_training
from vitctl.pixels.header import open_image, read_header
from vitctl.places import place
from vitctl.places.local import based
from vitctl.workers.executors import executor

PICTURE = ".png"
_PICTURED = 48
_SIDE = 144
_MOST_LABELS = 3


class _Stored(NamedTuple):
    """What is noted of a stored image: its labels, and (width, height) in pixels."""

    labels: tuple[int, ...]
    size: tuple[int, int]


def preview(
    cfg: ShardConfig,
    inputs: Inputs,
    *,
    store: Store,
    runtime: ShardRuntime,
    picture: Path | None = None,
    emit: Emit = silent,
) -> Preview:
    """Look at `inputs.source`: list it, shard a sample to a folder that goes away, and draw the
    sample to the file `picture`, if that is given."""
    check_picture(picture, force=runtime.force)
    check_has_work(inputs, runtime)
    events: list[Event] = []
    planned = plan(cfg, inputs, own=own_places(store, runtime), emit=events.append)
    listing = planned.listing
    announce_source(listing, emit=events.append)
    units = planned.units()
    announce_plan(
        units,
        classes=planned.classes,
        splitting=planned.splitting,
        cfg=planned.cfg,
        emit=events.append,
    )
    own = planned.own_of(units)
    if planned.part is not None:
        announce_part(planned.part, own, of=units, emit=events.append)
    finished = None if inputs.rehash or inputs.virtual else _finished(planned, store, runtime)
    # What is finished is found, whether or not the cluster still runs.
    ray = runtime.ray if finished is None or runtime.force else None
    check_nodes(ray, listing.source)
    sample = estimate = drawn = None
    if not inputs.virtual or picture is not None:
        require_tensorflow(to=DECODING)
        # The sample is taken here; only how many workers there are is asked of a cluster.
        here = worker_count(runtime, images=sum(len(unit.entries) for unit in own))
        with executor(ray, here=here, most=runtime.workers, emit=events.append) as pool:
            workers = pool.workers
        with sampled(
            listing.entries.relabelled(planned.numbers),
            listing.source,
            storage=planned.cfg.storage,
            workers=here,
            emit=emit,
        ) as small:
            stored = [_Stored(example.labels, _size(example)) for example in small.examples()]
            sample = _of_sample(small, stored, from_the_front=listing.source.access == "in order")
            if not inputs.virtual:
                estimate = _estimate(
                    small, planned, own, store=store, runtime=runtime, workers=workers
                )
            if picture is not None and stored:
                _draw(picture, small, stored, planned)
                drawn = picture
    cautions = [event.text for event in events if isinstance(event, Caution)]
    if sample is not None:
        allowed = allowed_rejects(runtime.max_bad_fraction, total=sample.images)
        if len(sample.rejected) > allowed:
            cautions.append(
                "so many bad images end the command; repair them, or go on without them: "
                "--max-bad-fraction 1"
            )
    misnamed = {
        kind.removeprefix(NAMED): count
        for kind, count in sorted(listing.skipped.items())
        if kind.startswith(MISNAMED)
    }
    return Preview(
        source=listing.root,
        reading=listing.reading,
        finished=None if finished is None else str(finished.path),
        images={split: len(part) for split, part in planned.splitting.by_split.items()},
        shards=dict(Counter(unit.split for unit in units)),
        classes=_counts(planned),
        bytes=int(listing.entries.sizes.sum()),
        changes=tuple(planned.cfg.pixels.phrases()),
        skipped=dict(sorted(listing.skipped.items())),
        misnamed=misnamed,
        notes=tuple(e.text for e in events if isinstance(e, Note) and e.text != listing.reading),
        cautions=tuple(cautions),
        sample=sample,
        estimate=estimate,
        sheet=drawn,
    )


def check_picture(picture: Path | None, *, force: bool) -> None:
    """Raise where a picture cannot be written, before anything is read."""
    if picture is None:
        return
    if picture.suffix.lower() != PICTURE:
        raise UsageError(f"--sheet {picture} is not a picture", hint=f"name a {PICTURE} file")
    if picture.is_dir():
        raise OverwriteError(f"--sheet {picture} is a folder", hint="name a file in it")
    if picture.exists() and not force:
        raise OverwriteError(f"--sheet {picture} exists", hint="--force replaces it")
    if not picture.absolute().parent.is_dir():
        raise NotFoundError(f"--sheet: the folder {picture.parent} does not exist")


def _finished(planned: SourcePlan, store: Store, runtime: ShardRuntime) -> Artifact | None:
    """What the command returns without sharding: a dataset of its own, or of an earlier version."""
    if planned.part is None:
        earlier = earlier_artifact(planned, store=store, runtime=runtime)
        if earlier is not None:
            return earlier[0]
    return crew.of(store).made(planned.recipe, out=runtime.out)


def _counts(planned: SourcePlan) -> tuple[ClassCounts, ...]:
    """Of each class, how many images it has in each split."""
    by_split: dict[Split, np.ndarray] = {}
    for split, entries in planned.splitting.by_split.items():
        labels = planned.numbers[entries.labels]
        by_split[split] = np.bincount(labels[labels >= 0], minlength=len(planned.classes))
    titles = planned.title_names or (None,) * len(planned.classes)
    return tuple(
        ClassCounts(name, title, {split: int(counts[i]) for split, counts in by_split.items()})
        for i, (name, title) in enumerate(zip(planned.classes, titles, strict=True))
    )


def _size(example: Example) -> tuple[int, int]:
    with open_image(example.image) as image:
        return image.size


def _of_sample(sample: Sample, stored: Sequence[_Stored], *, from_the_front: bool) -> SampledImages:
    rejected = {reject.id: reject.reason for report in sample.reports for reject in report.rejects}
    sides = np.array([image.size for image in stored]).reshape(-1, 2)
    spread = [
        (int(column.min()), int(np.median(column)), int(column.max())) if len(column) else None
        for column in sides.T
    ]
    return SampledImages(
        images=sample.images,
        bytes=sample.file_bytes,
        from_the_front=from_the_front,
        stored_bytes=sample.stored_bytes,
        widths=spread[0],
        heights=spread[1],
        rejected=dict(sorted(rejected.items())),
        converted=added_up(report.converted for report in sample.reports),
        treatments=added_up(report.treatments for report in sample.reports),
        warnings=added_up(report.warnings for report in sample.reports),
    )


def _estimate(
    sample: Sample,
    planned: SourcePlan,
    units: Sequence[Unit],
    *,
    store: Store,
    runtime: ShardRuntime,
    workers: int,
) -> Estimate:
    """In proportion to the images of the units that are made, and bytes in proportion to those of
    the files. A part of a source that is read from front to back reads all of it."""
    listing = planned.listing
    images = sum(len(unit.entries) for unit in units)
    file_bytes = sum(int(unit.entries.sizes.sum()) for unit in units)
    rate = max(1, workers) * sample.images / max(1e-9, sample.work_s)
    of_bytes = file_bytes / max(1, sample.file_bytes)
    read_bytes = int(listing.entries.sizes.sum())
    copies = listing.source.access == "in order"
    # A folder is listed once more in the end, to see whether it changed.
    listings = 1 if listing.parts or listing.artifact is not None else 2
    return Estimate(
        seconds=listings * planned.listing_s
        + sample.start_s
        + read_bytes / max(1, sample.file_bytes) * sample.copy_s
        + images / rate,
        workers=workers,
        images_per_second=rate,
        bytes=round(of_bytes * sample.stored_bytes),
        copied_bytes=file_bytes if copies else 0,
        free_bytes=_free_bytes(store, runtime),
    )


def _free_bytes(store: Store, runtime: ShardRuntime) -> int | None:
    return place(store.root if runtime.out is None else runtime.out).free_bytes()


def _draw(picture: Path, sample: Sample, stored: Sequence[_Stored], planned: SourcePlan) -> None:
    """Images of each class in turn, with their labels, sizes and names."""
    titles = planned.title_names or planned.classes
    pictured: Counter[tuple[int, ...]] = Counter()
    turns = []
    for number, image in enumerate(stored):
        turns.append((pictured[image.labels], number))
        pictured[image.labels] += 1
    chosen = {number for _, number in sorted(turns)[:_PICTURED]}
    captions, images = {}, {}
    for number, example in enumerate(sample.examples()):
        if number not in chosen:
            continue
        width, height = stored[number].size
        labels = [titles[label] for label in example.labels]
        shown = ", ".join(labels[:_MOST_LABELS]) + ", ..." * (len(labels) > _MOST_LABELS)
        captions[number] = (
            shown or "no label",
            f"{width} x {height}, {example.id.rpartition('/')[2]}",
        )
        header = read_header(example.image, max_pixels=planned.cfg.max_pixels)
        images[number] = thumbnail(seen_in_training(example.image, header), side=_SIDE)
    in_order = sorted(chosen, key=lambda number: (stored[number].labels, number))
    page = sheet(np.stack([images[i] for i in in_order]), [captions[i] for i in in_order])
    based(picture).write_atomic(page)
