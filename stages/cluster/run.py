"""How `vitctl cluster` works: features of images -> centers -> a dataset of labels."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from stages.cluster import labelled
from stages.cluster.features import Features, features_of
from stages.cluster.fitted import SEEDS_A_CLUSTER, STATE, fit
from stages.cluster.rows import NormalizedRows, SplitRows, normalizer_of
from stages.cluster.spec import VERSION, ClusterConfig, ClusterRuntime, Inputs
from vitctl import processes
from vitctl.artifacts import Artifact, Draft, Recipe, Store, crew
from vitctl.artifacts.documents import document_bytes
from vitctl.artifacts.following import following
from vitctl.artifacts.kinds import DATASET
from vitctl.artifacts.kinds.dataset import Dataset
from vitctl.artifacts.references import plain_name
from vitctl.artifacts.store import slug
from vitctl.data import selection
from vitctl.data.image_source import ImageSource
from vitctl.data.opening import open_dataset
from vitctl.data.parts import DatasetRef
from vitctl.data.relabelled import files_of, relabelled
from vitctl.errors import UsageError
from vitctl.events import Emit, Note, Settings, silent
from vitctl.feature_sets.stored import as_npy
from vitctl.hardware.machine import available_cores
from vitctl.text.quantities import show_count


def run(
    cfg: ClusterConfig,
    inputs: Inputs,
    *,
    store: Store,
    runtime: ClusterRuntime,
    emit: Emit = silent,
) -> Artifact:
    """Label images with the clusters of their features.

    Raises:
      UsageError: there are fewer images than clusters.
      NotFoundError: the dataset, or the features, have no such split.
      InputError: features are not of the images, not finite, or too much alike.
    """
    # ---- What there is
    source = open_dataset(inputs.dataset)
    images = source.info.examples(cfg.split)
    if images < cfg.clusters:
        raise UsageError(
            f"{cfg.split} has {images:,} images, fewer than {cfg.clusters:,} clusters",
            hint=f"-k {max(2, images // 10)}, for about ten images a cluster",
        )
    features = features_of(cfg, inputs, source, store=store, runtime=runtime, emit=emit)
    name = f"{plain_name(inputs.dataset)}-{show_count(cfg.clusters)}-clusters"
    with crew.of(store).open(
        _recipe(cfg, inputs, features),
        name=runtime.name or slug(name, default="clusters"),
        out=runtime.out,
        force=runtime.force,
        emit=emit,
    ) as draft:
        artifact = draft.finished or _made(
            draft, cfg, inputs, source, features, runtime=runtime, emit=emit
        )
    emit(following(artifact))
    return artifact


def _made(
    draft: Draft,
    cfg: ClusterConfig,
    inputs: Inputs,
    source: ImageSource,
    features: Features,
    *,
    runtime: ClusterRuntime,
    emit: Emit,
) -> Artifact:
    # ---- Which images centers are fitted to
    width = features.rows.width
    ranks = selection.rank(np.asarray(source.keys(cfg.split)), seed=cfg.seed)
    positions = np.sort(ranks[: cfg.fit_images])
    if len(positions) < len(ranks):
        emit(
            Note(
                f"centers are fitted to {len(positions):,} of {len(ranks):,} images "
                "(--fit-images); all get a label"
            )
        )
    # ---- Centers
    rows = SplitRows(features, source, cfg.split, positions)
    normalizer = normalizer_of(rows, width=width, spherical=cfg.spherical)
    some = np.sort(ranks[: min(len(positions), SEEDS_A_CLUSTER * cfg.clusters)])
    seeds = normalizer(features.rows.rows(cfg.split, some))
    with ThreadPoolExecutor(runtime.workers or available_cores(), "nearest") as threads:
        state = fit(
            draft,
            NormalizedRows(rows, normalizer, width=width),
            seeds,
            cfg,
            threads=threads,
            emit=emit,
        )
        # ---- Every image
        numbers = labelled.assigned(features, source, state, normalizer, threads=threads, emit=emit)
    order, labels = labelled.by_size(numbers, split=cfg.split, clusters=cfg.clusters)

    # ---- Describe them
    columns = {split: of_images[:, None] for split, of_images in labels.items()}
    info = relabelled(
        columns,
        of=DatasetRef(id=inputs.dataset.id, digest=inputs.dataset.digest),
        classes=_names(cfg.clusters, draft.recipe),
    )
    sizes = {
        split: np.bincount(of_images, minlength=cfg.clusters) for split, of_images in labels.items()
    }
    agrees = labelled.own_agreement(source, labels[cfg.split], split=cfg.split)
    clusters = labelled.summary_of(
        state,
        sizes[cfg.split],
        inertia=state.inertias[-1] / len(positions),
        agrees=agrees,
    )
    report = labelled.ClusterReport(
        features=features.label,
        spherical=cfg.spherical,
        scale=normalizer.scale,
        fitted_to=len(positions),
        inertias=state.inertias,
        reseeded=state.reseeded,
        sizes={split: tuple(counts.tolist()) for split, counts in sizes.items()},
        agreement=agrees,
    )
    draft.write(labelled.CENTERS, as_npy(state.centers[order]))
    draft.write(labelled.MEAN, as_npy(normalizer.mean))
    draft.write(labelled.REPORT, document_bytes(report))
    for file, content in files_of(info, columns):
        draft.write(file, content)
    emit(
        Settings(
            "clusters",
            labelled.readable(clusters, split=cfg.split, fit=state, features=features.label),
        )
    )
    if processes.first():
        (draft.path / STATE).remove(missing_ok=True)
    summary = Dataset.of_clusters(
        clusters, examples={split: part.examples for split, part in info.splits.items()}
    )
    return draft.publish(summary=summary.as_json())


def _recipe(cfg: ClusterConfig, inputs: Inputs, features: Features) -> Recipe:
    """Features of files are known by their hash alone; others are a parent, however made."""
    of_files = {} if features.sha256 is None else {"features_sha256": features.sha256}
    return Recipe(
        stage="cluster",
        version=VERSION,
        kind=DATASET.name,
        config={**cfg.identity(), **of_files},
        parents=(inputs.dataset.as_parent("dataset"), *features.parents),
    )


def _names(clusters: int, recipe: Recipe) -> tuple[str, ...]:
    """Names that no other clustering has: classes are matched by name, and the seventh cluster of
    one has nothing to do with the seventh of another."""
    digits = max(4, len(str(clusters - 1)))
    return tuple(f"cluster-{recipe.id[:6]}-{number:0{digits}d}" for number in range(clusters))
