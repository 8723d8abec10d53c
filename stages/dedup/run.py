"""How `vitctl dedup` works: datasets -> hashes of their images -> what stays of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from stages.dedup import compared, written
from stages.dedup.compared import Compared
from stages.dedup.hashed import hashes_of
from stages.dedup.spec import VERSION, DedupConfig, DedupRuntime, Inputs
from stages.dedup.written import Side
from vitctl.artifacts import Artifact, Draft, Recipe, Store, crew
from vitctl.artifacts.following import following
from vitctl.artifacts.kinds import DATASET
from vitctl.artifacts.kinds.dataset import Dataset
from vitctl.artifacts.references import plain_name
from vitctl.artifacts.store import slug
from vitctl.data.local_shards import local_folder
from vitctl.data.opening import open_dataset
from vitctl.data.parts import DatasetRef
from vitctl.data.subset import described, write_subset
from vitctl.duplicates import report
from vitctl.duplicates.matching import Rules
from vitctl.errors import UsageError
from vitctl.events import Emit, Note, Settings, silent
from vitctl.text.quantities import counted
from vitctl.workers.executors import executor_on_demand


def run(
    cfg: DedupConfig,
    inputs: Inputs,
    *,
    store: Store,
    runtime: DedupRuntime,
    emit: Emit = silent,
) -> Artifact:
    """Leave out images that the other datasets have, or with none of these, repetitions.

    Raises:
      NotFoundError: a dataset has no such split.
      UsageError: no image is left.
      InputError: a dataset is damaged.
      InterruptedRun: the cluster that hashes images is lost; the same command goes on.
    """
    # ---- What there is
    own = _opened(inputs.dataset, cfg.split, runtime=runtime, emit=emit)
    others = [
        _opened(dataset, split, runtime=runtime, emit=emit)
        for dataset in inputs.against
        for split in _splits(dataset, cfg, inputs)
    ]
    names = [plain_name(dataset) for dataset in inputs.against]
    name = slug("-".join([own.name, "dedup", *names[:2]]), default="dedup")
    with crew.of(store).open(
        _recipe(cfg, inputs),
        name=runtime.name or name,
        out=runtime.out,
        force=runtime.force,
        emit=emit,
        resumable=False,
    ) as draft:
        artifact = draft.finished or _made(
            draft, cfg, inputs, own, others, store=store, runtime=runtime, emit=emit
        )
    emit(Settings("duplicates", readable(DATASET.summary(artifact), cfg)))
    emit(following(artifact))
    return artifact


def _made(
    draft: Draft,
    cfg: DedupConfig,
    inputs: Inputs,
    own: Side,
    others: Sequence[Side],
    *,
    store: Store,
    runtime: DedupRuntime,
    emit: Emit,
) -> Artifact:
    # ---- Hash
    with executor_on_demand(runtime.ray, here=0, most=runtime.workers, emit=emit) as workers:
        hashes, *other_hashes = [
            hashes_of(
                side.dataset,
                side.source,
                side.split,
                store=store,
                runtime=runtime,
                workers=workers,
                emit=emit,
            )
            for side in (own, *others)
        ]

    # ---- Compare
    rules = Rules(
        distance=None if cfg.exact else cfg.distance,
        reach=0 if cfg.exact else written.reach(cfg, against=bool(others)),
        crop=cfg.crop,
        flip=cfg.flip,
    )
    if others:
        result = compared.with_others(hashes, other_hashes, rules, emit=emit)
    else:
        result = compared.with_itself(hashes, rules, emit=emit)
    stays = ~result.matches.any
    if not stays.any():
        raise UsageError(
            f"no image of {own.split} is left: all of them are among those of "
            f"{', '.join(sorted({side.name for side in others}))}",
            hint="give --against the datasets that scores are measured on, not the images "
            "themselves",
        )
    for sentence in _sentences(cfg, others, result):
        emit(Note(sentence))

    # ---- Describe what stays
    rows = {} if stays.all() else {cfg.split: np.flatnonzero(stays)}
    info = described(
        own.source,
        rows,
        of=DatasetRef(id=inputs.dataset.id, digest=inputs.dataset.digest),
        classes=own.source.info.classes,
        class_titles=own.source.info.class_titles,
    )
    draft.write(report.NAME, written.report(cfg, own, others, result))
    draft.write(written.PAIRS, b"".join(written.pair_lines(own, others, result)))
    if (picture := written.pictures(own, others, result)) is not None:
        draft.write(written.PICTURES, picture)
    write_subset(draft.path, info, rows)
    summary = Dataset.without_files(
        classes=len(info.classes),
        examples={split: part.examples for split, part in info.splits.items()},
        selected_from={split: part.examples for split, part in own.source.info.splits.items()},
        left_out=result.left_out(),
    )
    return draft.publish(summary=summary.as_json())


def readable(summary: Dataset, cfg: DedupConfig) -> dict[str, str]:
    """What stays and what is left out."""
    out = summary.left_out
    kinds = {"bytes": "same bytes", "pixels": "same pixels", "near": "nearly the same"}
    parts = [f"{out[kind]:,} {phrase}" for kind, phrase in kinds.items() if kind in out]
    before, after = summary.selected_from[cfg.split], summary.examples[cfg.split]
    return {
        cfg.split: f"{after:,} of {counted(before, 'image')} kept",
        "left out": ", ".join(parts) or "none",
    }


def _opened(dataset: Artifact, split: str, *, runtime: DedupRuntime, emit: Emit) -> Side:
    """Raises NotFoundError where it has no such split."""
    folder = partial(local_folder, splits=(split,), cache=runtime.cache_dir, emit=emit)
    source = open_dataset(dataset, folder=folder)
    source.info.split(split)
    return Side(dataset, source, split)


def _splits(dataset: Artifact, cfg: DedupConfig, inputs: Inputs) -> list[str]:
    """The splits of another dataset whose images are compared."""
    if cfg.eval_splits is not None:
        return list(cfg.eval_splits)
    splits: list[str] = list(open_dataset(dataset).info.splits)
    if dataset.id == inputs.dataset.id:
        splits = [split for split in splits if split != cfg.split]
        if not splits:
            raise UsageError(
                f"--against {dataset.path} is the dataset itself, and has no split but {cfg.split}",
                hint="leave --against out to remove repetitions within it",
            )
    return splits


def _recipe(cfg: DedupConfig, inputs: Inputs) -> Recipe:
    return Recipe(
        stage="dedup",
        version=VERSION,
        kind=DATASET.name,
        config=cfg.model_dump(mode="json"),
        parents=(
            inputs.dataset.as_parent("dataset"),
            *(
                dataset.as_parent(f"against-{number}")
                for number, dataset in enumerate(inputs.against, start=1)
            ),
        ),
    )


def _sentences(cfg: DedupConfig, others: Sequence[Side], result: Compared) -> list[str]:
    sentences = [
        f"{counted(count, 'image matches', 'images match')} {side.name} {side.split} "
        f"({counted(side.source.info.examples(side.split), 'image')})"
        for side, count in zip(others, result.every, strict=False)
    ]
    if not cfg.exact:
        curve = result.curve(written.reach(cfg, against=bool(others)))
        steps = ", ".join(f"{distance}: {count:,}" for distance, count in enumerate(curve))
        what = "match" if others else "have an earlier one that they match"
        sentences.append(f"images that {what} at so many differing bits or fewer: {steps}")
    return sentences
