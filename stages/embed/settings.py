"""What a user gives -> the settings of `vitctl embed`; needs no terminal."""

from __future__ import annotations

from stages.embed.spec import EmbedConfig
from vitctl.artifacts import Artifact
from vitctl.errors import UsageError
from vitctl.events import Emit
from vitctl.model import feature_point
from vitctl.recipes import branching, embedding
from vitctl.settings.overrides import Overrides
from vitctl.text.quoting import quoted


def resolve(
    overrides: Overrides, checkpoint: Artifact, dataset: Artifact | None, *, emit: Emit
) -> EmbedConfig:
    """The settings that take features of a dataset, of all its splits unless `splits` says which,
    or of the synthetic images that the checkpoint was trained on. It may have no labels."""
    trained = branching.trained_with(checkpoint)
    base = embedding.first_settings(checkpoint, weights=overrides.tree().get("weights"), emit=emit)
    splits = ["train", "val"] if dataset is None else embedding.splits_of(dataset)
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
