"""Which images the settings of a subset choose."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.subset.spec import Inputs, SubsetConfig
from vitctl.data import selection
from vitctl.data.classes import read_names, select_classes
from vitctl.data.image_source import ImageSource
from vitctl.data.selection import Mask
from vitctl.errors import UsageError
from vitctl.events import Caution, Emit, Note, Progress
from vitctl.text.quantities import counted, plural
from vitctl.text.quoting import quoted

_FIRST_STAYS = ("test", "val", "train")
"""Of equal images in two splits, that of the first here stays: scores must not have been trained
on, and a test set must not change with the images to train on."""


def chosen_classes(
    text: str | None, available: Sequence[str], *, emit: Emit
) -> tuple[str, ...] | None:
    """The classes that `--classes` names, in the dataset's order; None for all.

    Raises UsageError for a name that is none of them.
    """
    if text is None:
        return None
    if not available:
        raise UsageError("--classes: the dataset has no labels", hint="leave it out")
    if text not in available and Path(text).is_file():
        names = set(read_names(Path(text), option="--classes", emit=emit))
        for name in sorted(names - set(available)):
            raise UsageError(
                f"--classes {text}: there is no class {quoted(name)}",
                hint=f"the {len(available)} classes begin with {', '.join(available[:5])}",
            )
        return tuple(name for name in available if name in names)
    return tuple(select_classes(text, available=available))


def selected(
    source: ImageSource,
    cfg: SubsetConfig,
    inputs: Inputs,
    chosen: Sequence[str] | None,
    *,
    emit: Emit,
) -> dict[str, Mask]:
    """Split -> which of its images are taken; splits that nothing touches are left out."""
    filters = (
        chosen is not None or cfg.dedup or inputs.ids is not None or inputs.exclude_ids is not None
    )
    splits: list[str] = [
        split
        for split in _FIRST_STAYS
        if split in source.info.splits and (filters or split == cfg.split)
    ]
    keys: dict[str, NDArray[np.uint64]] = {
        split: np.asarray(source.keys(split)) for split in splits
    }
    masks: dict[str, Mask] = {split: np.ones(len(keys[split]), bool) for split in splits}
    if chosen is not None:
        numbers = {source.info.classes.index(name) for name in chosen}
        for split in splits:
            masks[split] &= selection.with_classes(np.asarray(source.labels(split)), numbers)
    if inputs.ids is not None:
        for split, mask in selection.with_ids(keys, inputs.ids.names).items():
            if mask.any():
                masks[split] &= mask
            else:
                emit(Note(f"the list of ids names no image of {split}, which stays whole"))
    if inputs.exclude_ids is not None:
        for split, mask in selection.with_ids(keys, inputs.exclude_ids.names).items():
            masks[split] &= ~mask
    if cfg.dedup:
        masks = _without_duplicates(source, masks, emit=emit)
    if any(size is not None for size in (cfg.images, cfg.fraction, cfg.per_class)):
        masks[cfg.split] = _sized(
            masks[cfg.split], source, cfg, chosen, keys=keys[cfg.split], emit=emit
        )
    return masks


def _keys(source: ImageSource, split: str) -> NDArray[np.uint64]:
    return np.asarray(source.keys(split))


def _without_duplicates(
    source: ImageSource, masks: Mapping[str, Mask], *, emit: Emit
) -> dict[str, Mask]:
    unique = selection.unique(
        source, masks, progress=lambda done, total: emit(Progress("hash", done, total, "images"))
    )
    images = plural(unique.repeated, "image", grouped=True)
    emit(
        Note(
            f"left out: {images} of the same bytes as another one (the first in "
            f"{', '.join(masks)} stays; datasets record no hashes, so all were read)"
        )
    )
    if unique.conflicting:
        emit(
            Caution(
                f"{unique.conflicting:,} of the images that are left out have other labels than "
                "the same image that stays"
            )
        )
    return dict(unique.masks)


def _sized(
    mask: Mask,
    source: ImageSource,
    cfg: SubsetConfig,
    chosen: Sequence[str] | None,
    *,
    keys: NDArray[np.uint64],
    emit: Emit,
) -> Mask:
    """The images of `cfg.split` that its size leaves."""
    left = int(mask.sum())
    if cfg.per_class is None:
        count = cfg.images
        if count is None:
            assert cfg.fraction is not None
            count = max(1, math.floor(cfg.fraction * left + 0.5))
        if count > left:
            raise UsageError(
                f"--images {count:,}: {cfg.split} has only {left:,} to choose from",
                hint=f"--images {left} or less",
            )
        return selection.first(mask, keys=keys, count=count, seed=cfg.seed)
    info = source.info
    if info.multi_label or not info.classes:
        kind = "have several labels each" if info.multi_label else "have no labels"
        raise UsageError(
            f"--per-class needs one label an image, and these {kind}",
            hint="--images N chooses whatever the labels",
        )
    labels = np.asarray(source.labels(cfg.split))[:, 0]
    available = np.bincount(labels[mask], minlength=len(info.classes))
    numbers = [i for i, name in enumerate(info.classes) if chosen is None or name in chosen]
    if few := [i for i in numbers if available[i] < cfg.per_class]:
        fewest = min(few, key=lambda i: int(available[i]))
        emit(
            Caution(
                f"fewer than {counted(cfg.per_class, 'image')} in {cfg.split}, which are "
                f"all taken: {len(few):,} of {len(numbers):,} classes ({info.classes[fewest]}: "
                f"{available[fewest]:,})"
            )
        )
    return selection.first_per_class(
        mask, keys=keys, labels=labels, count=cfg.per_class, seed=cfg.seed
    )
