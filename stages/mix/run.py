"""How `vitctl mix` works: datasets and weights -> the description of them as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stages.mix.overlap import shared_images
from stages.mix.spec import VERSION, Inputs, MixConfig, MixRuntime
from stages.mix.weights import MOST_DRAWS, as_draws, by_temperature
from vitctl.artifacts import Artifact, Recipe, Store, crew
from vitctl.artifacts.following import following
from vitctl.artifacts.kinds import DATASET
from vitctl.artifacts.kinds.dataset import Dataset
from vitctl.artifacts.references import plain_name
from vitctl.artifacts.store import slug
from vitctl.data.dataset import DESCRIPTION, FORMAT_OF_PARTS, SPLITS, DatasetInfo, SplitInfo
from vitctl.data.image_source import ImageSource
from vitctl.data.mixed_order import shares
from vitctl.data.mixture import Mixture
from vitctl.data.names import compose
from vitctl.data.opening import open_dataset
from vitctl.data.parts import DatasetRef, MixtureInfo
from vitctl.errors import InputError, UsageError
from vitctl.events import Caution, Emit, Note, silent
from vitctl.text.quantities import counted, shown_digits

_TRAIN = "train"


def run(
    cfg: MixConfig,
    inputs: Inputs,
    *,
    store: Store,
    runtime: MixRuntime,
    emit: Emit = silent,
) -> Artifact:
    """Describe the datasets as one.

    Raises:
      UsageError: weights that contradict the settings, one dataset where several are needed, a
        balance of classes where an image has none or several.
      InputError: a dataset is damaged, or has no images to train on, or no labels.
    """
    # ---- What there is
    _check(cfg, inputs)
    parts = [open_dataset(dataset) for dataset in inputs.datasets]
    for dataset, part in zip(inputs.datasets, parts, strict=True):
        if _TRAIN not in part.info.splits:
            raise InputError(
                f"{dataset.path} has no split {_TRAIN}, so nothing of it would be trained on",
                hint="leave it out",
            )
    weights = _weights(cfg, inputs, parts, emit=emit)
    info = _described(inputs.datasets, parts, weights, balanced=cfg.balance)
    if cfg.balance and (info.multi_label or not info.classes):
        kind = "have several labels each" if info.multi_label else "have no labels"
        raise UsageError(
            f"--balance needs one label an image, and these {kind}",
            hint="give the datasets weights instead",
        )
    recipe = Recipe(
        stage="mix",
        version=VERSION,
        kind=DATASET.name,
        config={"weights": None if weights is None else list(weights), "balance": cfg.balance},
        parents=tuple(
            dataset.as_parent(f"dataset-{number}")
            for number, dataset in enumerate(inputs.datasets, start=1)
        ),
    )
    names = [plain_name(dataset) for dataset in inputs.datasets]
    name = "-".join([*names[:3], "balanced" if cfg.balance else "mix"])

    with crew.of(store).open(
        recipe,
        name=runtime.name or slug(name, default="mix"),
        out=runtime.out,
        force=runtime.force,
        emit=emit,
        resumable=False,
    ) as draft:
        artifact = draft.finished
        if artifact is None:
            # ---- Describe it
            _announce(inputs.datasets, parts, info, emit=emit)
            for sentence in shared_images(inputs.datasets, parts):
                emit(Caution(sentence))
            (draft.path / DESCRIPTION).write_atomic(info.as_document())
            artifact = draft.publish(summary=_summary(info).as_json())
    emit(following(artifact))
    return artifact


def _check(cfg: MixConfig, inputs: Inputs) -> None:
    if inputs.weights is not None and (cfg.balance or cfg.temperature is not None):
        option = "--balance" if cfg.balance else "--temperature"
        raise UsageError(
            f"{option} and weights are two ways to draw",
            hint="leave one out; a balanced dataset may be a part of a mixture by weights",
        )
    if len(inputs.datasets) <= (0 if cfg.balance else 1):
        raise UsageError(
            "one dataset is no mixture", hint="name several, or --balance to draw classes evenly"
        )


def _weights(
    cfg: MixConfig, inputs: Inputs, parts: Sequence[ImageSource], *, emit: Emit
) -> tuple[int, ...] | None:
    """Draws of each dataset in a round; None where every image is drawn equally often."""
    fractions = inputs.weights
    if cfg.temperature is not None:
        sizes = [part.info.examples(_TRAIN) for part in parts]
        fractions = tuple(by_temperature(sizes, cfg.temperature))
    if fractions is None:
        return None
    weights, exact = as_draws(fractions)
    if not exact:
        emit(Note(f"weights are rounded to multiples of 1/{MOST_DRAWS:,}"))
    return weights


# Describing


def _described(
    datasets: Sequence[Artifact],
    parts: Sequence[ImageSource],
    weights: tuple[int, ...] | None,
    *,
    balanced: bool,
) -> DatasetInfo:
    """Raises InputError where some have labels and some have none."""
    unlabelled = [not part.info.classes for part in parts]
    if any(unlabelled) and not all(unlabelled):
        raise InputError(
            f"{datasets[unlabelled.index(True)].path} has no labels, but other datasets have some",
            hint="leave it out, or take the images of all without labels",
        )
    classes, titles = _united(parts)
    splits = {}
    for split in SPLITS:
        count = sum(p.info.examples(split) for p in parts if split in p.info.splits)
        if count:
            splits[split] = SplitInfo(shard_lengths=(count,), record_bytes=0)
    return DatasetInfo(
        format=FORMAT_OF_PARTS,
        classes=classes,
        class_titles=titles,
        multi_label=any(part.info.multi_label for part in parts),
        max_labels=max(part.info.max_labels for part in parts),
        splits=splits,
        mixture=MixtureInfo(
            datasets=tuple(DatasetRef(id=d.id, digest=d.digest) for d in datasets),
            weights=weights,
            balanced=balanced,
        ),
    )


def _united(parts: Sequence[ImageSource]) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """Classes of all and their titles: those of the first keep their numbers, new ones follow.
    Names in two forms of Unicode are one class."""
    names: dict[str, str] = {}
    titles: dict[str, str] = {}
    for part in parts:
        of_part = part.info.class_titles or part.info.classes
        for name, title in zip(part.info.classes, of_part, strict=True):
            known = names.setdefault(compose(name), name)
            if title != name:
                titles.setdefault(known, title)
    classes = tuple(names.values())
    return classes, tuple(titles.get(name, name) for name in classes) if titles else None


def _announce(
    datasets: Sequence[Artifact], parts: Sequence[ImageSource], info: DatasetInfo, *, emit: Emit
) -> None:
    assert info.mixture is not None
    if (weights := info.mixture.weights) is not None:
        for dataset, part, share in zip(datasets, parts, shares(weights), strict=True):
            images = part.info.examples(_TRAIN)
            times = share * info.examples(_TRAIN) / images
            emit(
                Note(
                    f"{plain_name(dataset)}: {share:.1%} of the draws, "
                    f"{counted(images, 'image')}, each {shown_digits(times, least=2)} times an "
                    "epoch of "
                    f"{counted(info.examples(_TRAIN), 'draw')}"
                )
            )
    elif info.mixture.balanced:
        labels = np.asarray(Mixture(tuple(parts), info).labels(_TRAIN))[:, 0]
        sizes = np.bincount(labels, minlength=len(info.classes))
        present = sizes[sizes > 0]
        emit(
            Note(
                f"every round of {counted(len(present), 'draw')} takes each class with "
                f"images once; the smallest has {counted(present.min(), 'image')}, the "
                f"largest {present.max():,}"
            )
        )
    else:
        emit(Note("every image is drawn equally often"))
    emit(
        Note(
            f"{counted(len(info.classes), 'class')}, united by name: those of "
            f"{plain_name(datasets[0])} keep their numbers"
        )
    )


def _summary(info: DatasetInfo) -> Dataset:
    return Dataset.without_files(
        classes=len(info.classes),
        examples={split: part.examples for split, part in info.splits.items()},
    )
