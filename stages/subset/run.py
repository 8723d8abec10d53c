"""How `vitctl subset` works: a dataset -> rows of it -> an artifact that names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.subset.choice import chosen_classes, selected
from stages.subset.spec import VERSION, Inputs, SubsetConfig, SubsetRuntime
from vitctl.artifacts import Artifact, Parent, Recipe, Store, crew
from vitctl.artifacts.ancestry import SOURCE
from vitctl.artifacts.canonical import fingerprint
from vitctl.artifacts.following import following
from vitctl.artifacts.kinds import DATASET
from vitctl.artifacts.kinds.dataset import Dataset
from vitctl.artifacts.references import plain_name
from vitctl.artifacts.store import slug
from vitctl.data.dataset import SPLITS, DatasetInfo
from vitctl.data.image_source import ImageSource
from vitctl.data.local_shards import local_folder
from vitctl.data.opening import in_place, open_dataset
from vitctl.data.parts import DatasetRef
from vitctl.data.subset import described, write_subset
from vitctl.errors import UsageError
from vitctl.events import Emit, Note, silent
from vitctl.places import Place
from vitctl.text.quantities import show_count


def run(
    cfg: SubsetConfig,
    inputs: Inputs,
    *,
    store: Store,
    runtime: SubsetRuntime,
    emit: Emit = silent,
) -> Artifact:
    """Select images of the dataset.

    Raises:
      UsageError: nothing is selected by, more images are wanted than there are, or none is left.
      InputError: the dataset, or one that it is made of, is damaged, changed or gone.
    """
    # ---- What there is
    if cfg == SubsetConfig(seed=cfg.seed, split=cfg.split) and not (
        inputs.ids or inputs.exclude_ids
    ):
        raise UsageError(
            "nothing says which images to select",
            hint="for example --images 10k, --fraction 0.1, --per-class 100, --classes cat,dog, "
            "--ids FILE or --dedup",
        )
    source = open_dataset(inputs.dataset, folder=partial(_folder, reads=cfg.dedup, emit=emit))
    source.info.split(cfg.split)
    chosen = chosen_classes(cfg.classes, source.info.classes, emit=emit)
    recipe = _recipe(cfg, inputs, chosen)
    name = runtime.name or slug(_name(cfg, inputs, chosen), default="subset")

    with crew.of(store).open(
        recipe, name=name, out=runtime.out, force=runtime.force, emit=emit, resumable=False
    ) as draft:
        artifact = draft.finished
        if artifact is None:
            # ---- Which of them
            masks = selected(source, cfg, inputs, chosen, emit=emit)
            rows = {split: np.flatnonzero(mask) for split, mask in masks.items() if not mask.all()}
            if not len(rows.get(cfg.split, [0])):
                raise UsageError(f"no image of {cfg.split} is left")
            info = _described(source, cfg, inputs, rows, chosen)
            _announce(source.info, info, rows, cfg, emit=emit)

            # ---- Describe them
            write_subset(draft.path, info, rows)
            artifact = draft.publish(summary=_summary(info, source.info).as_json())
    emit(following(artifact))
    return artifact


def _folder(dataset: Artifact, *, reads: bool, emit: Emit) -> Place | Path:
    """Where a dataset is read. Keys and labels alone may stay in a bucket; elsewhere their bytes
    are compared with those that were published."""
    if dataset.path.local is None and not reads:
        return in_place(dataset)
    return local_folder(dataset, splits=SPLITS, emit=emit)


# Identity


def _recipe(cfg: SubsetConfig, inputs: Inputs, chosen: Sequence[str] | None) -> Recipe:
    """Lists of ids are parents of kind "source", known by their fingerprint; classes are recorded
    by name, whatever named them."""
    parents = [inputs.dataset.as_parent("dataset")]
    for role, ids in (("ids", inputs.ids), ("exclude_ids", inputs.exclude_ids)):
        if ids is not None:
            proof = fingerprint(sorted(set(ids.names)))
            parents.append(Parent(role=role, kind=SOURCE, id=proof, digest=proof, path=ids.path))
    config = {**cfg.model_dump(mode="json"), "classes": None if chosen is None else list(chosen)}
    return Recipe(
        stage="subset",
        version=VERSION,
        kind=DATASET.name,
        config=config,
        parents=tuple(parents),
    )


def _name(cfg: SubsetConfig, inputs: Inputs, chosen: Sequence[str] | None) -> str:
    """That of the dataset and of what was chosen: the dataset's alone would mean two."""
    parts = [
        plain_name(inputs.dataset),
        "" if chosen is None else f"{len(chosen)}-classes",
        "" if inputs.ids is None and inputs.exclude_ids is None else "ids",
        "dedup" if cfg.dedup else "",
        "" if cfg.images is None else show_count(cfg.images),
        "" if cfg.fraction is None else f"{cfg.fraction:g}",
        "" if cfg.per_class is None else f"{cfg.per_class}-per-class",
    ]
    return "-".join([*filter(None, parts), *(["subset"] if not any(parts[1:]) else [])])


# Describing


def _described(
    source: ImageSource,
    cfg: SubsetConfig,
    inputs: Inputs,
    rows: Mapping[str, NDArray[np.int64]],
    chosen: Sequence[str] | None,
) -> DatasetInfo:
    info = source.info
    classes, titles = info.classes, info.class_titles
    if cfg.drop_classes:
        used = _used(source, rows)
        stays = [i for i in used if chosen is None or classes[i] in chosen]
        classes = tuple(classes[i] for i in stays)
        titles = None if titles is None else tuple(titles[i] for i in stays)
    return described(
        source,
        rows,
        of=DatasetRef(id=inputs.dataset.id, digest=inputs.dataset.digest),
        classes=classes,
        class_titles=titles,
    )


def _used(source: ImageSource, rows: Mapping[str, NDArray[np.int64]]) -> list[int]:
    """Numbers of the classes that some image of any split has."""
    used: set[int] = set()
    for split in source.info.splits:
        labels = np.asarray(source.labels(split))
        used |= set(np.unique(labels[rows[split]] if split in rows else labels).tolist())
    return sorted(used - {-1})


def _announce(
    before: DatasetInfo,
    info: DatasetInfo,
    rows: Mapping[str, NDArray[np.int64]],
    cfg: SubsetConfig,
    *,
    emit: Emit,
) -> None:
    for split, part in before.splits.items():
        if split not in info.splits:
            emit(Note(f"{split}: no image is left, so there is no such split"))
            continue
        share = f"{len(rows[split]):,} of {part.examples:,}" if split in rows else "all"
        emit(Note(f"{split}: {share} images"))
    if len(info.classes) < len(before.classes):
        emit(Note(f"{len(info.classes):,} of {len(before.classes):,} classes, numbered anew"))
    elif cfg.classes is not None:
        emit(
            Note(
                f"all {len(info.classes):,} classes keep their numbers, so that models of several "
                "subsets compare; --drop-classes numbers those with images anew"
            )
        )


def _summary(info: DatasetInfo, before: DatasetInfo) -> Dataset:
    return Dataset.without_files(
        classes=len(info.classes),
        examples={split: part.examples for split, part in info.splits.items()},
        selected_from={split: part.examples for split, part in before.splits.items()},
    )
