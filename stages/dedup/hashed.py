"""The hashes of a split of a dataset: an artifact of their own, which the next question uses."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np

from stages.dedup.spec import VERSION, DedupRuntime
from vitctl.artifacts import Artifact, Draft, Recipe, Store, crew
from vitctl.artifacts.documents import document_bytes
from vitctl.artifacts.kinds import IMAGE_HASHES
from vitctl.artifacts.kinds.image_hashes import ImageHashes
from vitctl.artifacts.references import plain_name
from vitctl.artifacts.store import slug
from vitctl.data.image_source import ImageSource
from vitctl.data.records import read_examples
from vitctl.duplicates import stored
from vitctl.duplicates.prints import prints
from vitctl.duplicates.stored import StoredPrints
from vitctl.events import Caution, Emit, Progress
from vitctl.hardware.machine import available_cores

_BLOCK = 256
"""Images in memory at a time."""


def hashes_of(
    dataset: Artifact,
    source: ImageSource,
    split: str,
    *,
    store: Store,
    runtime: DedupRuntime,
    emit: Emit,
) -> StoredPrints:
    """Those of a split, from the store if they are there. What an interrupted run has made is not
    made again."""
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
            draft, plain_name(dataset), source, split, runtime=runtime, emit=emit
        )
    summary = IMAGE_HASHES.summary(artifact)
    if summary.unreadable:
        emit(
            Caution(
                f"{summary.unreadable:,} of {summary.examples:,} images of {summary.dataset} "
                f"{split} cannot be decoded: only their bytes are compared"
            )
        )
    return StoredPrints.load(artifact)


def _made(
    draft: Draft,
    name: str,
    source: ImageSource,
    split: str,
    *,
    runtime: DedupRuntime,
    emit: Emit,
) -> Artifact:
    info = stored.parted(source.info.examples(split))
    unreadable = flat = 0
    with (
        ThreadPoolExecutor(runtime.workers or available_cores(), "decode") as threads,
        closing(source.records(split)) as records,
    ):
        for index in range(info.parts):
            path = draft.path / stored.part_name(index, parts=info.parts)
            first = index * info.rows_a_part
            rows = np.arange(first, min(first + info.rows_a_part, info.examples))
            part = stored.read_part(path, rows=len(rows))
            if part is None:
                blocks = []
                for begin in range(0, len(rows), _BLOCK):
                    examples = read_examples(records, rows[begin : begin + _BLOCK])
                    images = [example.image for example in examples]
                    blocks.append(prints(images, threads=threads))
                    done = first + min(begin + _BLOCK, len(rows))
                    emit(Progress(f"hash {name} {split}", done, info.examples, "images"))
                part = np.concatenate(blocks)
                draft.write(stored.part_name(index, parts=info.parts), stored.as_npy(part))
            unreadable += int((~part["readable"]).sum())
            flat += int((part["flat"] & part["readable"]).sum())
    draft.write(stored.DESCRIPTION, document_bytes(info))
    summary = ImageHashes(
        dataset=name, split=split, examples=info.examples, unreadable=unreadable, flat=flat
    )
    return draft.publish(summary=summary.as_json())
