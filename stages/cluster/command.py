"""The flags of `vitctl cluster`, and how they become its settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from typer import Option

from stages.cluster.settings import resolve
from stages.cluster.spec import ClusterConfig, ClusterRuntime
from vitctl.console import completion, flags
from vitctl.console.flag import Flag, Flags
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.text import quantities

_SETTINGS = (
    Flag(
        "clusters",
        "Number of clusters, for example 1000 or 10k.",
        short="-k",
        reads=quantities.parse_count,
        metavar="N",
    ),
    Flag(
        "pixels",
        "Cluster the pixels of images of this side, instead of a model's features: a first round "
        "without any model.",
        metavar="RES",
    ),
    Flag(
        "at",
        "Where in the model features are taken: pre_logits (the default), tokens or block:N, as "
        "in vitctl embed.",
        metavar="POINT",
    ),
    Flag("split", "Split that centers are fitted to (default: train); all splits get labels."),
    Flag(
        "spherical",
        "Compare directions: features are centred and made of length one (default: on).",
    ),
    Flag(
        "fit_images",
        "Fit centers to N images, chosen by a hash (default: 256 for each cluster); all images "
        "get labels.",
        reads=quantities.parse_count,
        metavar="N",
    ),
    Flag("iterations", "Most iterations of k-means (default: 50)."),
    Flag(
        "tolerance",
        "End where an iteration lowers the inertia by no more than this share (default: 0.0001).",
        rare=True,
    ),
    Flag("seed", "Seed of the first centers (default: 0)."),
    flags.WEIGHTS,
)
_RUNNING = (
    *(flag for flag in flags.LOOKING if flag.key != "workers"),
    replace(flags.WORKERS, rare=False),
)


@verb(sets=Flags(ClusterConfig, _SETTINGS), runs=Flags(ClusterRuntime, _RUNNING), parallel=True)
def cluster(
    session: Session,
    source: flags.Source = None,
    data: flags.InheritedData = None,
    features: Annotated[
        str | None,
        Option(
            metavar="REF|FILE",
            help="Features to cluster, instead of a model's: REF of vitctl embed, or another "
            "program's npz, Parquet or folder of npy, in the order of --data.",
            autocompletion=completion.artifacts,
        ),
    ] = None,
) -> None:
    """Example: vitctl cluster --from RUN --data DATASET -k 1000

    Label images with the clusters of their features (k-means), so that a model can be pretrained on
    images without labels. The result is a dataset that copies no image. Features are computed once
    and kept. The same command continues one that was stopped.

    A first round without a model: vitctl cluster --data DATASET --pixels 16 -k 100

    A round: vitctl cluster --from RUN -k 1000 | vitctl pretrain --model S16
    """
    cfg, inputs = resolve(
        session.overrides,
        source=source,
        features=features,
        data=data,
        checkpoint=lambda: session.one("checkpoint", source, option="--from"),
        feature_set=lambda: session.one("feature-set", features, option="--features"),
        dataset=lambda: session.one(
            "dataset", data, option="--data", stdin=features != "-", needs_labels=False
        ),
        dataset_of=lambda checkpoint: session.measured_on(checkpoint, data),
        store=session.store,
        emit=session.emit,
    )
    session.deliver("cluster", cfg, inputs, runtime=session.runtime(ClusterRuntime))
