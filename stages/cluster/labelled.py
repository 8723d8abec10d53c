"""Clusters of all images, and what is written of them.

dataset.json, images-train.labels, ...   the dataset: `vitctl.data.relabelled`
clusters.json    how it was made, and how large clusters are
centers.npy      float64[k, d], in the space of normalized features
mean.npy         float64[d]: what is taken off features first
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray

from stages.cluster.features import Features
from stages.cluster.rows import SplitRows
from vitctl.artifacts.kinds.dataset import Clusters
from vitctl.clustering import agreement
from vitctl.clustering.lloyd import FittedCenters
from vitctl.clustering.nearest import Centers, nearest
from vitctl.clustering.normalize import Normalizer
from vitctl.data.image_source import ImageSource
from vitctl.events import Emit, Progress
from vitctl.processes.arrays import gather_array
from vitctl.settings.config import Config
from vitctl.text.quantities import counted, plural, shown_digits

REPORT = "clusters.json"
CENTERS = "centers.npy"
MEAN = "mean.npy"


class ClusterReport(Config):
    """The content of `clusters.json`.

    features    whose they are
    spherical, scale, mean (in its file)  how they are normalized: `vitctl.clustering.normalize`
    fitted_to   images that centers were fitted to
    inertias    of each iteration, the sum over these of squared distances from its centers
    reseeded    clusters that had no image in an iteration and began anew
    sizes       split -> images of each cluster
    agreement   normalized mutual information with the dataset's own labels, which took no part
    """

    features: str
    spherical: bool
    scale: float
    fitted_to: int
    inertias: tuple[float, ...]
    reseeded: int
    sizes: dict[str, tuple[int, ...]]
    agreement: float | None


def assigned(
    features: Features,
    source: ImageSource,
    fit: FittedCenters,
    normalizer: Normalizer,
    *,
    threads: Executor,
    emit: Emit,
) -> dict[str, NDArray[np.int32]]:
    """split -> int32[n]: the nearest center of every image, in all processes."""
    centers = Centers.of(fit.centers)
    labels = {}
    for split in features.splits:
        count = source.info.examples(split)
        own = np.zeros(count, np.int64)
        rows = SplitRows(features, source, split, np.arange(count))
        done = 0
        for block in rows.raw():
            own[block.positions] = nearest(normalizer(block.rows), centers, threads=threads)
            done += len(block.rows)
            emit(Progress(f"label {split}", done, count, "images"))
        labels[split] = gather_array(own).sum(axis=0).astype(np.int32)
    return labels


def by_size(
    labels: Mapping[str, NDArray[np.int32]], *, split: str, clusters: int
) -> tuple[NDArray[np.int64], dict[str, NDArray[np.int32]]]:
    """The clusters' numbers by falling size in `split`, of equal ones by their number; and all
    labels under their places in that order."""
    sizes = np.bincount(labels[split], minlength=clusters)
    order = np.argsort(-sizes, kind="stable")
    places = np.empty(clusters, np.int32)
    places[order] = np.arange(clusters, dtype=np.int32)
    return order, {name: places[numbers] for name, numbers in labels.items()}


def own_agreement(source: ImageSource, labels: NDArray[np.int32], *, split: str) -> float | None:
    """How clusters of a split agree with the dataset's own labels; None where images have none, or
    several each."""
    if not source.info.classes or source.info.multi_label:
        return None
    own = np.asarray(source.labels(split))[:, 0]
    return agreement.normalized_mutual_information(labels, own.astype(np.int32))


def summary_of(
    fit: FittedCenters, sizes: NDArray[np.int64], *, inertia: float, agrees: float | None
) -> Clusters:
    return Clusters(
        count=len(sizes),
        iterations=len(fit.inertias),
        inertia=inertia,
        smallest=int(sizes.min()),
        median=float(np.median(sizes)),
        largest=int(sizes.max()),
        empty=int((sizes == 0).sum()),
        balance=agreement.balance(sizes),
        agreement=agrees,
    )


def readable(
    clusters: Clusters, *, split: str, fit: FittedCenters, features: str
) -> dict[str, str]:
    """How good clusters are, as far as numbers say."""
    settled = plural(clusters.iterations, "iteration")
    if fit.reseeded:
        settled += f", {counted(fit.reseeded, 'time')} a cluster without images began anew"
    lines = {
        "clusters": f"{clusters.count:,} of features of {features}; {settled}",
        "sizes": f"{clusters.smallest:,} to {clusters.largest:,} images of {split}, median "
        f"{clusters.median:,.0f}; {clusters.empty:,} empty; balance {clusters.balance:.2f} "
        "(1: all of one size)",
        "inertia": f"{shown_digits(clusters.inertia, least=4)} an image "
        "(mean squared distance from the center)",
    }
    if clusters.agreement is not None:
        lines["agreement"] = (
            f"{clusters.agreement:.3f} normalized mutual information with the dataset's own "
            "labels, which took no part (a diagnosis)"
        )
    return lines
