"""The iterations and their state, which an interrupted run goes on from.

    fit.npz   centers, inertias, reseeded, ended: after the newest iteration, while a draft

Each iteration is a function of the centers before it, so nothing else is needed to go on.
"""

from __future__ import annotations

import io
import zipfile
from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.cluster.rows import NormalizedRows
from stages.cluster.spec import ClusterConfig
from vitctl import processes
from vitctl.artifacts import Draft
from vitctl.clustering import seeding
from vitctl.clustering.lloyd import FittedCenters, Lloyd
from vitctl.errors import InputError
from vitctl.events import Emit, Progress
from vitctl.processes.arrays import gather_array

STATE = "fit.npz"

SEEDS_A_CLUSTER = 16
"""Images among which first centers are drawn, for each cluster: drawing costs clusters x images."""


def fit(
    draft: Draft,
    rows: NormalizedRows,
    seeds: NDArray[np.float32],
    cfg: ClusterConfig,
    *,
    threads: Executor,
    emit: Emit,
) -> FittedCenters:
    """The centers. `seeds` are rows that first ones are drawn from.

    Raises InputError where fewer of them differ than there are clusters.
    """
    state = _read(draft, cfg, width=seeds.shape[1])
    if state is None:
        chosen = seeding.choose(
            seeds,
            clusters=cfg.clusters,
            seed=cfg.seed,
            progress=lambda done: _drawn(done, cfg, emit=emit),
        )
        if len(chosen) < cfg.clusters:
            raise InputError(
                f"the features of {len(seeds):,} images take only {len(chosen):,} values, fewer "
                f"than {cfg.clusters:,} clusters",
                hint=f"-k {len(chosen)} or less, or leave out duplicates: vitctl dedup",
            )
        state = FittedCenters(seeds[chosen].astype(np.float64))
        _write(draft, state)
    lloyd = Lloyd(
        rows,
        spherical=cfg.spherical,
        iterations=cfg.iterations,
        tolerance=cfg.tolerance,
        gather=gather_array,
        threads=threads,
    )
    while not state.ended:
        state = lloyd.step(state)
        _write(draft, state)
        processes.mark("save")
        emit(Progress("k-means", len(state.inertias), cfg.iterations, "iterations"))
    return state


def _drawn(done: int, cfg: ClusterConfig, *, emit: Emit) -> None:
    processes.mark("score")
    emit(Progress("first centers", done, cfg.clusters, "clusters"))


def _write(draft: Draft, state: FittedCenters) -> None:
    file = io.BytesIO()
    np.savez(
        file,
        centers=state.centers,
        inertias=np.array(state.inertias),
        reseeded=np.array(state.reseeded),
        ended=np.array(state.ended),
    )
    draft.write(STATE, file.getvalue())


def _read(draft: Draft, cfg: ClusterConfig, *, width: int) -> FittedCenters | None:
    """The state that is there, as process 0 reads it; None where none can be read."""
    shape = (cfg.clusters, width)
    here = _state_in(draft, shape) if processes.first() else None

    def look() -> dict[str, Any] | None:
        if here is None:
            return None
        return {"inertias": here.inertias, "reseeded": here.reseeded, "ended": here.ended}

    known = processes.share("state of k-means", look)
    if known is None:
        return None
    centers = np.zeros(shape) if here is None else here.centers
    centers = gather_array(centers.view(np.int64))[0].view(np.float64)
    return FittedCenters(centers, tuple(known["inertias"]), known["reseeded"], known["ended"])


def _state_in(draft: Draft, shape: tuple[int, int]) -> FittedCenters | None:
    try:
        content = (draft.path / STATE).read_bytes()
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            centers = arrays["centers"]
            inertias = tuple(arrays["inertias"].tolist())
            reseeded, ended = int(arrays["reseeded"]), bool(arrays["ended"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if centers.shape != shape or centers.dtype != np.float64 or not np.isfinite(centers).all():
        return None
    return FittedCenters(centers, inertias, reseeded, ended)
