"""How `vitctl embed` works: a checkpoint and images -> their features, which are kept."""

from __future__ import annotations

from stages.embed.spec import EmbedConfig, Inputs
from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.following import following
from vitctl.artifacts.kinds import FEATURE_SET
from vitctl.events import Emit, Settings, silent
from vitctl.recipes.embedded import model_features
from vitctl.recipes.embedding import readable
from vitctl.recipes.measuring import MeasuringRuntime


def run(
    cfg: EmbedConfig,
    inputs: Inputs,
    *,
    store: Store,
    runtime: MeasuringRuntime,
    emit: Emit = silent,
) -> Artifact:
    """Keep the features of the images. What an interrupted run has kept is not computed again."""
    artifact = model_features(cfg, inputs, store=store, runtime=runtime, emit=emit)
    emit(Settings("features", readable(FEATURE_SET.summary(artifact))))
    emit(following(artifact))
    return artifact
