"""Which features of images are made, or taken from files: the settings of `vitctl embed`, and
those of pixels. Imports no array library; `embedded` makes them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, PositiveInt

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.kinds import FEATURE_SET
from vitctl.artifacts.kinds.feature_set import PIXELS, FeatureSet
from vitctl.artifacts.manifest import MANIFEST, Parent, Recipe
from vitctl.data.config import FEWSHOT_PREPROCESS, EvalPreprocess
from vitctl.events import Emit, Note
from vitctl.hardware.precision import Precision
from vitctl.model.feature_point import PATTERN, PRE_LOGITS
from vitctl.recipes import branching, measuring
from vitctl.settings.config import Config
from vitctl.settings.trees import Tree
from vitctl.summaries import WeightsName

if TYPE_CHECKING:
    from vitctl.feature_sets.foreign import ForeignFeatures

STAGE = "embed"
VERSION = 1
"""Of `vitctl embed`, whichever command makes its artifacts on its way."""

PIXELS_PREPROCESS = EvalPreprocess(resize="small", ratio=1.0)
"""Area averages, of which small images are made; nothing but what makes a square is cut off."""


class EmbedConfig(Config):
    """What decides the features, besides the checkpoint and the images.

    at          pre_logits: what the classifier sees; tokens: the mean over the patches' tokens;
                block:N: the same after N blocks
    splits      of the dataset
    preprocess  as few-shot probes have it
    precision   of the model's matrix multiplications
    weights     the checkpoint's weights as they are, or their average
    """

    at: str = Field(PRE_LOGITS, pattern=PATTERN)
    splits: tuple[str, ...] = Field(min_length=1)
    preprocess: EvalPreprocess = FEWSHOT_PREPROCESS
    precision: Precision
    weights: WeightsName = "raw"


class PixelsConfig(Config):
    """Features without a model: the values of all pixels of images made `pixels` by `pixels`."""

    pixels: PositiveInt
    splits: tuple[str, ...] = Field(min_length=1)
    preprocess: EvalPreprocess = PIXELS_PREPROCESS


def first_settings(
    checkpoint: Artifact, *, weights: WeightsName | None, emit: Emit
) -> dict[str, Any]:
    """The precision that a checkpoint was trained in, and its weights: those requested, else the
    average where it has one, which is announced."""
    chosen = measuring.weights(checkpoint, requested=weights)
    for note in chosen.notes:
        emit(Note(note))
    return {
        "precision": branching.trained_with(checkpoint).precision,
        "weights": chosen.name,
        # A tree, so that --set of one field leaves the others as the protocol has them.
        "preprocess": FEWSHOT_PREPROCESS.model_dump(mode="json"),
    }


def features_in_files(path: Path, *, labelled: bool = True) -> ForeignFeatures | None:
    """Features that another program wrote to a file or a folder, which may have no labels unless
    `labelled`; None where there is nothing, or an artifact."""
    if not path.exists() or (path / MANIFEST).exists():
        return None
    from vitctl.ingest.sources.feature_files import read_features

    return read_features(path, labelled=labelled)


def splits_of(dataset: Artifact) -> list[str]:
    """Those of a dataset that have images."""
    from vitctl.data.dataset import Dataset

    info = Dataset.load(dataset.path).info
    return [split for split in info.splits if info.examples(split)]


def recipe_of(settings: Tree, parents: tuple[Parent, ...]) -> Recipe:
    """What names features: the settings that made them, as JSON, and what they are of."""
    return Recipe(
        stage=STAGE,
        version=VERSION,
        kind=FEATURE_SET.name,
        config=settings,
        parents=parents,
    )


def readable(summary: FeatureSet) -> Tree:
    """Whose features of what they are."""
    at = {
        "pre_logits": "what the classifier sees",
        "tokens": "the mean of the last tokens",
        PIXELS: "the values of all pixels",
    }
    averaged = ", averaged weights" if summary.weights == "ema" else ""
    images = ", ".join(f"{n:,} {split}" for split, n in summary.examples.items())
    step = "" if summary.step is None else f" at step {summary.step}"
    return {
        "model": f"{summary.model}{step}{averaged}",
        "data": f"{summary.dataset}: {images}",
        "features": f"{summary.width:,} numbers an image, "
        + at.get(summary.at, f"the mean of the tokens after {summary.at.replace(':', ' ')}"),
    }
