"""What a user gives -> the settings and inputs of `vitctl cluster`; needs no terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from stages.cluster.spec import IMAGES_A_CLUSTER, ClusterConfig, Inputs
from vitctl.artifacts import Artifact, Store
from vitctl.errors import NotFoundError, UsageError
from vitctl.events import Emit, Note
from vitctl.model import feature_point
from vitctl.recipes import branching, embedding
from vitctl.settings.overrides import Overrides
from vitctl.settings.trees import Tree


def resolve(
    overrides: Overrides,
    *,
    source: Any | None,
    features: Any | None,
    data: Any | None,
    checkpoint: Callable[[], Artifact],
    feature_set: Callable[[], Artifact],
    dataset: Callable[[], Artifact],
    dataset_of: Callable[[Artifact], Artifact | None],
    store: Store,
    emit: Emit,
) -> tuple[ClusterConfig, Inputs]:
    """`source`, `features` and `data` are what was given, None where nothing was. The functions
    look up: the checkpoint, features of `vitctl embed`, the dataset, and the one that a checkpoint
    is measured on, None where that is synthetic.

    Raises UsageError where no number of clusters is given, or features are to come from two places.
    """
    tree = overrides.tree()
    if "clusters" not in tree:
        raise UsageError(
            "the number of clusters is not given", hint="for example -k 1000: vitctl cluster -k N"
        )
    ways = {
        "--from": source is not None,
        "--features": features is not None,
        "--pixels": tree.get("pixels") is not None,
    }
    if sum(ways.values()) > 1:
        given = " and ".join(name for name, is_given in ways.items() if is_given)
        raise UsageError(f"{given}: features can come from one place only", hint="keep one of them")
    base = _fit(tree)
    if ways["--pixels"]:
        inputs = Inputs(_images(dataset(), emit=emit))
    elif ways["--features"]:
        files = None
        if not isinstance(features, Artifact) and features != "-":
            files = embedding.features_in_files(Path(str(features)), labelled=False)
        if files is not None:
            if data is None:
                raise UsageError(
                    "--features names a file, which does not say of which images its rows are",
                    hint="name the dataset that has its images in their order: --data REF",
                )
            emit(Note(f"--features {files.name}: {files.reading}"))
            inputs = Inputs(_images(dataset(), emit=emit), features=files)
        else:
            rows = feature_set()
            images = dataset() if data is not None else _images_of(rows, store=store)
            inputs = Inputs(_images(images, emit=emit), features=rows)
    else:
        model = checkpoint()
        trained_on = dataset_of(model)
        if trained_on is None:
            raise UsageError(
                f"{model.path} was trained on synthetic images, which are not clustered",
                hint="name a dataset: --data REF",
            )
        base |= embedding.first_settings(model, weights=tree.get("weights"), emit=emit)
        inputs = Inputs(_images(trained_on, emit=emit), checkpoint=model)
    cfg = overrides.build(ClusterConfig, base)
    if inputs.checkpoint is not None:
        feature_point.parse(cfg.at, depth=branching.trained_with(inputs.checkpoint).model.depth)
    return cfg, inputs


def _fit(tree: Tree) -> dict[str, Any]:
    clusters = tree["clusters"]
    return {"fit_images": IMAGES_A_CLUSTER * clusters} if isinstance(clusters, int) else {}


def _images(dataset: Artifact, *, emit: Emit) -> Artifact:
    """The dataset whose images are clustered: of one that has clusters as its labels, the one that
    it was made of, so that a second round is no round of the first one's labels."""
    from vitctl.data.opening import with_own_labels

    images = with_own_labels(dataset)
    if images is not dataset:
        emit(Note(f"{dataset.path} has clusters as labels; its images are those of {images.path}"))
    return images


def _images_of(features: Artifact, *, store: Store) -> Artifact:
    """The dataset that features are of. Raises NotFoundError where it is gone."""
    parent = features.manifest.parent("data")
    if parent is None:
        raise UsageError(
            f"{features.path} has features of synthetic images, which are not clustered",
            hint="embed a dataset",
        )
    dataset = store.parent(parent)
    if dataset is None:
        raise NotFoundError(
            f"the dataset that {features.path} has features of is gone ({parent.last_place})",
            hint="name where it is: --data REF",
        )
    return dataset
