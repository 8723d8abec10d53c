"""What a user gives -> the settings of `vitctl embed`; needs no terminal."""

from __future__ import annotations

from typing import Any

from stages.embed.spec import EmbedConfig
from vitctl.artifacts import Artifact
from vitctl.data.config import FEWSHOT_PREPROCESS
from vitctl.errors import UsageError
from vitctl.events import Emit, Note
from vitctl.model import feature_point
from vitctl.quoting import quoted
from vitctl.recipes import branching, measuring
from vitctl.settings.overrides import Overrides


def resolve(
    overrides: Overrides, checkpoint: Artifact, dataset: Artifact | None, *, emit: Emit
) -> EmbedConfig:
    """The settings that take features of a dataset, of all its splits unless `splits` says which,
    or of the synthetic images that the checkpoint was trained on. It may have no labels."""
    trained = branching.trained_with(checkpoint)
    chosen = measuring.weights(checkpoint, requested=overrides.tree().get("weights"))
    for note in chosen.notes:
        emit(Note(note))
    base: dict[str, Any] = {
        "precision": trained.precision,
        "weights": chosen.name,
        # A tree, so that --set of one field leaves the others as the protocol has them.
        "preprocess": FEWSHOT_PREPROCESS.model_dump(mode="json"),
    }
    splits: list[str]
    if dataset is None:
        assert trained.data.mock is not None  # only such a checkpoint is measured without data
        base["mock"] = trained.data.mock.model_dump(mode="json")
        splits = ["train", "val"]
    else:
        from vitctl.data.dataset import Dataset

        info = Dataset.load(dataset.path).info
        splits = [split for split in info.splits if info.examples(split)]
    base["splits"] = splits
    cfg = overrides.build(EmbedConfig, base)
    missing = [split for split in cfg.splits if split not in splits]
    if missing:
        raise UsageError(
            f"there are no images of a split {quoted(missing[0])}",
            hint=f"it has {', '.join(splits)}",
        )
    feature_point.parse(cfg.at, depth=trained.model.depth)
    return cfg


def read_splits(text: str) -> list[str]:
    """`train,val` -> ["train", "val"], each once."""
    return list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
