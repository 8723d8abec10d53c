"""The hashes of a split of a dataset: an artifact of their own, which the next search uses."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial

from stages.dedup.parts import (
    PartCounts,
    SplitImages,
    digest_of,
    hash_part,
    records_closed_after,
)
from stages.dedup.spec import VERSION, DedupRuntime
from vitctl.artifacts import Artifact, Draft, Recipe, Store, crew
from vitctl.artifacts.documents import document_bytes
from vitctl.artifacts.kinds import IMAGE_HASHES
from vitctl.artifacts.kinds.image_hashes import ImageHashes
from vitctl.artifacts.references import plain_name
from vitctl.artifacts.store import slug
from vitctl.data.image_source import ImageSource
from vitctl.duplicates import stored
from vitctl.duplicates.stored import PrintsInfo, StoredPrints
from vitctl.events import Caution, Emit, Progress
from vitctl.hardware.machine import available_cores
from vitctl.text.quantities import counted, plural
from vitctl.workers.executors import Executor
from vitctl.workers.task import Done, Moving
from vitctl.workers.visibility import Proof


def hashes_of(
    dataset: Artifact,
    source: ImageSource,
    split: str,
    *,
    store: Store,
    runtime: DedupRuntime,
    workers: Callable[[], Executor],
    emit: Emit,
) -> StoredPrints:
    """Those of a split, from the store if they are there. What an interrupted run has made is not
    made again. `workers` are asked for where something is to be made."""
    recipe = Recipe(
        stage="dedup",
        version=VERSION,
        kind=IMAGE_HASHES.name,
        config={"hashes": stored.FORMAT, "split": split},
        parents=(dataset.as_parent("dataset"),),
    )
    name = slug(f"{plain_name(dataset)}-{split}-hashes", default="hashes")
    with crew.of(store).open(recipe, name=name, emit=emit) as draft:
        artifact = draft.finished or _made(
            draft,
            SplitImages(dataset, split, runtime.cache_dir),
            source.info.examples(split),
            workers=workers,
            threads=runtime.workers or available_cores(),
            emit=emit,
        )
    summary = IMAGE_HASHES.summary(artifact)
    if summary.unreadable:
        emit(
            Caution(
                f"only the bytes are compared of {summary.unreadable:,} of "
                f"{counted(summary.examples, 'image')} of {summary.dataset} {split}, which cannot "
                "be decoded"
            )
        )
    return StoredPrints.load(artifact)


def _made(
    draft: Draft,
    images: SplitImages,
    examples: int,
    *,
    workers: Callable[[], Executor],
    threads: int,
    emit: Emit,
) -> Artifact:
    info = stored.parted(examples)
    counts: dict[int, PartCounts] = {}
    for index in range(info.parts):
        path = draft.path / stored.part_name(index, parts=info.parts)
        if (part := stored.read_part(path, rows=len(info.rows(index)))) is not None:
            counts[index] = PartCounts.of(part)
    todo = [index for index in range(info.parts) if index not in counts]
    if todo:
        made = _hash(todo, images, info, draft=draft, workers=workers(), threads=threads, emit=emit)
        counts.update(made)
    draft.write(stored.DESCRIPTION, document_bytes(info))
    summary = ImageHashes(
        dataset=plain_name(images.dataset),
        split=images.split,
        examples=examples,
        unreadable=sum(part.unreadable for part in counts.values()),
        flat=sum(part.flat for part in counts.values()),
    )
    return draft.publish(summary=summary.as_json())


def _hash(
    todo: list[int],
    images: SplitImages,
    info: PrintsInfo,
    *,
    draft: Draft,
    workers: Executor,
    threads: int,
    emit: Emit,
) -> dict[int, PartCounts]:
    """What came out of each part that is made."""
    finished = info.examples - sum(len(info.rows(index)) for index in todo)
    counts: dict[int, PartCounts] = {}

    def progress(in_hand: int) -> None:
        emit(Progress(f"hash {images.name}", finished + in_hand, info.examples, "images"))

    def name_of(task: int, position: int | None) -> str:
        rows = info.rows(todo[task])
        if position is None:
            return (
                f"{plural(len(rows), 'image', grouped=True)} from row {rows.start} of {images.name}"
            )
        return f"row {rows.start + position} of {images.name}"

    work = partial(
        hash_part,
        images=images,
        info=info,
        folder=draft.path,
        # A cluster has a process a core, each of which says which image it has in hand.
        threads=threads if workers.is_here else 1,
        progress=progress if workers.is_here else None,
    )
    with (
        records_closed_after(),
        workers.admitted(draft.path, partial(_proofs, images, info, todo), emit=emit),
        closing(workers.run(work, todo, name_of=name_of)) as events,
    ):
        for event in events:
            match event:
                case Done(task, result):
                    counts[todo[task]] = result
                    finished += len(info.rows(todo[task]))
                    progress(0)
                case Moving(in_hand):
                    progress(in_hand)
    return counts


def _proofs(images: SplitImages, info: PrintsInfo, todo: list[int]) -> list[Proof]:
    """The first image that is to be hashed, and the last."""
    return [
        Proof.of(f"row {row} of {images.name}", partial(digest_of, images, row))
        for row in (info.rows(todo[0])[0], info.rows(todo[-1])[-1])
    ]
