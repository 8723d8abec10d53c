"""Images that a mixture has twice, as two of its datasets take them from one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import cast

import numpy as np
from numpy.typing import NDArray

from vitctl.artifacts import Artifact
from vitctl.artifacts.references import plain_name
from vitctl.data.image_source import ImageSource
from vitctl.data.mixture import Mixture
from vitctl.data.relabelled import Relabelled
from vitctl.data.subset import Subset
from vitctl.text.quantities import counted

# What a source is, its description says; the classes are named for their fields alone.

_MANY = 20_000_000
"""Images of a split, beyond which they are not compared: a hundred bytes each."""


def shared_images(datasets: Sequence[Artifact], sources: Sequence[ImageSource]) -> Iterator[str]:
    """A sentence for each two datasets that have images of one dataset in common.

    Ids are compared only where both come from one dataset: elsewhere two images may well be called
    1.jpg.
    """
    pairs = list(zip(datasets, sources, strict=True))
    for (one, source), (other, other_source) in combinations(pairs, 2):
        if not _bases(one.digest, source) & _bases(other.digest, other_source):
            continue
        splits = [split for split in source.info.splits if split in other_source.info.splits]
        names = f"{plain_name(one)} and {plain_name(other)}"
        if max(s.info.examples(split) for s in (source, other_source) for split in splits) > _MANY:
            yield f"{names} take their images from one dataset: some may be in the mixture twice"
            continue
        counts = {
            split: _shared((one.digest, source), (other.digest, other_source), split)
            for split in splits
        }
        if images := [
            f"{counted(count, 'image')} of {split}" for split, count in counts.items() if count
        ]:
            yield (
                f"{names} have {' and '.join(images)} in common, which the mixture has twice: they "
                "are drawn more often, and scored twice"
            )


def _shared(one: tuple[str, ImageSource], other: tuple[str, ImageSource], split: str) -> int:
    """How many images of the first are among those of the second."""
    numbered: dict[str, int] = {}
    origins, other_origins = (_origins(*part, split, numbered) for part in (one, other))
    keys, other_keys = (np.asarray(source.keys(split)) for _, source in (one, other))
    return sum(
        int(np.isin(keys[origins == origin], other_keys[other_origins == origin]).sum())
        for origin in np.intersect1d(origins, other_origins).tolist()
    )


def _bases(digest: str, source: ImageSource) -> set[str]:
    """The digests of the datasets that hold the images."""
    subset, mixture = source.info.subset, source.info.mixture
    if subset is not None:
        return _bases(subset.dataset.digest, cast(Subset, source).source)
    if mixture is not None:
        parts = zip(mixture.datasets, cast(Mixture, source).parts, strict=True)
        return set().union(*(_bases(ref.digest, part) for ref, part in parts))
    if (relabelled := source.info.relabelled) is not None:
        return _bases(relabelled.dataset.digest, cast(Relabelled, source).source)
    return {digest}


def _origins(
    digest: str, source: ImageSource, split: str, numbered: dict[str, int]
) -> NDArray[np.int32]:
    """int32[n]: a number for the dataset that holds each image of a split, by its digest."""
    subset, mixture = source.info.subset, source.info.mixture
    if subset is not None:
        of = cast(Subset, source)
        whole = _origins(subset.dataset.digest, of.source, split, numbered)
        return whole[of.rows[split]] if split in of.rows else whole
    if mixture is not None:
        return np.concatenate(
            [
                _origins(ref.digest, part, split, numbered)
                for ref, part in zip(mixture.datasets, cast(Mixture, source).parts, strict=True)
                if split in part.info.splits
            ]
        )
    if (relabelled := source.info.relabelled) is not None:
        return _origins(relabelled.dataset.digest, cast(Relabelled, source).source, split, numbered)
    number = numbered.setdefault(digest, len(numbered))
    return np.full(source.info.examples(split), number, np.int32)
